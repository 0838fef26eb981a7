"""Decoded records and their variations: other frames in another order, the mirror image, other pixels to ask about.

Frames and labelled scenes are scarce, pixels and viewpoints are not. Each variation is a decoded record with cameras,
boxes and prompts that agree with its images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.records.schema import Prompt, Record, ViewObject
from gapdata.shards.samples import decoded as decoded_fields

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
MIN_PIXELS = 30
"""An object that shows fewer pixels in a frame is not asked about there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodedRecord:
    """A record and its decoded members; the record's ``members`` are empty."""

    record: Record
    images: NDArray[np.uint8]  # (F, H, W, 3) RGB
    depth: NDArray[np.float32]  # (F, H, W) metres, 0 where invalid
    instances: NDArray[np.uint16]  # (F, H, W) object id + 1, 0 where none

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self.images.nbytes + self.depth.nbytes + self.instances.nbytes

    def points(self, frame: int, pixels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the points (n, 3) of pixels (n, 2) (u, v) of a frame, metres, first camera; NaN where unknown."""
        z = self.depth[frame][pixels[:, 1], pixels[:, 0]].astype(np.float64)
        seen = self.record.camera(frame).unproject(pixels, np.where(z > 0, z, np.nan))
        return transform(self.record.camera_to_first[frame], seen)


def decode(record: Record, *, geometry: bool) -> DecodedRecord:
    """Decode a record's images and, with ``geometry``, its depth and instance masks.

    Without ``geometry`` these two are 0; masks are 0 for a scan without annotation, too.
    """
    if geometry:
        return DecodedRecord(**decoded_fields(record, ("record", "images", "depth", "instances")))
    shape = (len(record), record.image_size[1], record.image_size[0])
    return DecodedRecord(
        **decoded_fields(record, ("record", "images")),
        depth=np.zeros(shape, np.float32),
        instances=np.zeros(shape, np.uint16),
    )


def subset(decoded: DecodedRecord, frames: Sequence[int]) -> DecodedRecord:
    """Return the record of these frames in this order; the first becomes the reference of all points and boxes."""
    chosen = list(frames)
    return replace(
        decoded,
        record=decoded.record.subset(chosen),
        images=decoded.images[chosen],
        depth=decoded.depth[chosen],
        instances=decoded.instances[chosen],
    )


def mirror(decoded: DecodedRecord) -> DecodedRecord:
    """Return the record of the mirrored world: left and right change places, and x its sign in every camera."""
    record, width = decoded.record, decoded.record.image_size[0]
    intrinsics = record.intrinsics.copy()
    intrinsics[:, 2] = width - 1 - intrinsics[:, 2]
    return replace(
        decoded,
        record=replace(
            record,
            intrinsics=intrinsics,
            camera_to_world=MIRROR @ record.camera_to_world @ MIRROR,
            camera_to_first=MIRROR @ record.camera_to_first @ MIRROR,
            axis_alignment=None if record.axis_alignment is None else MIRROR @ record.axis_alignment @ MIRROR,
            objects=tuple(_mirrored(item) for item in record.objects),
            room=None if record.room is None else record.room.mirrored(),
            prompts=tuple(
                replace(
                    prompt,
                    pixel=(width - 1 - prompt.pixel[0], prompt.pixel[1]),
                    point=(-prompt.point[0], prompt.point[1], prompt.point[2]),
                )
                for prompt in record.prompts
            ),
        ),
        images=np.ascontiguousarray(decoded.images[:, :, ::-1]),
        depth=np.ascontiguousarray(decoded.depth[:, :, ::-1]),
        instances=np.ascontiguousarray(decoded.instances[:, :, ::-1]),
    )


def sample_prompt(decoded: DecodedRecord, rng: np.random.Generator) -> Prompt | None:
    """Draw a prompt: a random frame, a random annotated object in it, a random pixel of that object with valid depth.

    ``None`` where no frame shows an annotated object with valid depth.
    """
    labels = {item.object_id: item.label for item in decoded.record.objects}
    for frame in rng.permutation(len(decoded.record)).tolist():
        seen = np.where(decoded.depth[frame] > 0, decoded.instances[frame], 0)
        counts = np.bincount(seen.ravel())
        ids = [int(value) - 1 for value in np.flatnonzero(counts >= MIN_PIXELS) if int(value) - 1 in labels]
        if not ids:
            continue
        object_id = int(rng.choice(ids))
        rows, columns = np.nonzero(seen == object_id + 1)
        pick = int(rng.integers(len(rows)))
        pixel = (int(columns[pick]), int(rows[pick]))
        point = decoded.points(frame, np.array([pixel]))[0]
        return Prompt(
            index=1, frame=frame, pixel=pixel, point=_triple(point), object_id=object_id, label=labels[object_id]
        )
    return None


def _mirrored(item: ViewObject) -> ViewObject:
    flip = MIRROR[:3, :3]
    # A reflected rotation is not a rotation. Turning the box's own x axis round makes it one; the box stays as it is.
    aligned, proposal = item.aligned_box, item.proposal
    if proposal is not None:
        center, rotation = flip @ proposal["center"], flip @ proposal["rotation"] @ flip
        proposal = {**proposal, "center": center.tolist(), "rotation": rotation.tolist()}
    return replace(
        item,
        center=(-item.center[0], item.center[1], item.center[2]),
        rotation=_rows(flip @ np.array(item.rotation) @ flip),
        aligned_box=None if aligned is None else (-aligned[0], *aligned[1:]),
        proposal=proposal,
    )


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _rows(matrix: NDArray[np.float64]) -> tuple[tuple[float, float, float], ...]:
    return tuple(_triple(row) for row in matrix)
