"""The fused point cloud of a record: every valid pixel of every frame as a coloured, oriented sample of a surface.

Normals and sample spacings are there so that the pictures can draw closed surfaces and leave out those seen from
behind; they are estimated for display and are no part of the record.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.pointmap import first_frame_pointmap
from gapdata.records.codec import record_depth, record_image, record_instances
from gapdata.records.schema import Record

FLYING_TOLERANCE = 0.04
"""Second difference of inverse depth, relative to it, above which a neighbour does not continue a pixel's plane: about
twice what a structured-light sensor's noise gives at 5 m, far below a step between two surfaces."""

BILATERAL_DISPARITY = 0.008
"""Range sigma (1/m) of the filter under the normals. The noise of structured light is constant in inverse depth, about
0.0016/m (Khoshelham and Elberink, Sensors 2012), so one figure serves at every distance."""

MIN_SLANT = 0.3
"""Least cosine between normal and viewing ray that widens the sample spacing: below it normals are too uncertain."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointCloud:
    """N coloured surface samples in the camera of the record's first frame."""

    points: NDArray[np.float32]  # (N, 3) metres, first camera
    colors: NDArray[np.uint8]  # (N, 3) RGB
    normals: NDArray[np.float32]  # (N, 3) unit, towards the camera that saw the point
    spacing: NDArray[np.float32]  # (N,) metres from one sample to the next, along the surface
    frames: NDArray[np.uint16]  # (N,) position of the frame within the view
    instances: NDArray[np.uint16]  # (N,) object id + 1, 0 where none

    def __len__(self) -> int:
        return len(self.points)

    def select(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> PointCloud:
        """The points that ``index`` names, as a mask or by position."""
        return PointCloud(**{item.name: getattr(self, item.name)[index] for item in fields(self)})

    def thinned(self, voxel: float) -> PointCloud:
        """One point per cube of ``voxel`` metres: mean position, colour and normal; frame and instance of its first."""
        if not len(self):
            return self
        cells = np.floor((self.points - self.points.min(axis=0)) / voxel).astype(np.int64)
        extent = cells.max(axis=0) + 1
        key = (cells[:, 0] * extent[1] + cells[:, 1]) * extent[2] + cells[:, 2]
        _, first, inverse, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)

        def mean(values: NDArray[np.generic]) -> NDArray[np.float64]:
            columns = [np.bincount(inverse, weights=column, minlength=len(count)) for column in values.T]
            return np.stack(columns, axis=1) / count[:, None]

        normals = mean(self.normals)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
        return PointCloud(
            points=mean(self.points).astype(np.float32),
            colors=np.rint(mean(self.colors)).astype(np.uint8),
            normals=normals.astype(np.float32),
            spacing=np.maximum(self.spacing[first], np.float32(voxel)),
            frames=self.frames[first],
            instances=self.instances[first],
        )


def fuse(
    record: Record, *, max_points: int | None = None, voxel: float | None = None, drop_flying: bool = False
) -> PointCloud:
    """The fused cloud of a record, decoded one frame at a time.

    Args:
        record: a record with its members.
        max_points: keep every s-th pixel of every s-th row, s being the smallest stride that stays below this count.
        voxel: thin the result to one point per cube of this size, metres.
        drop_flying: leave out pixels whose depth continues neither neighbour, as a sensor (or an interpolation) makes
            them at depth edges. For display only: a record keeps them.

    Raises:
        ShardError: a member is missing or damaged.
    """
    width, height = record.image_size
    stride = 1
    while max_points is not None and len(record) * (width // stride) * (height // stride) > max_points:
        stride += 1
    parts = [_fuse_frame(record, frame, stride, drop_flying) for frame in range(len(record))]
    joined = {item.name: np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(PointCloud)}
    cloud = PointCloud(**joined)
    return cloud if voxel is None else cloud.thinned(voxel)


def _fuse_frame(record: Record, frame: int, stride: int, drop_flying: bool) -> PointCloud:
    depth, camera, pose = record_depth(record, frame), record.camera(frame), record.camera_to_first[frame]
    points = first_frame_pointmap(depth[None], [camera], pose[None])[0]
    keep = np.isfinite(points).all(axis=-1)
    if drop_flying:
        keep &= continued_pixels(depth)
    sampled = np.zeros_like(keep)
    sampled[stride // 2 :: stride, stride // 2 :: stride] = True
    keep &= sampled
    has_instances = f"{frame:02d}.instance.png" in record.members
    instances = record_instances(record, frame)[keep] if has_instances else np.zeros(int(keep.sum()), dtype=np.uint16)
    kept = points[keep]
    normals = (camera_normals(depth, camera)[keep] @ pose[:3, :3].T).astype(np.float32)
    rays = kept - pose[:3, 3].astype(np.float32)
    slant = -np.einsum("nc,nc->n", normals, rays) / np.linalg.norm(rays, axis=1)
    return PointCloud(
        points=kept,
        colors=record_image(record, frame)[keep],
        normals=normals,
        spacing=depth[keep] * np.float32(stride / min(camera.fx, camera.fy)) / np.clip(slant, MIN_SLANT, 1.0),
        frames=np.full(int(keep.sum()), frame, dtype=np.uint16),
        instances=instances,
    )


def continued_pixels(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels (H, W) whose depth carries on, as a plane would, on at least one side along the row and along the column.

    Inverse depth is linear in the pixel coordinates on a plane, so a second difference near 0 tells a surface, however
    slanted, from a pixel that hangs between two of them.
    """
    disparity = np.divide(1.0, depth, out=np.full_like(depth, np.nan), where=depth > 0)
    kept = np.isfinite(disparity)
    for axis in (0, 1):
        flat = np.abs(np.diff(disparity, n=2, axis=axis)) < FLYING_TOLERANCE * _inner(disparity, axis)
        shape = list(disparity.shape)
        shape[axis] = 2
        edge = np.zeros(shape, dtype=bool)
        kept &= np.concatenate([flat, edge], axis=axis) | np.concatenate([edge, flat], axis=axis)
    return kept


def _inner(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return values[1:-1] if axis == 0 else values[:, 1:-1]


def camera_normals(depth: NDArray[np.float32], camera: Intrinsics) -> NDArray[np.float32]:
    """Unit normals (H, W, 3) in the camera's own frame, towards it, of a depth image (H, W) in metres.

    The inverse depth is smoothed within surfaces (bilateral filter), unprojected and differentiated over five pixels.
    Where a neighbour is missing, the normal is the direction to the camera.
    """
    import cv2

    disparity = np.divide(1.0, depth, out=np.zeros_like(depth), where=depth > 0)
    smooth = cv2.bilateralFilter(disparity, 9, BILATERAL_DISPARITY, 4.0)
    rays = camera.rays().astype(np.float32)
    points = rays / np.where(depth > 0, np.maximum(smooth, 1e-6), np.float32(np.nan))[..., None]
    normals = np.full_like(points, np.nan)
    along_row = points[2:-2, 4:] - points[2:-2, :-4]
    along_column = points[4:, 2:-2] - points[:-4, 2:-2]
    normals[2:-2, 2:-2] = np.cross(along_column, along_row)
    normals[:2], normals[-2:] = normals[2], normals[-3]
    normals[:, :2], normals[:, -2:] = normals[:, 2:3], normals[:, -3:-2]
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    toward = -rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    normals = cv2.blur(np.where(np.isfinite(normals), normals, toward), (3, 3))
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
