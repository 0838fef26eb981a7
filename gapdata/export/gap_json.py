"""A build to a folder that GAP-MLLM's and VG-LLM's own loaders read, and that ``build-shards`` reads back.

```
export.json                                   what is exported, written first
annotations/scannet_recons_train_4frames.json scannet_det_val_4frames.json ...
annotations/scanrefer_train_32frames_stage1.json ..._stage2.json scanrefer_train_32frames.json
annotations/scan2cap_train_32frames.json
posed_images/ scans/ scannetv2_*.txt          see gapdata.export.posed_images
report.json                                   what was written and what could not be, written last
```
The JSON files name images relative to the folder. Clips give one file for each number of frames; the number in the
other names is that of the build's longest scene view. Records stream through: what is held is one record and, for each
frame of its scene, a digest. Equal builds and options give equal bytes; the same command goes on where it was stopped.

Their loader draws its cross of 21 pixels on the image as it is, so on images narrower than ScanNet's 1296 pixels it is
larger relative to what it marks than ours, which scales with the image (:mod:`gapdata.prompts.marks`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gapdata.annotations.conversation import TASKS
from gapdata.annotations.splits import SPLITS
from gapdata.errors import ShardError, UsageError
from gapdata.export.items import Item, record_items, without_file
from gapdata.export.posed_images import PosedImages
from gapdata.files.atomic import atomic_file, write_atomically
from gapdata.files.json_items import JsonList
from gapdata.files.storage import Location
from gapdata.records.schema import Record
from gapdata.records.views import KIND_OF_TASK
from gapdata.runtime.choices import check_choice
from gapdata.runtime.counting import counted
from gapdata.shards.index import INDEX_NAME, read_index
from gapdata.shards.reader import ShardReader
from gapdata.sources.scannet import SCENE_ID
from gapdata.tasks.wordings import Wording

FORMAT = "gap-json"
MANIFEST, REPORT, ANNOTATIONS = "export.json", "report.json", "annotations"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What is to be exported."""

    build: Location
    out: Path
    tasks: tuple[str, ...] = TASKS
    split: str | None = None  # None: every split, each in its own files
    wording: Wording = "gap"


def export_build(
    request: ExportRequest,
    progress: Callable[[int], None] = lambda count: None,
    announce: Callable[[int], None] = lambda total: None,
) -> dict[str, Any]:
    """Write the export and return its report; ``announce`` is told how many records there are, ``progress`` of finished
    ones.

    Raises:
        UsageError: the build holds no record of the split, a task is unknown, or the folder holds something else.
        ShardError: the build is damaged, or a name in it is none.
    """
    for task in request.tasks or ("",):
        check_choice("task", task, TASKS)
    reader = ShardReader(request.build)
    chosen = reader.select(split=request.split)
    if not chosen:
        kind = "record" if request.split is None else f"record of split {request.split}"
        raise UsageError(f"holds no {kind}", path=request.build)
    frames = _scene_frames(request.build)
    _claim(request)
    announce(len(chosen))
    with _Export(request, frames) as export:
        for position in chosen:
            export.take(reader[position])
            progress(1)
        export.finish()
    report = export.report()
    write_atomically(request.out / REPORT, _json(report))
    return report


def format_report(report: Mapping[str, Any]) -> str:
    """The report for people."""
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
    """An export under way: the JSON files that are open, the frames, and what was counted."""

    def __init__(self, request: ExportRequest, scene_frames: Mapping[str, int]) -> None:
        self._request, self._scene_frames = request, scene_frames
        self._frames = PosedImages(request.out)
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
        if record.split not in SPLITS:
            raise ShardError(f"record {record.key!r} is of a split {record.split!r}", cure="run `gapdata verify`")
        self._records += 1
        obstacle = self._frames.obstacle(record)
        found, explained = False, self._lose("conversation", without_file(record))
        for task in self._request.tasks:
            items, lost = record_items(record, task, self._request.wording)
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
        """What was written and what was not, in plain types and a fixed order."""
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
            folder = self._request.out / ANNOTATIONS
            folder.mkdir(exist_ok=True)
            self._files[name] = JsonList(self._stack.enter_context(atomic_file(folder / name)))
        try:
            self._files[name].extend(items)
        except ValueError as error:
            raise ShardError(f"record {record.key}: holds a number that JSON has no form for: {error}") from error
        if any("pixel_coords" in item for item in items):
            self._narrowest = min(self._narrowest, record.image_size[0])

    def _lose(self, task: str, lost: Counter[str]) -> bool:
        """Count what was left out; whether there was anything."""
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
    """The number of frames by which files about scene views are named, and those about views around their frames."""
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


def _claim(request: ExportRequest) -> None:
    """Make the folder this export's own, or make sure that it is.

    Raises:
        UsageError: it holds something else.
    """
    wanted = {
        "format": FORMAT,
        "build": hashlib.sha256((request.build / INDEX_NAME).read_bytes()).hexdigest(),
        "tasks": [task for task in TASKS if task in request.tasks],
        "split": request.split,
        "wording": request.wording,
    }
    manifest = request.out / MANIFEST
    if request.out.exists() and not request.out.is_dir():
        raise UsageError("is no folder", path=request.out, cure="name a new folder")
    if not manifest.is_file():
        if request.out.is_dir() and any(not _is_leftover(path) for path in request.out.iterdir()):
            raise UsageError("is not empty and holds no export", path=request.out, cure="name a new folder")
        request.out.mkdir(parents=True, exist_ok=True)
        write_atomically(manifest, _json(wanted))
        return
    try:
        found = json.loads(manifest.read_bytes())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError("is no record of an export", path=manifest, cure="name a new folder")
    others = [name for name, value in wanted.items() if found.get(name) != value]
    if others:
        problem = f"holds an export of another {', '.join(others)}"
        raise UsageError(problem, path=request.out, cure="name a new folder")


def _is_leftover(path: Path) -> bool:
    """Whether a file was on its way when a program was killed: see :func:`gapdata.files.atomic.atomic_file`."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"
