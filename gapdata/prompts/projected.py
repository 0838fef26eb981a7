"""Read instance masks from the 2D projections of a scan, resized to the training size like its colour."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gapdata.frames.resize import plan_resize
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.upright import opposite, turn_camera, turn_image
from gapdata.sources.base import Annotation, Scan

VALUES = 256  # of an 8-bit mask


class ProjectedInstances:
    """Instance masks read from the scan's archive.

    They are taken as published: ScanNet's filtered projections follow the sensor's depth already. The id of a duplicate
    becomes that of its original; ids that the annotation lacks are left out and noted.

    Args:
        scan: the scan that the frames are of.
        annotation: its objects.
        image_size: (width, height) of stored frames.

    Raises:
        SourceError: the scan has no archive, or it cannot be read.
    """

    def __init__(self, scan: Scan, annotation: Annotation, image_size: tuple[int, int]) -> None:
        self._archive = scan.mask_archive()
        camera = turn_camera(scan.color_intrinsics, opposite(scan.turned))
        self._native, self._turn = (camera.width, camera.height), scan.turned
        self._resize = plan_resize(scan.color_intrinsics, image_size, scan.color_lens)
        self._values = np.zeros(VALUES, dtype=np.uint16)
        listed = {item.object_id: item.object_id for item in annotation.objects}
        originals = {copy: original for copy, original in annotation.duplicates.items() if original in listed}
        for stored, object_id in {**listed, **originals}.items():
            if 0 <= stored < VALUES - 1:
                self._values[stored + 1] = object_id + 1
        self._unknown = self._values == 0
        self._unknown[0] = False
        self._notes: dict[str, int] = {}

    @property
    def notes(self) -> Mapping[str, int]:
        """``frame_with_unknown_object``: masks with ids that the annotation lacks."""
        return self._notes

    def render(
        self, frame: int, camera: Intrinsics, camera_to_world: NDArray[np.float64], depth: NDArray[np.float32]
    ) -> NDArray[np.uint16]:
        """Return the object id + 1 of each pixel, (H, W) uint16, 0 where there is none; only ``frame`` matters.

        Raises:
            SourceError: the frame's mask is missing or damaged.
        """
        stored = self._resize.apply_nearest(turn_image(self._archive.mask(frame, self._native), self._turn))
        if self._unknown[stored].any():
            self._notes["frame_with_unknown_object"] = self._notes.get("frame_with_unknown_object", 0) + 1
        return self._values[stored]
