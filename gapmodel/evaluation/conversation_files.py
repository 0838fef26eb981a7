"""An evaluation file of GAP-MLLM or VG-LLM and the folder of its images, as records.

Paths of the file are joined to the folder only where they stay in it; a row whose images are missing, damaged or of
different sizes is left out and counted.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import SupportsIndex

import numpy as np

from gapdata.annotations.conversation import ConversationItem
from gapdata.annotations.gap_json import read_conversations
from gapdata.annotations.proposals import read_proposals
from gapdata.errors import UsageError
from gapdata.files.storage import location
from gapdata.records.keys import around_key
from gapdata.records.schema import Record
from gapdata.records.views import KIND_OF_TASK
from gapdata.tasks.chat import Mark
from gapdata.tasks.detection import TextBox
from gapmodel.evaluation.given_records import (
    GivenRecord,
    GivenRecords,
    GivenRow,
    UnusableRow,
    counted_reasons,
    given_record,
)
from gapmodel.evaluation.predictions import fingerprint_of_files

AROUND_STEP, AROUND_REACH = 10, 90
"""The second stage of grounding sees every tenth raw frame up to 90 before and after the chosen one, where there is a
file for it: first the chosen one, then the later ones, then the earlier ones, nearest first."""
MAX_IMAGE_PIXELS = 64_000_000
FRAME_NUMBER = re.compile(r"(\D*)(\d+)(\D*)")


class ConversationFile(GivenRecords):
    """The rows of one file, in its order, and what was left out of it.

    Args:
        file: ``.json`` or ``.jsonl``.
        images: the folder that the file's paths are relative to.
        proposals: ``scannet_val_pred_box.json``, the boxes that a detector found in each scene.

    Raises:
        FileError: the file cannot be read or is not JSON.
        UsageError: there is no such folder, or the file holds nothing that can be asked.
    """

    def __init__(self, file: Path, images: Path, proposals: Path | None = None) -> None:
        if not images.is_dir():
            raise UsageError("is not a folder", path=images, cure="name the folder of the file's images with --images")
        read = read_conversations(location(file), keep_paths=True)
        if read.euler is not None:
            self.convention, self.angles_from = read.euler, "as the boxes of the file show"
        self.split = read.report.split or "val"
        self.source = str(file)
        left_out = Counter({reason.replace("_", " "): count for reason, count in read.report.ignored.items()})
        folder = ConversationImages(images)
        self._proposals = {} if proposals is None else read_proposals(location(proposals), list(read.scenes)).scenes
        records = []
        items = (item for scene in read.scenes.values() for item in scene)
        for item in sorted(items, key=lambda item: item.index):
            try:
                records.append(self._record(item, folder))
            except UnusableRow as unusable:
                left_out[str(unusable)] += 1
        super().__init__(records, counted_reasons(left_out))
        self.fingerprint = fingerprint_of_files(file.parent, (file.name,))
        self._folder = folder
        self._around: list[GivenRecord] = []
        self._found: dict[str, int | None] = {}
        self.refuse_nothing("name an evaluation file of GAP-MLLM or VG-LLM, and the folder of its images with --images")

    @property
    def around(self) -> Mapping[str, int]:
        """The views around frames of the rows, made when they are asked for; their positions follow the rows'."""
        return _Around(self)

    def __getitem__(self, which: SupportsIndex | str, /) -> Record:
        position = _position(which)
        if position is None or position < len(self):
            return super().__getitem__(which)
        return self._around[position - len(self)]

    def without_images(self, index: int) -> Record:
        """Return a record, which holds no images."""
        return self[index]

    def around_position(self, key: str) -> int | None:
        """Return the position of the view around a frame, by its key; ``None`` where no row has the frame."""
        if key not in self._found:
            base = self._frames.get(key)
            self._found[key] = None if base is None else len(self) + len(self._around)
            if base is not None:
                self._around.append(self._neighbours(key, *base))
        return self._found[key]

    @cached_property
    def _frames(self) -> Mapping[str, tuple[GivenRecord, int]]:
        """The first row of grounding that shows a frame, and the frame's position in it, by the key of its view."""
        found: dict[str, tuple[GivenRecord, int]] = {}
        for record in self.given:
            if record.kind in ("scanrefer", "scanrefer1"):
                for position, frame in enumerate(record.frame_ids):
                    found.setdefault(around_key(record.scene_id, frame), (record, position))
        return found

    def _neighbours(self, key: str, record: GivenRecord, position: int) -> GivenRecord:
        chosen, path = record.frame_ids[position], record.paths[position]
        steps = range(AROUND_STEP, AROUND_REACH + 1, AROUND_STEP)
        wanted = [chosen, *(chosen + step for step in steps), *(chosen - step for step in steps if chosen >= step)]
        before, number, after = _around_number(path.name)
        paths = {frame: path.with_name(f"{before}{frame:0{len(number)}d}{after}") for frame in wanted}
        shown = [frame for frame in wanted if frame == chosen or self._folder.size(paths[frame]) == record.image_size]
        return dataclasses.replace(
            record,
            key=key,
            frame_ids=tuple(shown),
            paths=tuple(paths[frame] for frame in shown),
            intrinsics=np.full((len(shown), 4), np.nan),
            camera_to_world=np.tile(np.eye(4), (len(shown), 1, 1)),
            camera_to_first=np.tile(np.eye(4), (len(shown), 1, 1)),
        )

    def _record(self, item: ConversationItem, folder: ConversationImages) -> GivenRecord:
        paths = [folder.path(image) for image in item.images]
        sizes = {folder.size(path) for path in paths}
        if None in sizes:
            raise UnusableRow("an image is missing or cannot be read")
        if len(sizes) > 1:
            raise UnusableRow("images of different sizes")
        (size,) = sizes
        assert size is not None
        cameras, frames = item.cameras, len(paths)
        view = KIND_OF_TASK.get(item.task, "clip")
        poses = np.tile(np.eye(4), (frames, 1, 1)) if cameras is None else cameras.camera_to_world
        base = Record(
            key=f"{item.scene_id}-{view}-row{item.index}",
            scene_id=item.scene_id,
            source="conversations",
            split=self.split,
            view=view,
            frame_ids=item.frame_ids,
            image_size=size,
            intrinsics=np.full((frames, 4), np.nan),
            camera_to_world=poses,
            camera_to_first=np.linalg.inv(poses[0]) @ poses,
            axis_alignment=None if cameras is None else cameras.axis_alignment,
        )
        row = GivenRow(
            kind=item.task,
            question=item.question,
            answer=item.answer,
            mark=None if item.mark is None else Mark(frame=item.mark[0], pixel=item.mark[1:]),
            boxes=tuple(
                TextBox(label=label, values=tuple(values))
                for label, values in zip(item.labels, item.boxes.tolist(), strict=True)
            ),
            metadata=item.metadata,
        )
        made = given_record(row, base, self.convention, paths)
        return dataclasses.replace(made, proposals=self._proposals.get(item.scene_id, made.proposals))


