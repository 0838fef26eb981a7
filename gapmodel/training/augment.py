"""Variations of a view that keep it true: other frames in another order, its mirror image, other pixels to ask about.

Frames and labelled scenes are scarce, pixels and viewpoints are not. Each function takes a decoded view and gives a
decoded view whose cameras, boxes and prompts agree with its images again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.records.schema import Prompt, Record, ViewObject

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
MIN_PIXELS = 30
"""An object that shows fewer pixels in a frame is not asked about there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """A record and its decoded members; the record's ``members`` are empty."""

    record: Record
    images: NDArray[np.uint8]  # (F, H, W, 3) RGB
    depth: NDArray[np.float32]  # (F, H, W) metres, 0 where invalid
    instances: NDArray[np.uint16]  # (F, H, W) object id + 1, 0 where none

    def points(self, frame: int, pixels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Points (n, 3) in metres, first camera, of pixels (n, 2) (u, v) of a frame; NaN where depth is invalid."""
        z = self.depth[frame][pixels[:, 1], pixels[:, 0]].astype(np.float64)
        seen = self.record.camera(frame).unproject(pixels, np.where(z > 0, z, np.nan))
        return transform(self.record.camera_to_first[frame], seen)


def decode(record: Record, *, geometry: bool) -> View:
    """Decode a record's images, and its depth and instance masks where ``geometry`` is asked for (else all 0); masks
    are all 0 for a scan without annotation, too.
    """
    frames = range(len(record))
    shape = (len(record), record.image_size[1], record.image_size[0])
    return View(
        record=replace(record, members={}),
        images=np.stack([record.image(frame) for frame in frames]),
        depth=np.stack([record.depth(frame) for frame in frames]) if geometry else np.zeros(shape, np.float32),
        instances=np.stack([record.instances(frame) for frame in frames])
        if geometry and (record.has_instances or record.objects)
        else np.zeros(shape, np.uint16),
    )


def subview(view: View, frames: Sequence[int]) -> View:
    """Return the view of ``frames`` in that order; the first of them becomes the reference of all points and boxes."""
    chosen = list(frames)
    return replace(
        view,
        record=view.record.subset(chosen),
        images=view.images[chosen],
        depth=view.depth[chosen],
        instances=view.instances[chosen],
    )


def mirror(view: View) -> View:
    """The view of the mirrored world: left and right change places, and x its sign in every camera."""
    record, width = view.record, view.record.image_size[0]
    intrinsics = record.intrinsics.copy()
    intrinsics[:, 2] = width - 1 - intrinsics[:, 2]
    return replace(
        view,
        record=replace(
            record,
            intrinsics=intrinsics,
            camera_to_world=MIRROR @ record.camera_to_world @ MIRROR,
            camera_to_first=MIRROR @ record.camera_to_first @ MIRROR,
            axis_alignment=None if record.axis_alignment is None else MIRROR @ record.axis_alignment @ MIRROR,
            objects=tuple(_mirrored(item) for item in record.objects),
            prompts=tuple(
                replace(
                    prompt,
                    pixel=(width - 1 - prompt.pixel[0], prompt.pixel[1]),
                    point=(-prompt.point[0], prompt.point[1], prompt.point[2]),
                )
                for prompt in record.prompts
            ),
        ),
        images=np.ascontiguousarray(view.images[:, :, ::-1]),
        depth=np.ascontiguousarray(view.depth[:, :, ::-1]),
        instances=np.ascontiguousarray(view.instances[:, :, ::-1]),
    )


def sample_prompt(view: View, rng: np.random.Generator) -> Prompt | None:
    """A new prompt: a random frame, a random annotated object in it, a random pixel of it with valid depth.

    ``None`` where no frame shows an annotated object with valid depth.
    """
    labels = {item.object_id: item.label for item in view.record.objects}
    for frame in rng.permutation(len(view.record)).tolist():
        seen = np.where(view.depth[frame] > 0, view.instances[frame], 0)
        counts = np.bincount(seen.ravel())
        ids = [int(value) - 1 for value in np.flatnonzero(counts >= MIN_PIXELS) if int(value) - 1 in labels]
        if not ids:
            continue
        object_id = int(rng.choice(ids))
        rows, columns = np.nonzero(seen == object_id + 1)
        pick = int(rng.integers(len(rows)))
        pixel = (int(columns[pick]), int(rows[pick]))
        point = view.points(frame, np.array([pixel]))[0]
        return Prompt(
            index=1, frame=frame, pixel=pixel, point=_triple(point), object_id=object_id, label=labels[object_id]
        )
    return None


def _mirrored(item: ViewObject) -> ViewObject:
    flip = MIRROR[:3, :3]
    # A reflected rotation is none; turning the box's own x axis round makes it one again and leaves the box as it is.
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
