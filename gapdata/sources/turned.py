"""A scan that is turned upright: images, cameras, lenses and poses together, so that it is the same scan."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens
from gapdata.geometry.upright import (
    Turn,
    can_turn,
    find_turn,
    turn_camera,
    turn_image,
    turn_lens,
    turn_matrix,
    turn_poses,
)
from gapdata.sources.base import Annotation, Scan
from gapdata.sources.images import reduce_image
from gapdata.sources.mask_archive import MaskArchive


def turn_upright(scan: Scan) -> Scan:
    """Return the scan with its frames upright; the same one where they are, or where it is not known which way is up.

    Raises:
        SourceError: the file that says how the world lies is damaged.
    """
    turn = needed_turn(scan)
    return TurnedScan(scan, turn) if turn else scan


def needed_turn(scan: Scan) -> Turn:
    """Return the turn that makes the frames of a scan upright, voted by its poses.

    It is 0 where the world's vertical is not known, and where a lens cannot be turned.
    """
    up = scan.world_up
    if up is None or not (can_turn(scan.color_lens) and can_turn(scan.depth_lens)):
        return 0
    return find_turn(scan.camera_to_world, up)


class TurnedScan(Scan):
    """Another scan, with its frames turned.

    Args:
        scan: as it was captured; it is closed with this one.
        turn: degrees clockwise.
    """

    def __init__(self, scan: Scan, turn: Turn) -> None:
        self._scan, self.turned = scan, turn
        self.scene_id, self.path, self.frame_count = scan.scene_id, scan.path, scan.frame_count
        self.camera_to_world = turn_poses(scan.camera_to_world, turn)
        self.color_intrinsics, self.depth_intrinsics = (
            turn_camera(camera, turn) for camera in (scan.color_intrinsics, scan.depth_intrinsics)
        )
        self.color_lens, self.depth_lens = (turn_lens(lens, turn) for lens in (scan.color_lens, scan.depth_lens))
        to_held = turn_matrix(turn)
        self.depth_to_color = np.asarray(np.linalg.inv(to_held) @ scan.depth_to_color @ to_held)
        self.depth_units_per_metre = scan.depth_units_per_metre
        self.reading, self.in_order, self.objects_file = scan.reading, scan.in_order, scan.objects_file

    def close(self) -> None:
        """Close the scan."""
        self._scan.close()

    def color_camera(self, frame: int) -> Intrinsics:
        """Return the colour camera of a frame, turned."""
        return turn_camera(self._scan.color_camera(frame), self.turned)

    def depth_camera(self, frame: int) -> Intrinsics:
        """Return the depth camera of a frame, turned."""
        return turn_camera(self._scan.depth_camera(frame), self.turned)

    def lenses(self, frame: int) -> tuple[Lens | None, Lens | None]:
        """Return the lens of a frame's colour and of its depth, turned."""
        color, depth = self._scan.lenses(frame)
        return turn_lens(color, self.turned), turn_lens(depth, self.turned)

    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        """Return the colour image, turned, (H, W, 3) uint8 RGB."""
        camera = self._scan.color_intrinsics
        if camera.width % reduction or camera.height % reduction:
            # Sides are rounded up at their far ends, which a turn would move to the near ones.
            return reduce_image(turn_image(self._scan.color(frame), self.turned), reduction)
        return turn_image(self._scan.color(frame, reduction), self.turned)

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """Return the depth image, turned, (H, W) uint16."""
        return turn_image(self._scan.depth(frame), self.turned)

    def confidence(self, frame: int) -> NDArray[np.uint8] | None:
        """Return how sure the sensor is of each reading, turned, (H, W) uint8."""
        confidence = self._scan.confidence(frame)
        return None if confidence is None else turn_image(confidence, self.turned)

    def color_mask(self, frame: int) -> NDArray[np.uint8] | None:
        """Return which colour pixels show the scene, turned, (H, W) uint8."""
        mask = self._scan.color_mask(frame)
        return None if mask is None else turn_image(mask, self.turned)

    def digest(self, *, masks: bool = False) -> str:
        """Return the digest of the scan's files."""
        return self._scan.digest(masks=masks)

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """Tell for each raw index whether the source has it, (N,)."""
        return self._scan.present

    @cached_property
    def written_poses(self) -> NDArray[np.float64]:
        """Return the poses as the source has them, of cameras that are turned, (N, 4, 4)."""
        return turn_poses(self._scan.written_poses, self.turned)

    @property
    def notes(self) -> Mapping[str, int]:
        """Return how often each defect was met and handled while indexing, by name."""
        return self._scan.notes

    @property
    def axis_alignment(self) -> NDArray[np.float64] | None:
        """Return the matrix to the aligned world, (4, 4)."""
        return self._scan.axis_alignment

    @property
    def world_up(self) -> NDArray[np.float64] | None:
        """Return the unit vector against gravity, (3,)."""
        return self._scan.world_up

    def annotation(self) -> Annotation | None:
        """Return the labelled mesh."""
        return self._scan.annotation()

    def mask_archive(self) -> MaskArchive:
        """Return the source's own 2D projections, not turned."""
        return self._scan.mask_archive()

    def describe_frames(self) -> dict[str, Any]:
        """Return the facts about frames and cameras as they were captured."""
        return self._scan.describe_frames()
