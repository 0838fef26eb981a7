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

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gapdata.errors import ShardError, UsageError
from gapdata.export.croissant import croissant
from gapdata.export.dataset_card import Config, card
from gapdata.export.hf_text import export_text
from gapdata.export.public_terms import check_public, licence_text
from gapdata.files.atomic import atomic_file, write_atomically
from gapdata.files.storage import Location, open_ranged
from gapdata.records.codec import POINTMAP
from gapdata.records.schema import Record
from gapdata.runtime.counting import counted
from gapdata.shards.index import INDEX_NAME, index_batches, read_commit, read_index
from gapdata.shards.reader import ShardReader
from gapdata.shards.splits import SPLITS_NAME

CHUNK = 1 << 22
SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
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
    tars, columns, views = _chosen(build.build, keys)
    files = {}
    for names in tars.values():
        for tar in names:
            files[tar] = _place_tar(build.build, tar, out / tar)
    _write_index(build.build, out, {tar for names in tars.values() for tar in names})
    write_atomically(out / SPLITS_NAME, (json.dumps(tars, indent=1) + "\n").encode())
    write_atomically(out / "LICENSE.md", licence_text(terms).encode())
    said = "; ".join(f"{row.get('title')}: {row.get('terms')}" for row in terms) or "not stated"
    sentence = f"{counted(len(keys), 'view')} of scanned rooms: frames with depth, cameras, objects and prompts"
    write_atomically(out / "croissant.json", croissant(name, sentence, said, files))
    config = Config(name="default", files=tars, features=columns)
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


def _chosen(build: Location, keys: set[str]) -> tuple[dict[str, list[str]], dict[str, str], Counter[str]]:
    """Return the tars of each split that hold records, the columns of all records, and their number by kind of view.

    Raises:
        UsageError: a tar holds other records as well.
        ShardError: the name of a tar could lead out of the folder.
    """
    splits: dict[str, str] = {}  # of each tar
    left: set[str] = set()
    names: set[str] = set()
    views: Counter[str] = Counter()
    for batch in index_batches(build, ["key", "shard", "split", "view", "members"], []):
        for row in batch.to_pylist():
            tar = f"{row['shard']}.tar"
            if SHARD.fullmatch(row["shard"]) is None:
                raise ShardError(f"names the shard {tar!r}", path=build / INDEX_NAME, cure="run build-shards again")
            if row["key"] not in keys:
                left.add(tar)
                continue
            if splits.setdefault(tar, row["split"]) != row["split"]:
                raise UsageError(f"{tar} holds records of several splits", path=build, cure="build the shards again")
            views[row["view"]] += 1
            names.update(member["name"] for member in row["members"])
    mixed = sorted(left & splits.keys())
    if mixed:
        raise UsageError(f"{mixed[0]} holds records of several splits", path=build, cure="export without --split")
    tars: dict[str, list[str]] = {}
    for tar, split in sorted(splits.items()):
        tars.setdefault(split, []).append(tar)
    return dict(sorted(tars.items())), _columns(names), views


def _columns(members: set[str]) -> dict[str, str]:
    """Return the type of each column: the JSON first, then the images of each frame."""
    images = sorted(name for name in members if name.endswith((".jpg", ".png")))
    strange = members - {"json", POINTMAP, *images}
    return {"json": "json", **dict.fromkeys(images, "image"), **dict.fromkeys(sorted(strange), "binary")}


def _place_tar(build: Location, tar: str, target: Path) -> tuple[int, str]:
    """Link or copy a tar, and return its size and SHA-256.

    Raises:
        ShardError: it differs from its commit record, or the file exists and holds something else.
    """
    source, there = build / tar, target.exists()
    try:
        if not there:
            _link_or_copy(source, target)
        with open(target, "rb") as file:
            digest, size = hashlib.file_digest(file, "sha256").hexdigest(), target.stat().st_size
        wanted = _committed(build, tar) or (_digest(source) if there else digest)
    except OSError as error:
        raise ShardError(f"cannot be read: {error.strerror}", path=source, cure="run build-shards again") from error
    if digest != wanted:
        if there:
            raise ShardError("differs from what this build holds", path=target, cure="export to an empty folder")
        target.unlink()
        raise ShardError("differs from its commit record", path=source, cure="run `gapdata verify` on the build")
    return size, digest


def _committed(build: Location, tar: str) -> str | None:
    """Return the digest that a tar was finished with; ``None`` where that is not known."""
    place = build / f"{tar.removesuffix('.tar')}.json"
    return str(read_commit(place)["sha256"]) if place.is_file() else None


def _digest(source: Location) -> str:
    digest, file = hashlib.sha256(), open_ranged(source)
    for offset in range(0, file.size, CHUNK):
        digest.update(file.read_at(offset, CHUNK))
    file.close()
    return digest.hexdigest()


def _link_or_copy(source: Location, target: Path) -> None:
    if isinstance(source, Path):
        try:
            os.link(source.resolve(), target)
        except OSError:  # another disk, or one without links: what is wrong with the tar itself shows below
            pass
        else:
            return
    file = open_ranged(source)
    try:
        with atomic_file(target) as copy:
            for offset in range(0, file.size, CHUNK):
                copy.write(file.read_at(offset, CHUNK))
    finally:
        file.close()


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
