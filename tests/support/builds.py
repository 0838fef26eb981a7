"""Small builds: a recipe for minute scans, the command line that builds by it, and what a build holds.

Worker processes import this module, too, so it stays light.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gapdata.records.schema import Record

SETTINGS = (
    "frames.image_size=[128,96]",
    "clips.frames=2",
    "clips.interval=3",
    "clips.step=2",
    "clips.max_shift=1",
    "scene_views.frames=4",
    "prompts.spacing=8",
    "shards.scenes_per_shard=1",
)
NEAR = (
    "frames.image_size=[128,96]",
    "clips.frames=3",
    "clips.interval=4",
    "clips.step=3",
    "clips.max_shift=1",
)
"""Clips of walks that are a second long."""
APART = (*SETTINGS, "clips.step=3", "scene_views.frames=32")
"""The same with clips that share no frame, and views of whole scans."""


def overrides(settings: Sequence[str] = SETTINGS) -> list[str]:
    """Recipe fields as options."""
    return [part for setting in settings for part in ("--set", setting)]


def build(source: object, out: object, *arguments: str, settings: Sequence[str] = SETTINGS) -> int:
    """Build ScanNet scans in this process through the command line; the exit status."""
    from gapdata.commands.main import main

    words = ["build-shards", "--scannet", str(source), "--out", str(out), *overrides(settings)]
    return main([*words, "--executor", "inline", *arguments])


def build_twice(place: Path, folder: Path, settings: Sequence[str] = NEAR) -> Path:
    """Build a folder of ``--rgbd`` twice, find the same bytes, and return the first build."""
    from gapdata.commands.main import main

    outs = folder / "one", folder / "two"
    for out in outs:
        words = ["build-shards", "--rgbd", str(place), "--out", str(out), *overrides(settings)]
        assert main([*words, "--executor", "inline"]) == 0
    tars = [(out / "shard-000000.tar").read_bytes() for out in outs]
    assert tars[0] == tars[1]
    return outs[0]


def write_build(folder: Path, records: Sequence[Record]) -> Path:
    """A finished build of one shard, of records that exist already."""
    from gapdata.shards.index import write_index
    from gapdata.shards.writer import ShardWriter

    folder.mkdir()
    with ShardWriter(folder / "shard-000000.tar") as writer:
        for record in records:
            writer.write(record)
    write_index(folder, [{"shard": "shard-000000", "records": writer.records}])
    return folder


def write_shards(folder: Path, records: Sequence[Record], per_shard: int) -> Path:
    """A finished build of several shards with their commit records, of records that exist already."""
    from gapdata.shards.index import write_index
    from gapdata.shards.writer import ShardWriter

    folder.mkdir()
    commits = []
    for start in range(0, len(records), per_shard):
        chosen, name = records[start : start + per_shard], f"shard-{start // per_shard:06d}"
        with ShardWriter(folder / f"{name}.tar") as writer:
            for record in chosen:
                writer.write(record)
        scenes = [{"scene_id": record.scene_id, "quarantined": []} for record in chosen]
        figures = {"tar_bytes": writer.size, "sha256": writer.sha256, "records": writer.records}
        commits.append({"shard": name, "split": chosen[0].split, "scenes": scenes, **figures})
        (folder / f"{name}.json").write_text(json.dumps(commits[-1]))
    write_index(folder, commits)
    return folder


def contents(out: Path) -> dict[str, bytes]:
    """Every file that a finished build holds, by its path."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def without_notes(errors: str) -> str:
    """What a command says, but for what small data sets lack and it notes: split files and a label map."""
    return "".join(line for line in errors.splitlines(keepends=True) if not line.startswith("gapdata: note: "))
