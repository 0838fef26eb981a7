"""The fused point cloud of a record: every valid pixel of every frame as a coloured, oriented sample of a surface.

Normals and sample spacings are there so that the pictures can draw closed surfaces and leave out those seen from
behind; validity and error so that they can be coloured by them. All are estimated for display and are not a part of the
record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.consistency import Surface, surface_distances
from gapdata.geometry.pointmap import first_frame_pointmap
from gapdata.records.codec import (
    MILLIMETRES_PER_METRE,
)
from gapdata.records.schema import Record
from gapdata.show.scene.surfaces import EDGE, camera_normals, pixel_validity

MIN_SLANT = 0.3
"""Least cosine between normal and viewing ray that widens the sample spacing: below it normals are too uncertain."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointCloud:
    """N coloured surface samples in one frame of reference: of a record, the camera of its first frame."""

    points: NDArray[np.float32]  # (N, 3) metres
    colors: NDArray[np.uint8]  # (N, 3) RGB
    normals: NDArray[np.float32]  # (N, 3) unit, towards the camera that saw the point
    spacing: NDArray[np.float32]  # (N,) metres from one sample to the next, along the surface
    frames: NDArray[np.uint32]  # (N,) position of the frame within the view; of a whole scene, the raw frame id
    instances: NDArray[np.uint16]  # (N,) object id + 1, 0 where none
    validity: NDArray[np.uint8]  # (N,) place in surfaces.VALIDITY
    error: NDArray[np.float32]  # (N,) metres, disagreement with the view's other frames; NaN where none sees the point

    def __len__(self) -> int:
        return len(self.points)

    def select(self, index: NDArray[np.integer] | NDArray[np.bool_] | slice) -> PointCloud:
        """Return the points that ``index`` names, as a mask or by position."""
        return PointCloud(**{item.name: getattr(self, item.name)[index] for item in fields(self)})

    def sample(self, count: int) -> PointCloud:
        """Return about ``count`` evenly spread points, at least that many where the cloud has them."""
        return self.select(np.s_[:: max(1, len(self) // count)])

    def thinned(self, voxel: float, origin: NDArray[np.floating] | None = None) -> PointCloud:
        """Return one point per cube of ``voxel`` metres: mean position, colour, normal and error, else its first's.

        ``origin`` is a corner of the grid, the cloud's lowest corner where it is ``None``.
        """
        if not len(self):
            return self
        cells = np.floor((self.points - (self.points.min(axis=0) if origin is None else origin)) / voxel)
        cells = (cells - cells.min(axis=0)).astype(np.int64)
        key = np.ravel_multi_index(tuple(cells.T), tuple(cells.max(axis=0) + 1))
        _, first, inverse, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)

        def mean(values: NDArray[np.generic]) -> NDArray[np.float64]:
            return np.stack([np.bincount(inverse, weights=column) / count for column in values.T], axis=1)

        normals, known = mean(self.normals), np.isfinite(self.error)
        total, compared = mean(np.stack([np.where(known, self.error, 0), known], axis=1)).T
        return replace(
            self.select(first),
            points=mean(self.points).astype(np.float32),
            colors=np.rint(mean(self.colors)).astype(np.uint8),
            normals=(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)).astype(np.float32),
            # Two neighbours are up to a diagonal apart: discs of this size leave no gaps between them.
            spacing=np.maximum(self.spacing[first], np.float32(voxel * np.sqrt(3.0))),
            error=np.divide(total, compared, out=np.full_like(total, np.nan), where=compared > 0).astype(np.float32),
        )


def joined(parts: Sequence[PointCloud]) -> PointCloud:
    """Join several clouds of one frame of reference."""
    return PointCloud(
        **{item.name: np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(PointCloud)}
    )


def fuse(record: Record, *, max_points: int | None = None, drop_flying: bool = False) -> PointCloud:
    """Fuse the frames of a record, decoded one at a time; ``error`` is NaN (:func:`with_error` measures it).

    Args:
        record: a record with its members.
        max_points: keep every s-th pixel of every s-th row, s being the smallest stride that stays below this count.
        drop_flying: leave out pixels with a depth that continues neither neighbour, as a sensor (or an interpolation)
            makes them at depth edges. For display only: a record keeps them.

    Raises:
        ShardError: a member is missing or damaged.
    """
    stride = pixel_stride(record, len(record), max_points)
    return joined([fuse_frame(record, frame, stride, drop_flying=drop_flying) for frame in range(len(record))])


def pixel_stride(record: Record, frames: int, max_points: int | None) -> int:
    """Return the smallest stride at which ``frames`` frames of the record have at most ``max_points`` pixels."""
    width, height = record.image_size
    stride = 1
    while max_points is not None and frames * (width // stride) * (height // stride) > max_points:
        stride += 1
    return stride


def fuse_frame(record: Record, frame: int, stride: int = 1, *, drop_flying: bool = False) -> PointCloud:
    """Return one frame's part of the cloud, in the camera of the record's first frame.

    Raises:
        ShardError: a member is missing or damaged.
    """
    depth, camera, pose = record.depth(frame), record.camera(frame), record.camera_to_first[frame]
    points = first_frame_pointmap(depth[None], [camera], pose[None])[0]
    local_normals = camera_normals(depth, camera)
    validity = pixel_validity(depth, camera, local_normals)
    keep = np.isfinite(points).all(axis=-1)
    if drop_flying:
        keep &= validity != EDGE
    sampled = np.zeros_like(keep)
    sampled[stride // 2 :: stride, stride // 2 :: stride] = True
    keep &= sampled
    count = int(keep.sum())
    instances = record.instances(frame)[keep] if record.has_instances else np.zeros(count, dtype=np.uint16)
    kept = points[keep]
    normals = (local_normals[keep] @ pose[:3, :3].T).astype(np.float32)
    rays = kept - pose[:3, 3].astype(np.float32)
    slant = -np.einsum("nc,nc->n", normals, rays) / np.linalg.norm(rays, axis=1)
    return PointCloud(
        points=kept,
        colors=record.image(frame)[keep],
        normals=normals,
        spacing=depth[keep] * np.float32(stride / min(camera.fx, camera.fy)) / np.clip(slant, MIN_SLANT, 1.0),
        frames=np.full(count, frame, dtype=np.uint32),
        instances=instances,
        validity=validity[keep],
        error=np.full(count, np.nan, dtype=np.float32),
    )


def with_error(record: Record, cloud: PointCloud) -> PointCloud:
    """Measure the mean distance of each point of a cloud from the surfaces that the view's other frames have.

    It is the point-to-plane distance of :mod:`gapdata.geometry.consistency`; its medians over pairs of frames are the
    record's ``reprojection_error``: sensor noise gives millimetres to a centimetre, a wrong pose more.

    Args:
        record: the record of the cloud, with its members.
        cloud: of :func:`fuse`, not thinned, in the camera of the first frame.

    Raises:
        ShardError: a member is missing or damaged.
    """
    cameras = record.cameras
    nothing = np.zeros((3, 0), dtype=np.float32)
    surfaces = [
        Surface(
            depth=np.rint(record.depth(frame) * MILLIMETRES_PER_METRE).astype(np.uint16),
            camera=cameras[frame],
            points=nothing,
            normals=nothing,
        )
        for frame in range(len(record))
    ]
    first_to_camera = np.linalg.inv(record.camera_to_first)
    error = np.full(len(cloud), np.nan, dtype=np.float32)
    for frame in range(len(record)):
        of_frame = cloud.frames == frame
        samples = replace(
            surfaces[frame],
            points=np.ascontiguousarray(cloud.points[of_frame].T),
            normals=np.ascontiguousarray(cloud.normals[of_frame].T),
        )
        total = np.zeros(samples.points.shape[1], dtype=np.float32)
        compared = np.zeros_like(total)
        for other in range(len(record)):
            if other != frame:
                found = surface_distances(samples, surfaces[other], first_to_camera[other])
                seen = np.isfinite(found)
                total[seen] += found[seen]
                compared += seen
        error[of_frame] = np.divide(total, compared, out=np.full_like(total, np.nan), where=compared > 0)
    return replace(cloud, error=error)
