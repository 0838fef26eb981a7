"""Make instance masks, which tell the annotated object that every pixel of a frame shows.

There are two routes, and a recipe chooses: :class:`InstanceRenderer` casts rays onto the labelled mesh,
:class:`gapdata.prompts.projected.ProjectedInstances` reads the projections that ScanNet publishes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.prompts.borders import SensorCheck, checked_mask
from gapdata.prompts.cast_image import cast_image
from gapdata.prompts.mesh_vertices import MeshVertices
from gapdata.prompts.ray_casting import MeshCaster
from gapdata.sources.base import Annotation


class InstanceMasks(Protocol):
    """A source of instance masks, by either route."""

    @property
    def notes(self) -> Mapping[str, int]:
        """How often each defect was met and handled so far, by name."""
        ...

    def render(
        self, frame: int, camera: Intrinsics, camera_to_world: NDArray[np.float64], depth: NDArray[np.float32]
    ) -> NDArray[np.uint16]:
        """Return the object id + 1 of each pixel, (H, W) uint16, 0 where there is none.

        Args:
            frame: raw index.
            camera: of the stored frame.
            camera_to_world: (4, 4) in the scan's world.
            depth: (H, W) float32 metres registered to the frame, 0 where invalid.

        Raises:
            SourceError: the frame's mask is missing or damaged.
        """
        ...


class InstanceRenderer:
    """Instance masks from rays cast onto a scene's labelled mesh (:mod:`gapdata.prompts.cast_image`).

    Pixels where the sensor contradicts the mesh are left out (:mod:`gapdata.prompts.borders`).

    Args:
        annotation: the labelled mesh.
        tolerance: metres by which mesh and sensor depth may differ before the pixel is taken to show something that
            the mesh lacks (a person, a moved chair) and is left without an object.
        relative_tolerance: the same as a share of the depth; the larger of the two holds.
    """

    def __init__(self, annotation: Annotation, tolerance: float, relative_tolerance: float) -> None:
        self._mesh = MeshCaster(annotation)
        self._vertices = MeshVertices(annotation)
        self._check = SensorCheck(tolerance=np.float32(tolerance), relative_tolerance=np.float32(relative_tolerance))

    @property
    def notes(self) -> Mapping[str, int]:
        """Empty: rays do not meet defects."""
        return {}

    def render(
        self, frame: int, camera: Intrinsics, camera_to_world: NDArray[np.float64], depth: NDArray[np.float32]
    ) -> NDArray[np.uint16]:
        """Return the object id + 1 of each pixel, (H, W) uint16, 0 where there is none.

        Args:
            frame: not needed here.
            camera: of the stored frame.
            camera_to_world: (4, 4) in the mesh's world.
            depth: (H, W) float32 metres registered to the frame, 0 where invalid; such pixels cannot be checked and
                keep the mesh's object.
        """
        return checked_mask(cast_image(self._mesh, self._vertices, camera, camera_to_world), depth, self._check)


def visible_pixels(masks: NDArray[np.uint16]) -> dict[int, tuple[int, ...]]:
    """Return how many pixels each object shows in each frame of (F, H, W) masks: object id -> (F,).

    Objects that no frame shows are not among them.
    """
    return pixels_by_object([pixels_by_value(mask) for mask in masks])


def pixels_by_value(mask: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Count the pixels of a frame's mask by their value, (n,), up to the largest that occurs."""
    # Masks are few, long runs of equal pixels: counting these takes a seventh of the time of counting pixels.
    pixels = mask.ravel()
    starts = np.append(0, np.flatnonzero(pixels[1:] != pixels[:-1]) + 1)
    return np.bincount(pixels[starts], weights=np.diff(starts, append=len(pixels))).astype(np.int64)


def pixels_by_object(counts: Sequence[NDArray[np.int64]]) -> dict[int, tuple[int, ...]]:
    """Return :func:`visible_pixels` from each frame's :func:`pixels_by_value`."""
    table = np.zeros((len(counts), max(map(len, counts))), dtype=np.int64)
    for row, count in zip(table, counts, strict=True):
        row[: len(count)] = count
    seen = np.flatnonzero(table[:, 1:].any(axis=0))
    return {object_id: tuple(table[:, object_id + 1].tolist()) for object_id in seen.tolist()}
