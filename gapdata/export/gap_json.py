"""Export to a folder that GAP-MLLM's and VG-LLM's own loaders read, and that ``build-shards`` reads back.

```
annotations/scannet_recons_train_4frames.json scannet_det_val_4frames.json ...
annotations/scanrefer_train_32frames_stage1.json ..._stage2.json scanrefer_train_32frames.json
annotations/scan2cap_train_32frames.json
posed_images/ scans/ scannetv2_*.txt          see gapdata.export.posed_images
export.json report.json                       see gapdata.export.export_build
```
The JSON files name images relative to the folder. Clips give one file for each number of frames; the number in the
other names is that of the build's longest scene view. Memory holds one record and a digest for each frame of its scene.
Equal builds and options give equal bytes; the same command goes on where it was stopped.

Their loader draws its cross of 21 pixels on the image as it is, so on images narrower than ScanNet's 1296 pixels it is
larger relative to what it marks than ours, which scales with the image (:mod:`gapdata.prompts.marks`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gapdata.annotations.conversation import TASKS
from gapdata.errors import ShardError
from gapdata.export.items import Item, record_items, without_file
from gapdata.export.posed_images import PosedImages
from gapdata.export.registry import GAP_TASKS
from gapdata.files.atomic import atomic_file
from gapdata.files.json_items import JsonList
from gapdata.files.storage import Location
from gapdata.records.schema import Record
from gapdata.records.views import KIND_OF_TASK
from gapdata.runtime.choices import check_choice
from gapdata.runtime.counting import counted
from gapdata.shards.index import read_index
from gapdata.shards.reader import ShardReader
from gapdata.sources.scannet import SCENE_ID
from gapdata.tasks.wordings import Wording

ANNOTATIONS = "annotations"
NATIVE_WIDTH = 1296
"""Of ScanNet's colour images, in pixels: their cross was made for these."""
FILE_NAMES: Mapping[str, str] = {
    "recons": "scannet_recons_{split}_{frames}frames.json",
    "det": "scannet_det_{split}_{frames}frames.json",
    "scanrefer1": "scanrefer_{split}_{frames}frames_stage1.json",
    "scanrefer2": "scanrefer_{split}_{frames}frames_stage2.json",
    "scanrefer": "scanrefer_{split}_{frames}frames.json",
    "scan2cap": "scan2cap_{split}_{frames}frames.json",
}


def export(
    build: ShardReader,
    records: Iterable[Record],
    out: Path,
    *,
    tasks: Sequence[str] = GAP_TASKS,
    wording: Wording = "gap",
) -> dict[str, Any]:
    """Write the JSON files and the frames that they name, and return the report.

    Args:
        build: where the records are from.
        records: those to export.
        out: the folder.
        tasks: of :data:`gapdata.export.registry.GAP_TASKS`.
        wording: words of the questions, with their Euler convention.

    Raises:
        UsageError: a task is unknown.
        ShardError: the build is damaged, or a name in it would lead out of the folder.
    """
    for task in tasks or ("",):
        check_choice("task", task, TASKS)
    with _Export(out, tasks, wording, _scene_frames(build.build)) as export:
        for record in records:
            export.take(record)
        export.finish()
    return export.report()


def format_report(report: Mapping[str, Any]) -> str:
    """Return the report as text for a terminal."""
    scenes = sum(report["scenes"].values())
    lines = [
        f"{counted(report['frames'], 'frame')} of {counted(scenes, 'scene')}, {report['exported']} of "
        f"{counted(report['records'], 'record')}"
    ]
    lines += [f"  {count:7d} in {ANNOTATIONS}/{name}" for name, count in report["items"].items()]
    for task, reasons in report["left_out"].items():
        lines += [f"  {count:7d} left out of {task}: {reason}" for reason, count in reasons.items()]
    return "\n".join([*lines, *(f"note: {note}" for note in report["notes"])])


