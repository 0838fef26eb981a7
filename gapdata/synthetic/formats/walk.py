"""A walk through a synthetic room, from which every format is written: the same scene, path and moments for all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.upright import Turn, turn_matrix
from gapdata.synthetic.render import Renderer
from gapdata.synthetic.scene import FRAMES, Scene, build_scene, generator
from gapdata.synthetic.sensor import ColorCamera, DepthCamera
from gapdata.synthetic.trajectory import scan_poses

RATE = 30.0  # Hz


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkOptions:
    """What is common to the walks of a data set."""

    frames: int = 120
    seed: int = 0
    width: int = 256
    """Pixels along the longer side of colour images; a format keeps its own shape, and scales its own sizes to this."""
    noise: float = 1.0
    """Strength of sensor noise; 0 turns noise and holes off."""


class Walk:
    """A camera's way through one room, at 30 Hz.

    Args:
        index: which room of the seed.
        options: the number of frames, the seed and the noise.

    Attributes:
        scene: the room.
        poses: (N, 4, 4) float64, camera to the room's unaligned world, metres, held level.
        seconds: (N,) float64, from the first frame on.
    """

    def __init__(self, index: int, options: WalkOptions) -> None:
        self.options = options
        self.scene: Scene = build_scene(options.seed, index)
        self.poses: NDArray[np.float64] = scan_poses(self.scene, options.frames)
        self.seconds: NDArray[np.float64] = np.arange(options.frames) / RATE

    @cached_property
    def renderer(self) -> Renderer:
        """The room, ready to be seen."""
        return Renderer(self.scene)

    def held(self, frame: int, turn: Turn) -> NDArray[np.float64]:
        """Return the pose of a camera whose images must be turned to become upright, (4, 4)."""
        return np.asarray(self.poses[frame] @ np.linalg.inv(turn_matrix(turn)))

    def color(self, frame: int, camera: Intrinsics, turn: Turn = 0) -> NDArray[np.uint8]:
        """Return the image as the camera holds it, (H, W, 3) uint8 RGB."""
        radiance, _ = self.renderer.color(camera, self.held(frame, turn))
        sensor = ColorCamera(camera.width, camera.height, self.options.noise, self._random(1))
        return sensor.develop(radiance, self._random(2, frame, 0))

    def depth(self, frame: int, camera: Intrinsics, turn: Turn = 0) -> NDArray[np.uint16]:
        """Return the depth as the camera holds it, (H, W) uint16 millimetres, 0 without a reading."""
        view = self.renderer.depth(camera, self.held(frame, turn))
        sensor = DepthCamera(camera.width, camera.height, self.options.noise, self._random(1))
        return sensor.measure(view, self._random(2, frame, 1))

    def _random(self, *keys: int) -> np.random.Generator:
        return generator(self.scene.seed, self.scene.index, FRAMES, *keys)
