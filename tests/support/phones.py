"""Twins of phone captures: one short walk through a room, written in the format of an app, and its truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.upright import Turn
from gapdata.sources.base import Scan
from gapdata.sources.rgbd import RgbdFolder
from gapdata.synthetic.formats.registry import FORMATS
from gapdata.synthetic.formats.walk import Walk, WalkOptions

FRAMES, WIDTH = 26, 128


@cache
def walk() -> Walk:
    """The walk of all twins, without sensor noise."""
    return Walk(0, WalkOptions(frames=FRAMES, width=WIDTH, noise=0.0))


@dataclass(frozen=True)
class Twin:
    root: Path
    name: str

    @property
    def capture(self) -> Path:
        return self.root / self.name

    def open(self) -> Scan:
        return open_capture(self.capture)


def write_twin(name: str, root: Path) -> Twin:
    """Write the walk in a format."""
    root.mkdir(parents=True, exist_ok=True)
    (scene,) = FORMATS[name].load().write(root, [walk()])
    return Twin(root, scene)


def open_capture(place: Path) -> Scan:
    """Open the only capture in a folder, or the folder of one."""
    dataset = RgbdFolder.open(place)
    return dataset.open_scan(dataset.scene_ids[0])


def upright_poses(scan: Scan, frames: list[int]) -> NDArray[np.float64]:
    """Poses of a scan in its aligned world, (n, 4, 4)."""
    assert scan.axis_alignment is not None
    return np.asarray(scan.axis_alignment @ scan.camera_to_world[frames])


def held_poses(frames: list[int], turn: Turn) -> NDArray[np.float64]:
    """The true poses of the cameras as they were held, (n, 4, 4)."""
    return np.array([walk().held(frame, turn) for frame in frames])


def present(scan: Scan) -> list[int]:
    return [int(frame) for frame in np.flatnonzero(scan.present)]