class _Export:
    """An export under way: the open JSON files, the frames, and the counts."""

    def __init__(self, out: Path, tasks: Sequence[str], wording: Wording, scene_frames: Mapping[str, int]) -> None:
        self._out, self._tasks, self._wording, self._scene_frames = out, tasks, wording, scene_frames
        self._frames = PosedImages(out)
        self._files: dict[str, JsonList] = {}
        self._lost: dict[str, Counter[str]] = {}
        self._records = self._exported = 0
        self._narrowest = NATIVE_WIDTH
        self._stack = ExitStack()

    def __enter__(self) -> _Export:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def take(self, record: Record) -> None:
        """Write one record's items and frames."""
        self._records += 1
        obstacle = self._frames.obstacle(record)
        found, explained = False, self._lose("conversation", without_file(record))
        for task in self._tasks:
            items, lost = record_items(record, task, self._wording)
            explained |= self._lose(task, lost)
            if items and obstacle is not None:
                explained |= self._lose(task, Counter({obstacle: len(items)}))
            elif items:
                self._write(record, task, items)
                found = True
        if found:
            self._exported += 1
            self._frames.write(record)
        elif not explained:
            self._lose("record", Counter({"it holds nothing that these tasks ask about": 1}))

    def finish(self) -> None:
        """End the JSON files; they appear when the ``with`` block ends well."""
        self._frames.write_splits()
        for file in self._files.values():
            file.close()

    def report(self) -> dict[str, Any]:
        """Return what was written and what was left out, in plain types and a fixed order."""
        return {
            "records": self._records,
            "exported": self._exported,
            "frames": self._frames.frames,
            "scenes": {split: len(scenes) for split, scenes in sorted(self._frames.scenes.items())},
            "items": {name: file.count for name, file in sorted(self._files.items())},
            "left_out": {task: dict(sorted(lost.items())) for task, lost in sorted(self._lost.items())},
            "notes": self._notes(),
        }

    def _write(self, record: Record, task: str, items: list[Item]) -> None:
        kind = KIND_OF_TASK.get(task, "clip")
        frames = len(record) if kind == "clip" else self._scene_frames.get(record.view, len(record))
        name = FILE_NAMES[task].format(split=record.split, frames=frames)
        if name not in self._files:
            folder = self._out / ANNOTATIONS
            folder.mkdir(exist_ok=True)
            self._files[name] = JsonList(self._stack.enter_context(atomic_file(folder / name)))
        try:
            self._files[name].extend(items)
        except ValueError as error:
            problem = f"record {record.key}: a number cannot be written as JSON: {error}"
            raise ShardError(problem, cure="run `gapdata verify` on the build") from error
        if any("pixel_coords" in item for item in items):
            self._narrowest = min(self._narrowest, record.image_size[0])

    def _lose(self, task: str, lost: Counter[str]) -> bool:
        """Count what was left out, and return whether anything was."""
        found = +lost
        if found:
            self._lost.setdefault(task, Counter()).update(found)
        return bool(found)

    def _notes(self) -> list[str]:
        notes = []
        if self._narrowest < NATIVE_WIDTH:
            factor = NATIVE_WIDTH / self._narrowest
            notes.append(
                f"their loader's cross of 21 pixels is {factor:.1f} times as large on these images as on ScanNet's "
                f"{NATIVE_WIDTH}"
            )
        others = {scene for scenes in self._frames.scenes.values() for scene in scenes if not SCENE_ID.fullmatch(scene)}
        if others:
            notes.append(
                f"{counted(len(others), 'scene')} {'is' if len(others) == 1 else 'are'} not named as "
                f"ScanNet's, so --scannet will not find {'it' if len(others) == 1 else 'them'}"
            )
        return notes


def _scene_frames(build: Location) -> dict[str, int]:
    """Return the number of frames that is part of the names of files about scene views, by kind of view."""
    import pyarrow.compute as pc

    table = read_index(build)
    lengths: dict[str, int] = {}
    for kind in ("scene", "around"):
        rows = table.filter(pc.equal(table.column("view"), kind))
        if len(rows):
            lengths[kind] = int(pc.max(pc.list_value_length(rows.column("frame_ids"))).as_py() or 0)
    if "scene" in lengths:
        lengths["around"] = lengths["scene"]
    return lengths
