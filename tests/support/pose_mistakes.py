"""Mistakes that people make with poses, units and calibration, put into a good scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.sources.base import Scan

SECOND = 30
"""Raw frames."""
Poses = NDArray[np.float64]  # (N, 4, 4) camera to world
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def off_by(pose: Poses, degrees: float, metres: float, rng: np.random.Generator) -> Poses:
    """The pose turned by ``degrees`` about a random axis and moved by ``metres`` in a random direction."""
    axis, direction = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 3)))
    moved = pose.copy()
    moved[:3, :3] = pose[:3, :3] @ cv2.Rodrigues(axis * np.deg2rad(degrees))[0]
    moved[:3, 3] += metres * direction
    return moved


def scaled(poses: Poses, factor: float) -> Poses:
    """Translations in another unit."""
    found = poses.copy()
    found[:, :3, 3] *= factor
    return found


def late(poses: Poses, frames: int) -> Poses:
    """The poses of so many raw frames ahead; the last ones have none."""
    found = np.full_like(poses, np.nan)
    found[:-frames] = poses[frames:]
    return found


def all_off(degrees: float, metres: float) -> Callable[[Poses], Poses]:
    """Noise on every pose."""
    return lambda poses: np.stack(
        [off_by(pose, degrees, metres, np.random.default_rng(at)) for at, pose in enumerate(poses)]
    )


def zoomed(factor: float) -> Callable[[Intrinsics], Intrinsics]:
    """Other focal lengths."""
    return lambda camera: replace(camera, fx=camera.fx * factor, fy=camera.fy * factor)


def halved(camera: Intrinsics) -> Intrinsics:
    """The intrinsics of an image of half the size, which this one is not."""
    half = camera.resized(camera.width // 2, camera.height // 2)
    return replace(half, width=camera.width, height=camera.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """What is wrong with a scan. ``refused``: the share of views that must be refused, ``None`` where nothing is
    promised; ``moving``: of those views whose camera moves.
    """

    name: str
    refused: float | None
    poses: Callable[[Poses], Poses] = lambda poses: poses
    depth: float = 1.0
    camera: Callable[[Intrinsics], Intrinsics] = lambda camera: camera
    one_frame: tuple[float, float] | None = None
    moving: bool = False


GOOD = Mistake(name="none", refused=0.0)


def _inverted(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(poses))


GROSS = (
    Mistake(name="poses inverted (world to camera)", refused=0.95, poses=_inverted),
    Mistake(name="OpenGL axes", refused=0.95, poses=lambda poses: poses @ OPENGL),
    Mistake(name="translations in millimetres", refused=0.95, poses=lambda poses: scaled(poses, 1000)),
    Mistake(name="translations in centimetres", refused=0.95, poses=lambda poses: scaled(poses, 100)),
    Mistake(name="depth scale times 2", refused=0.95, depth=2.0),
    Mistake(name="depth scale times 0.5", refused=0.95, depth=0.5),
    Mistake(name="depth scale times 5", refused=0.95, depth=5.0),
    Mistake(name="intrinsics of half the resolution", refused=0.95, camera=halved),
)
FINE = (
    Mistake(name="each pose off by 2 degrees and 5 cm", refused=0.8, poses=all_off(2.0, 0.05), moving=True),
    Mistake(name="one pose off by 5 degrees and 15 cm", refused=0.8, one_frame=(5.0, 0.15), moving=True),
    Mistake(name="focal lengths 20 % too long", refused=0.8, camera=zoomed(1.2), moving=True),
    Mistake(name="focal lengths 20 % too short", refused=0.8, camera=zoomed(0.8), moving=True),
    Mistake(name="poses a second late", refused=0.8, poses=lambda poses: late(poses, SECOND), moving=True),
)
MILD = (
    Mistake(name="each pose off by 1 degree and 2.5 cm", refused=None, poses=all_off(1.0, 0.025)),
    Mistake(name="each pose off by 0.5 degrees and 1 cm", refused=None, poses=all_off(0.5, 0.01)),
    Mistake(name="focal lengths 10 % too long", refused=None, camera=zoomed(1.1)),
    Mistake(name="depth scale times 1.1", refused=None, depth=1.1),
    Mistake(name="poses a sixth of a second late", refused=None, poses=lambda poses: late(poses, SECOND // 6)),
)
MISTAKES = (GOOD, *GROSS, *FINE, *MILD)


class MistakenScan:
    """A scan with something wrong; all that is right comes from the scan itself."""

    def __init__(self, scan: Scan, truth: Poses, mistake: Mistake) -> None:
        self._scan, self._mistake = scan, mistake
        self.camera_to_world = self.written_poses = mistake.poses(truth)
        self.reading = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scan, name)

    @property
    def color_intrinsics(self) -> Intrinsics:
        """With the mistake in it."""
        return self._mistake.camera(self._scan.color_intrinsics)

    @property
    def depth_intrinsics(self) -> Intrinsics:
        """With the mistake in it."""
        return self._mistake.camera(self._scan.depth_intrinsics)

    def color_camera(self, frame: int) -> Intrinsics:
        """With the mistake in it."""
        return self._mistake.camera(self._scan.color_camera(frame))

    def depth_camera(self, frame: int) -> Intrinsics:
        """With the mistake in it."""
        return self._mistake.camera(self._scan.depth_camera(frame))

    @property
    def depth_units_per_metre(self) -> float:
        """With the mistake in it."""
        return self._scan.depth_units_per_metre / self._mistake.depth