class ConversationImages:
    """A folder of images whose sizes are looked up once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sizes: dict[Path, tuple[int, int] | None] = {}

    def path(self, name: str) -> Path:
        """Return where an image of the file is.

        Raises:
            UnusableRow: the name leads out of the folder.
        """
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in name or "\0" in name:
            raise UnusableRow("an image's path leads out of the folder of images")
        return self.folder / parts

    def size(self, path: Path) -> tuple[int, int] | None:
        """Return an image's (width, height); ``None`` where there is none that can be read."""
        if path not in self._sizes:
            self._sizes[path] = _image_size(path)
        return self._sizes[path]


class _Around(Mapping[str, int]):
    """Views around frames by their keys."""

    def __init__(self, file: ConversationFile) -> None:
        self._file = file

    def __getitem__(self, key: str) -> int:
        position = self._file.around_position(key)
        if position is None:
            raise KeyError(key)
        return position

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _image_size(path: Path) -> tuple[int, int] | None:
    from PIL import Image

    if not path.is_file():
        return None
    try:
        with Image.open(path) as image:
            width, height = image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    return (width, height) if width * height <= MAX_IMAGE_PIXELS else None


def _around_number(name: str) -> tuple[str, str, str]:
    """Return the raw index in an image's name, with its leading zeros, and what is before and after it."""
    found = FRAME_NUMBER.fullmatch(name)
    assert found is not None  # the reader took the frame's number from this name
    return found[1], found[2], found[3]


def _position(which: SupportsIndex | str) -> int | None:
    return None if isinstance(which, str) else which.__index__()
