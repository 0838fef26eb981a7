"""The cameras, boxes and points of the truth and of a model's answers, each in the frame of reference of its cloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.camera import Intrinsics, transform
from gapdata.records.schema import Record
from gapdata.show.scene.palette import Color, frame_color, object_color, prompt_color

IMAGE_WIDTH = 256
"""Pixels of the image that a frustum carries."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShownCamera:
    """A frame's camera with its image."""

    camera: Intrinsics
    to_shown: NDArray[np.float64]  # (4, 4)
    caption: str
    color: Color
    image: NDArray[np.uint8]  # (h, w, 3) RGB, IMAGE_WIDTH wide


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShownBox:
    """An oriented box: an object's, or one that a model answered."""

    box: OrientedBox
    label: str
    color: Color
    visible_pixels: int = 0
    object_id: int | None = None
    predicted: bool = False
    note: str = ""
    """The error of an answer, e.g. ``IoU 0.43``."""

    @property
    def text(self) -> str:
        """The words beside it."""
        return f"{self.label}  {self.note}" if self.note else self.label

    def moved(self, matrix: NDArray[np.float64]) -> ShownBox:
        """Return the same in another frame of reference, through a rigid (4, 4) transform."""
        return replace(self, box=self.box.transformed(matrix))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShownPoint:
    """A prompt's point, or a model's answer to it."""

    point: NDArray[np.float64]  # (3,) metres
    number: int  # of the prompt
    label: str
    color: Color
    eye: NDArray[np.float64] | None = None  # (3,) the camera of the marked frame, where the ray starts
    truth: NDArray[np.float64] | None = None  # (3,) of an answer: where it should be
    note: str = ""
    """The error of an answer, e.g. ``0.23 m off``."""

    @property
    def predicted(self) -> bool:
        """Whether it is a model's answer."""
        return self.truth is not None

    def moved(self, matrix: NDArray[np.float64]) -> ShownPoint:
        """Return the same in another frame of reference, through a rigid (4, 4) transform."""
        eye, truth = (None if at is None else transform(matrix, at) for at in (self.eye, self.truth))
        return replace(self, point=transform(matrix, self.point), eye=eye, truth=truth)


def record_cameras(
    record: Record, frames: Sequence[int], order: Sequence[int], first_to_shown: NDArray[np.float64]
) -> tuple[ShownCamera, ...]:
    """Return the cameras of some frames of a record, coloured by their raw ids' places in ``order``.

    Raises:
        ShardError: an image is missing or damaged.
    """
    import cv2

    shown = []
    for frame in frames:
        image, raw = record.image(frame), record.frame_ids[frame]
        size = (IMAGE_WIDTH, max(1, round(IMAGE_WIDTH * image.shape[0] / image.shape[1])))
        shown.append(
            ShownCamera(
                camera=record.camera(frame),
                to_shown=first_to_shown @ record.camera_to_first[frame],
                caption=f"frame {raw}",
                color=frame_color(order.index(raw), len(order)),
                image=np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA)),
            )
        )
    return tuple(shown)


def record_boxes(record: Record) -> tuple[ShownBox, ...]:
    """Return the boxes of a record's objects in the camera of its first frame."""
    return tuple(
        ShownBox(
            box=item.box,
            label=item.label,
            color=object_color(item.object_id),
            visible_pixels=sum(item.visible_pixels),
            object_id=item.object_id,
        )
        for item in record.objects
    )


def record_points(record: Record) -> tuple[ShownPoint, ...]:
    """Return the prompts of a record in the camera of its first frame, each in its own colour."""
    return tuple(
        ShownPoint(
            point=np.array(prompt.point),
            number=prompt.index,
            label=prompt.label or "point",
            color=prompt_color(prompt.index),
            eye=record.camera_to_first[prompt.frame, :3, 3].copy(),
        )
        for prompt in record.prompts
    )
