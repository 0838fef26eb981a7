"""Export a build as a Hugging Face dataset of the same tars, which ``datasets.load_dataset(folder)`` reads.

```
shard-000000.tar ...   the build's own tars, linked where the disk allows it, else copied
README.md              the dataset card, whose head lists splits, columns and their types
LICENSE.md             the terms of use of the scans
croissant.json         the files with their digests
index.parquet splits.json   as in a build: gapdata.open(folder) reads it, too
```
Pixels go into a public copy only where the terms of all scans allow it: ``private`` makes a copy that is not made
public, ``text_only`` leaves out pixels and geometry (:mod:`gapdata.export.hf_text`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gapdata.errors import UsageError
from gapdata.export.croissant import croissant
from gapdata.export.dataset_card import Config, card
from gapdata.export.hf_text import export_text
from gapdata.export.public_terms import check_public, licence_text
from gapdata.export.tars import chosen_tars, place_tar
from gapdata.files.atomic import atomic_file, write_atomically
from gapdata.files.storage import Location
from gapdata.records.codec import POINTMAP
from gapdata.records.schema import Record
from gapdata.runtime.counting import counted
from gapdata.shards.index import INDEX_NAME, read_index
from gapdata.shards.reader import ShardReader
from gapdata.shards.splits import SPLITS_NAME

NOTE = (
    "Frames `00.jpg`, `01.jpg`, ... are RGB; `00.depth.png` is 16-bit, millimetres, 0 without a value; "
    "`00.instance.png` is an object's id + 1, 0 for none; `00.prompt.png` is the number of the prompt whose mark "
    "covers a pixel. Columns of frames that a view does not have are `None`. `json` holds cameras (OpenCV axes, whole "
    "numbers are centres of pixels), objects with oriented boxes in the first camera, prompts and expressions; the "
    "library rounds its numbers to ten decimals. `pointmap.npy`, the points of every eighth pixel in the first "
    "camera, lies in the tars and is left out of the columns, because the library would turn it into lists."
)
USAGE = """```python
from datasets import load_dataset  # version 5 or newer

rows = load_dataset("FOLDER", split="{split}", streaming=True)
row = next(iter(rows))
print(row["json"]["key"], row["00.jpg"].size, row["00.depth.png"].mode)
```
"""


def check(build: Location, terms: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> None:
    """Refuse what may not be exported so, before anything is written.

    Raises:
        UsageError: the terms do not allow a public copy, or two options exclude each other.
    """
    if options["private"] and options["text_only"]:
        raise UsageError("--private and --text-only exclude each other", cure="--text-only needs no --private")
    if not options["private"] and not options["text_only"]:
        check_public(build, terms)


def export(
    build: ShardReader,
    records: Iterable[Record],
    out: Path,
    *,
    terms: Sequence[Mapping[str, Any]] = (),
    private: bool = False,
    text_only: bool = False,
    name: str = "Views of scanned rooms",
) -> dict[str, Any]:
    """Write the folder and return the report.

    Args:
        build: where the records are from.
        records: those to export.
        out: the folder.
        terms: the terms of use of the build's scans.
        private: whether the copy is not made public.
        text_only: leave out pixels and geometry.
        name: of the dataset.

    Raises:
        UsageError: a tar holds records that are not exported.
        ShardError: the build is damaged.
    """
    if text_only:
        return export_text(records, out, terms=terms, name=name)
    keys = {record.key for record in records}
    chosen = chosen_tars(build.build, keys)
    tars, views = chosen.by_split, chosen.views
    files = {tar: place_tar(build.build, tar, out / tar) for tar in chosen.records}
    _write_index(build.build, out, set(files))
    write_atomically(out / SPLITS_NAME, (json.dumps(tars, indent=1) + "\n").encode())
    write_atomically(out / "LICENSE.md", licence_text(terms).encode())
    said = "; ".join(f"{row.get('title')}: {row.get('terms')}" for row in terms) or "not stated"
    sentence = f"{counted(len(keys), 'view')} of scanned rooms: frames with depth, cameras, objects and prompts"
    write_atomically(out / "croissant.json", croissant(name, sentence, said, files))
    config = Config(name="default", files=tars, features=_columns(chosen.members))
    text = _text(sentence, next(iter(tars)), private)
    gate = f"The frames are of scans that may not be passed on freely: {said}" if private else ""
    tasks = ("visual-question-answering", "depth-estimation", "object-detection")
    page = card(name, [config], records=len(keys), gate=gate, tasks=tasks, text=text)
    # The card is last: with it the folder is a dataset.
    write_atomically(out / "README.md", page.encode())
    return {
        "records": len(keys),
        "tars": {split: len(names) for split, names in tars.items()},
        "bytes": sum(size for size, _ in files.values()),
        "views": dict(sorted(views.items())),
        "private": private,
    }


def format_report(report: Mapping[str, Any]) -> str:
    """Return the report as text for a terminal."""
    if "questions" in report:
        asked = sum(report["questions"].values())
        return f"{counted(report['records'], 'view')} and {counted(asked, 'question')} without pixels or geometry"
    tars = ", ".join(f"{counted(count, 'tar')} of {split}" for split, count in report["tars"].items())
    lines = [f"{counted(report['records'], 'record')} in {tars}, {report['bytes'] / 1e9:.2f} GB"]
    if report["private"]:
        lines.append("not to be made public: README.md and LICENSE.md say under which terms")
    return "\n".join(lines)


def _text(sentence: str, split: str, private: bool) -> str:
    warning = ["**Do not make this copy public**: LICENSE.md says under which terms its scans were given.", ""]
    usage = USAGE.format(split=split)
    return "\n".join([*(warning if private else []), f"{sentence}.", "", usage, NOTE, "", "Terms: LICENSE.md.", ""])


def _columns(members: Collection[str]) -> dict[str, str]:
    """Return the type of each column: the JSON first, then the images of each frame."""
    images = sorted(name for name in members if name.endswith((".jpg", ".png")))
    strange = set(members) - {"json", POINTMAP, *images}
    return {"json": "json", **dict.fromkeys(images, "image"), **dict.fromkeys(sorted(strange), "binary")}


def _write_index(build: Location, out: Path, tars: set[str]) -> None:
    """Write the index of the chosen tars; of all of them it is the build's own, byte for byte."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = read_index(build)
    shards = table.column("shard")
    if {f"{shard}.tar" for shard in pc.unique(shards).to_pylist()} == tars:
        write_atomically(out / INDEX_NAME, (build / INDEX_NAME).read_bytes())
        return
    chosen = sorted(tar.removesuffix(".tar") for tar in tars)
    with atomic_file(out / INDEX_NAME) as file:
        pq.write_table(table.filter(pc.is_in(shards, pa.array(chosen))), file, compression="zstd")
