"""Make instance masks for objects that a source gives as boxes, without vertices.

Either a pixel shows the smallest box that its own depth lies in, or the vertices of the scan's mesh inside a box become
the object's, and rays are cast as for a labelled mesh. In both:

- The lowest two centimetres of a box are left out, because floors and table tops reach into boxes.
- A point in no box belongs to the smallest box that it is less than three centimetres away from. The faces of cabinets
  and table tops are those of their boxes, and readings scatter about them: without this about half of them were lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.camera import Intrinsics, transform
from gapdata.sources.base import Annotation

SUPPORT = 0.02
"""Metres at the bottom of a box that count as what it stands on."""
SCATTER = 0.03
"""Metres by which readings of a face may lie outside its box: noise of a phone's depth, and poses."""


class BoxMasks:
    """Instance masks from boxes and the depth inside them.

    Args:
        boxes: by object id, metres, in the scan's world.
        up: (3,) unit vector against gravity in that world; ``None`` where it is not known.
    """

    def __init__(self, boxes: Mapping[int, OrientedBox], up: NDArray[np.float64] | None) -> None:
        # From the largest to the smallest, so that a smaller box wins where two overlap.
        self._boxes = sorted(boxes.items(), key=lambda item: (-float(np.prod(item[1].size)), item[0]))
        self._up = up

    @property
    def notes(self) -> Mapping[str, int]:
        """Empty: boxes do not have defects of their own."""
        return {}

    def render(
        self, frame: int, camera: Intrinsics, camera_to_world: NDArray[np.float64], depth: NDArray[np.float32]
    ) -> NDArray[np.uint16]:
        """Return the object id + 1 of each pixel, (H, W) uint16, 0 where there is none or depth is not known.

        Args:
            frame: not needed here.
            camera: of the stored frame.
            camera_to_world: (4, 4) in the world of the boxes.
            depth: (H, W) float32 metres registered to the frame, 0 where invalid.
        """
        within, near = (np.zeros(depth.shape, dtype=np.uint16) for _ in range(2))
        world_to_camera = np.linalg.inv(camera_to_world)
        for object_id, box in self._boxes:
            grown = replace(box, size=box.size + 2 * SCATTER)
            window = _window(transform(world_to_camera, grown.corners), camera)
            if window is not None:
                planes = self._planes(box, camera_to_world)
                inside, about = _between(planes, depth[window], camera, window)
                within[window][inside], near[window][about] = object_id + 1, object_id + 1
        return np.where(within > 0, within, near)

    def _planes(self, box: OrientedBox, camera_to_world: NDArray[np.float64]) -> list[_Planes]:
        """Return the pairs of planes between which a point of the camera must lie to be in the box."""
        axes = [(box.rotation[:, axis], -box.size[axis] / 2, box.size[axis] / 2, SCATTER) for axis in range(3)]
        if self._up is not None:
            lowest = float(((box.corners - box.center) @ self._up).min())
            axes.append((self._up, lowest + SUPPORT, np.inf, 0.0))
        eye = camera_to_world[:3, 3] - box.center
        return [
            _Planes(
                normal=camera_to_world[:3, :3].T @ axis,
                least=least - axis @ eye,
                most=most - axis @ eye,
                scatter=scatter,
            )
            for axis, least, most, scatter in axes
        ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Planes:
    """Two parallel planes: points p of the camera between them have ``least <= normal @ p <= most``."""

    normal: NDArray[np.float64]  # (3,) unit vector, camera axes
    least: float  # metres
    most: float
    scatter: float  # metres outside at which a point still counts as near


def _between(
    pairs: Sequence[_Planes], depth: NDArray[np.float32], camera: Intrinsics, window: tuple[slice, slice]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which pixels of a window show points between all pairs of planes, and which near that, (h, w) each.

    Pixels without depth show neither.

    A point is its depth times its ray, and ``normal @ ray`` is a sum of a part for the column and one for the row. So
    no point is computed, and each pair takes a few passes over single-precision numbers.

    Args:
        pairs: of planes.
        depth: (h, w) of the window, metres, 0 where invalid.
        camera: of the whole image.
        window: rows and columns.
    """
    rows, columns = window
    x = (np.arange(columns.start, columns.stop) - camera.cx) / camera.fx
    y = (np.arange(rows.start, rows.stop) - camera.cy) / camera.fy
    inside = depth > 0
    near = inside.copy()
    for planes in pairs:
        across = (planes.normal[0] * x).astype(np.float32)
        down = (planes.normal[1] * y + planes.normal[2]).astype(np.float32)
        height = np.add.outer(down, across)
        height *= depth
        for mask, margin in ((inside, 0.0), (near, planes.scatter)):
            mask &= height >= np.float32(planes.least - margin)
            if np.isfinite(planes.most):
                mask &= height <= np.float32(planes.most + margin)
    return inside, near


def beyond_box(box: OrientedBox, points: NDArray[np.float64], up: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return how far each point (n, 3) is outside a box, along the axis in which it is farthest, (n,) metres.

    It is 0 or less inside the box, and infinite below its lowest ``SUPPORT`` where ``up`` is known.
    """
    local = (points - box.center) @ box.rotation
    beyond = (np.abs(local) - box.size / 2).max(axis=-1)
    if up is not None:
        lowest = float((box.corners @ up).min())
        beyond = np.where(points @ up > lowest + SUPPORT, beyond, np.inf)
    return np.asarray(beyond)


def with_vertices_in_boxes(annotation: Annotation, up: NDArray[np.float64] | None) -> Annotation:
    """Return the annotation with the mesh's vertices inside each box as its object's; the smaller box wins."""
    within, near = (np.full(len(annotation.vertices), -1, dtype=np.int64) for _ in range(2))
    boxed = [(place, item.box) for place, item in enumerate(annotation.objects) if item.box is not None]
    vertices = annotation.vertices.astype(np.float64)
    for place, box in sorted(boxed, key=lambda pair: (-float(np.prod(pair[1].size)), pair[0])):
        beyond = beyond_box(box, vertices, up)
        within[beyond <= 0], near[beyond <= SCATTER] = place, place
    owner = np.where(within >= 0, within, near)
    objects = tuple(
        item if item.box is None else replace(item, vertices=np.flatnonzero(owner == place))
        for place, item in enumerate(annotation.objects)
    )
    return replace(annotation, objects=objects)


def _window(corners: NDArray[np.float64], camera: Intrinsics) -> tuple[slice, slice] | None:
    """Return the rows and columns in which a box may be seen, of its corners (8, 3) in the camera."""
    if (corners[:, 2] <= 0).all():
        return None
    if (corners[:, 2] <= 0).any():  # the box reaches behind the camera
        return slice(0, camera.height), slice(0, camera.width)
    pixels = camera.project(corners)
    left, top = np.maximum(np.floor(pixels.min(axis=0)), 0)
    right, below = np.minimum(np.ceil(pixels.max(axis=0)) + 1, [camera.width, camera.height])
    if left >= right or top >= below:
        return None
    return slice(int(top), int(below)), slice(int(left), int(right))
