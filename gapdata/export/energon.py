"""Export a build for megatron-energon: the same tars, their splits, and a cooker that decodes a sample.

```
shard-000000.tar ...      the build's own tars, linked where the disk allows it, else copied
.nv-meta/dataset.yaml     crude samples, which a cooker of the user's decodes
.nv-meta/split.yaml       the tars of each split
.nv-meta/.info.json       the number of samples of each tar
cooker.py                 a cooker with its task encoder (gapdata.export.energon_cooker)
README.md                 the command that makes the index, whose form is energon's own affair
```
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gapdata.export.tars import ChosenTars, chosen_tars, place_tar
from gapdata.files.atomic import write_atomically
from gapdata.records.schema import Record
from gapdata.runtime.counting import counted
from gapdata.shards.reader import ShardReader

META = ".nv-meta"
COOKER = Path(__file__).with_name("energon_cooker.py")
DATASET = """__module__: megatron.energon
__class__: CrudeWebdataset
subflavors:
  source: gapdata
"""
README = """# Views of scanned rooms, for megatron-energon

Make the index once, in this folder; splits and samples are described already:

```
energon prepare . --non-interactive --tar-index-only
```

`cooker.py` says how the views are read. Depth is 16-bit PNG: a decoder of energon's own would make 8 bits of it.
"""


def export(build: ShardReader, records: Iterable[Record], out: Path) -> dict[str, Any]:
    """Write the folder and return the report.

    Raises:
        UsageError: a tar holds records that are not exported.
        ShardError: the build is damaged.
    """
    chosen = chosen_tars(build.build, {record.key for record in records})
    size = sum(place_tar(build.build, tar, out / tar)[0] for tar in chosen.records)
    (out / META).mkdir(exist_ok=True)
    for name, text in (
        ("cooker.py", COOKER.read_text()),
        ("README.md", README),
        (f"{META}/.info.json", json.dumps({"shard_counts": chosen.records}, indent=1) + "\n"),
        (f"{META}/split.yaml", split_text(chosen)),
        # The last one: with it the folder is a dataset.
        (f"{META}/dataset.yaml", DATASET),
    ):
        write_atomically(out / name, text.encode())
    return {
        "records": sum(chosen.records.values()),
        "tars": {split: len(names) for split, names in chosen.by_split.items()},
        "bytes": size,
    }


def format_report(report: Mapping[str, Any]) -> str:
    """Return the report as text for a terminal."""
    tars = ", ".join(f"{counted(count, 'tar')} of {split}" for split, count in report["tars"].items())
    return (
        f"{counted(report['records'], 'record')} in {tars}, {report['bytes'] / 1e9:.2f} GB\n"
        "README.md has the command that makes energon's index"
    )


def split_text(chosen: ChosenTars) -> str:
    """Return ``split.yaml``; energon asks for the splits train, val and test by these names."""
    lines = ["exclude: []", "split_parts:"]
    for split in dict.fromkeys(("train", "val", "test", *chosen.by_split)):
        names = chosen.by_split.get(split, [])
        lines += [f"  {split}:", *(f"  - {name}" for name in names)] if names else [f"  {split}: []"]
    return "\n".join([*lines, ""])
