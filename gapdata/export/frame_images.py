"""Write the frames that questions are about: each stored JPEG once, and a marked copy of it for each set of marks.

```
images/<scene>/00350.jpg                  the stored JPEG, byte for byte
images/<scene>/00350-0-120-95.jpg         with the cross (number 0) at column 120, row 95, drawn as in training
images/<scene>/00350-1-9-95-2-80-12.jpg   with the numbered crosses 1 and 2
```
A marked copy is encoded once from the decoded frame, at a quality at which the cross keeps its colour: chroma is not
halved, because its bar is one or two pixels wide.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.export.placing import check_names, damaged, place, stored_image
from gapdata.prompts.marks import draw_marks
from gapdata.records.schema import Record
from gapdata.tasks.chat import Mark

IMAGES = "images"
QUALITY = 95
"""Of marked copies; nothing of a cross two pixels wide is lost at it."""


class FrameImages:
    """A writer of frames below ``images/``.

    Records of a scene lie together in a build, so the frames of one scene are remembered. If a scene comes up again,
    its files on disk are compared instead.

    Attributes:
        frames: how many frames were written or found in place.
        marked: how many marked copies.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._scene = self._key = ""
        self._seen: dict[str, bytes] = {}
        self._stored: list[tuple[bytes, bytes]] = []
        self.frames = self.marked = 0

    def write(self, record: Record, marks: Sequence[Mark] = ()) -> list[str]:
        """Write the images of one question that are not there yet, and return their paths below the folder.

        Args:
            record: with its members.
            marks: what is drawn, of all frames.

        Raises:
            ShardError: an image is missing or damaged, its file exists and holds something else, or a name would lead
                out of the folder.
        """
        if record.scene_id != self._scene:
            check_names(record)
            self._scene, self._seen = record.scene_id, {}
            (self._out / IMAGES / record.scene_id).mkdir(parents=True, exist_ok=True)
        if record.key != self._key:
            images = [stored_image(record, frame) for frame in range(len(record))]
            self._key, self._stored = record.key, [(data, hashlib.sha256(data).digest()) for data in images]
        return [self._frame(record, frame, marks) for frame in range(len(record))]

    def flush(self) -> None:
        """Wait until all images are on disk; to be called before a file that names them appears."""
        os.sync()

    def _frame(self, record: Record, frame: int, marks: Sequence[Mark]) -> str:
        drawn = {mark.number: mark.pixel for mark in marks if mark.frame == frame}
        stem = f"{IMAGES}/{record.scene_id}/{record.frame_ids[frame]:05d}"
        name = "-".join([stem, *(f"{number}-{u}-{v}" for number, (u, v) in sorted(drawn.items()))]) + ".jpg"
        data, digest = self._stored[frame]
        if self._seen.get(name, digest) != digest:
            raise damaged(record, frame, "another record has other bytes for this frame")
        if name not in self._seen:
            place(self._out / name, encode(draw_marks(record.image(frame), drawn)) if drawn else data, durable=False)
            self._seen[name] = digest
            self.frames += not drawn
            self.marked += bool(drawn)
        return name


def encode(image: NDArray[np.uint8]) -> bytes:
    """Encode a marked frame, (H, W, 3) uint8 RGB, as JPEG with full chroma."""
    import cv2

    settings = [
        *(cv2.IMWRITE_JPEG_QUALITY, QUALITY),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ]
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)[1])
