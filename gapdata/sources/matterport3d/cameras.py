"""Read the cameras of Matterport3D: raw intrinsics with their lens, and the list of the undistorted images.

A tripod stop has 18 images: three cameras (0 looks up, 1 level, 2 down) at six turns of 60 degrees. Raw files use
OpenCV's axes. The list of undistorted images uses OpenGL's, and counts rows from the bottom: its ``cy`` is
``height - 1 -`` that of the raw file, which has equal focal lengths and ``cx``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.files.numbers import numbers_of, parse_numbers
from gapdata.files.text import decode_text
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens

STILL = re.compile(r"(?P<tripod>[0-9A-Za-z-]{1,64})_i(?P<camera>[0-9])_(?P<yaw>[0-9])\.(?:jpg|jpeg|png)", re.IGNORECASE)
COEFFICIENTS = 5  # k1 k2 p1 p2 k3
SHIFT = 4000.0
"""Units of depth per metre."""
FROM_GL = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True, slots=True, order=True)
class TripodStill:
    """One image: where the tripod stood, how far it had turned, and which camera."""

    tripod: str
    yaw: int
    camera: int

    @property
    def color_name(self) -> str:
        """The name of its colour file."""
        return f"{self.tripod}_i{self.camera}_{self.yaw}.jpg"

    @property
    def depth_name(self) -> str:
        """The name of its depth file."""
        return f"{self.tripod}_d{self.camera}_{self.yaw}.png"

    @property
    def pose_names(self) -> tuple[str, ...]:
        """The names that its pose file may have."""
        return f"{self.tripod}_pose_{self.camera}_{self.yaw}.txt", f"{self.tripod}_pose{self.camera}_{self.yaw}.txt"

    @property
    def camera_names(self) -> tuple[str, ...]:
        """The names that the file of its camera may have; turns share it."""
        return f"{self.tripod}_intrinsics_{self.camera}.txt", f"{self.tripod}_intrinsics{self.camera}.txt"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ListedStill:
    """What the list of undistorted images says of one."""

    camera: Intrinsics
    camera_to_world: NDArray[np.float64]  # (4, 4) OpenCV axes, metres


def still_of_name(path: str) -> TripodStill | None:
    """Return the still that the path of a colour file names, or ``None``."""
    match = STILL.fullmatch(path.replace("\\", "/").rpartition("/")[2])
    return None if match is None else TripodStill(match["tripod"], int(match["yaw"]), int(match["camera"]))


def parse_camera(data: bytes) -> tuple[Intrinsics, Lens | None]:
    """Read ``width height fx fy cx cy k1 k2 p1 p2 k3``.

    Raises:
        ValueError: there are fewer numbers, or the camera is impossible.
    """
    values = parse_numbers(data)
    if len(values) not in (6, 6 + COEFFICIENTS) or not np.isfinite(values).all():
        raise ValueError(f"has {len(values)} numbers, expected width height fx fy cx cy k1 k2 p1 p2 k3")
    width, height, fx, fy, cx, cy = (float(value) for value in values[:6])
    if not (width == int(width) and height == int(height)):
        raise ValueError(f"has an impossible image size: {width:g}x{height:g}")
    camera = Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=int(width), height=int(height))
    if not (camera.width > 0 and camera.height > 0 and camera.plausible):
        raise ValueError(f"has impossible intrinsics: fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g}")
    coefficients = tuple(float(value) for value in values[6:])
    return camera, Lens(name="MATTERPORT", coefficients=coefficients) if any(coefficients) else None


def parse_list(data: bytes, size: tuple[int, int]) -> dict[TripodStill, ListedStill]:
    """Read ``<house>.conf``: each ``intrinsics_matrix`` is that of the ``scan`` lines after it.

    Args:
        data: the file.
        size: (width, height) of the images, which the list does not state.

    Raises:
        ValueError: it has a scan line before any intrinsics, or a line with too few numbers; the line is named.
    """
    width, height = size
    camera: Intrinsics | None = None
    found: dict[TripodStill, ListedStill] = {}
    for number, line in enumerate(decode_text(data, tolerant=True).split("\n"), start=1):
        words = line.split()
        if words[:1] == ["intrinsics_matrix"]:
            matrix = _numbers(words[1:], 9, number).reshape(3, 3)
            upwards = Intrinsics.from_matrix(matrix, width=width, height=height)
            camera = Intrinsics(
                fx=upwards.fx, fy=upwards.fy, cx=upwards.cx, cy=height - 1 - upwards.cy, width=width, height=height
            )
            if not camera.plausible:
                raise ValueError(f"line {number} has impossible intrinsics")
        elif words[:1] == ["scan"]:
            if camera is None:
                raise ValueError(f"line {number} is an image before any intrinsics_matrix")
            still = still_of_name(words[2]) if len(words) > 2 else None
            if still is None:
                raise ValueError(f"line {number} does not name an image")
            pose = _numbers(words[3:], 16, number).reshape(4, 4) @ FROM_GL
            found[still] = ListedStill(camera=camera, camera_to_world=pose)
    if not found:
        raise ValueError("lists no image")
    return found


def _numbers(words: list[str], count: int, line: int) -> NDArray[np.float64]:
    values = numbers_of(" ".join(words))
    if len(values) != count:
        raise ValueError(f"line {line} has {len(values)} numbers, expected {count}")
    return values
