"""Read COLMAP's models: cameras and images from ``cameras.txt`` and ``images.txt``, or their binary forms.

Poses are given camera to world with OpenCV's axes; files have world to camera, with a quaternion w x y z. COLMAP counts
pixels from their upper left corners (the first pixel's centre is at 0.5), so half a pixel is taken off the principal
point. In ``images.txt`` each image has two lines, of which the second, with the image's points, may be empty. In the
binary files all numbers are little-endian (https://colmap.github.io/format.html, colmap ``src/colmap/scene``).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.files.numbers import numbers_of
from gapdata.files.storage import Location, file_in
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens
from gapdata.sources.lens_fields import parse_lens
from gapdata.sources.pose_files import pose_from_quaternion

MODELS: Mapping[str, tuple[str, ...]] = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "OPENCV_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
    "FULL_OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "FOV": ("fx", "fy", "cx", "cy", "omega"),
    "SIMPLE_RADIAL_FISHEYE": ("f", "cx", "cy", "k1"),
    "RADIAL_FISHEYE": ("f", "cx", "cy", "k1", "k2"),
    "THIN_PRISM_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "sx1", "sy1"),
}
"""The parameters of each camera model, in the order of the models' numbers in binary files."""
UNREAD = ("FOV", "THIN_PRISM_FISHEYE")
"""Models that OpenCV cannot undo."""
MAX_BYTES = 1 << 29
MAX_SIDE = 1 << 16
MAX_NAME = 4096  # bytes
POINT_BYTES = 24  # f64 x, f64 y, i64 point


@dataclass(frozen=True, slots=True, kw_only=True)
class ColmapCamera:
    """A camera of a model."""

    intrinsics: Intrinsics  # pixel centres at integers
    lens: Lens | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColmapImage:
    """An image that COLMAP has placed."""

    name: str
    camera: int
    camera_to_world: NDArray[np.float64]  # (4, 4), in the unit of the model


@dataclass(frozen=True, slots=True, kw_only=True)
class ColmapModel:
    """The cameras by their ids, and the images in the order of the file."""

    cameras: Mapping[int, ColmapCamera]
    images: tuple[ColmapImage, ...]


def find_model(folder: Location) -> tuple[Location, Location] | None:
    """Return the files of cameras and images in a folder, ``None`` where they are missing; text counts first."""
    for ending in ("txt", "bin"):
        cameras, images = file_in(folder, f"cameras.{ending}"), file_in(folder, f"images.{ending}")
        if cameras.is_file() and images.is_file():
            return cameras, images
    return None


def parse_model(cameras: bytes, images: bytes, *, binary: bool) -> ColmapModel:
    """Read the content of the two files of a model.

    Raises:
        ValueError: one is damaged, or an image has a camera that does not exist; the message says which.
    """
    try:
        known = dict(_binary_cameras(cameras) if binary else _text_cameras(cameras))
    except (ValueError, struct.error) as error:
        raise ValueError(f"has cameras that cannot be read: {error}") from error
    try:
        placed = tuple(_binary_images(images) if binary else _text_images(images))
    except (ValueError, struct.error) as error:
        raise ValueError(f"has images that cannot be read: {error}") from error
    stray = next((image for image in placed if image.camera not in known), None)
    if stray is not None:
        raise ValueError(f"has image {stray.name} of camera {stray.camera}, which is not among the cameras")
    return ColmapModel(cameras=known, images=placed)


def camera_of(model: str, width: int, height: int, values: tuple[float, ...]) -> ColmapCamera:
    """Return the camera of COLMAP's parameters.

    Raises:
        ValueError: the model is unknown or cannot be undone, or the parameters are not those of a camera.
    """
    names = MODELS.get(model)
    if names is None or model in UNREAD:
        raise ValueError(f"the camera model {model[:40]!r} is not read: undistort the images, or refine OPENCV cameras")
    if len(values) != len(names):
        raise ValueError(f"{model} has {len(values)} parameters, expected {' '.join(names)}")
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise ValueError(f"a camera has images of {width}x{height}")
    given = dict(zip(names, values, strict=True))
    fx, fy = given.get("fx", given.get("f", 0.0)), given.get("fy", given.get("f", 0.0))
    intrinsics = Intrinsics(fx=fx, fy=fy, cx=given["cx"] - 0.5, cy=given["cy"] - 0.5, width=width, height=height)
    if not intrinsics.plausible:
        raise ValueError(f"the parameters {' '.join(f'{value:g}' for value in values)} are not those of a camera")
    bends = {name: value for name, value in given.items() if name[0] in "kp"}
    return ColmapCamera(intrinsics=intrinsics, lens=parse_lens({"camera_model": model, **bends}, fx))


def _text_cameras(data: bytes) -> Iterator[tuple[int, ColmapCamera]]:
    for words in map(str.split, _lines(data)):
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 5:
            raise ValueError(f"a line has {len(words)} values: {' '.join(words)[:60]!r}")
        values = tuple(numbers_of(" ".join(words[4:])).tolist())
        yield int(words[0]), camera_of(words[1], int(words[2]), int(words[3]), values)


def _text_images(data: bytes) -> Iterator[ColmapImage]:
    points_follow = False
    for line in _lines(data):
        words = line.split(None, 9)
        if line.startswith("#") or (points_follow and not _is_image(words)):
            points_follow = points_follow and line.startswith("#")
            continue
        if not words:
            continue
        if not _is_image(words):
            raise ValueError(f"a line is not that of an image: {line.strip()[:60]!r}")
        values = numbers_of(" ".join(words[1:8]))
        yield _image(words[9].strip(), int(words[8]), values[:4], values[4:])
        points_follow = True


def _is_image(words: list[str]) -> bool:
    """Return whether these are ``id qw qx qy qz tx ty tz camera name``: writers may leave out an empty second line."""
    if len(words) != 10 or not (words[0].isdecimal() and words[8].isdecimal()):
        return False
    return not words[9].strip().replace("-", "").replace(".", "").replace(" ", "").isdecimal()


def _lines(data: bytes) -> Iterator[str]:
    """Yield the lines of a text, without a second copy of all of it: the points of large models take megabytes."""
    begin = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while begin < len(data):
        end = data.find(b"\n", begin)
        end = len(data) if end < 0 else end
        yield data[begin:end].decode("utf-8", "replace").rstrip("\r")
        begin = end + 1


def _binary_cameras(data: bytes) -> Iterator[tuple[int, ColmapCamera]]:
    (count,), at = struct.unpack_from("<Q", data), 8
    for _ in range(count):
        camera_id, number, width, height = struct.unpack_from("<IiQQ", data, at)
        if not 0 <= number < len(MODELS):
            raise ValueError(f"a camera has the unknown model number {number}")
        model = tuple(MODELS)[number]
        values = struct.unpack_from(f"<{len(MODELS[model])}d", data, at + 24)
        at += 24 + 8 * len(values)
        yield camera_id, camera_of(model, width, height, values)
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes follow the last camera")


def _binary_images(data: bytes) -> Iterator[ColmapImage]:
    (count,), at = struct.unpack_from("<Q", data), 8
    for _ in range(count):
        _, *numbers, camera = struct.unpack_from("<I7dI", data, at)
        end = data.find(b"\0", at + 64, at + 64 + MAX_NAME)
        if end < 0:
            raise ValueError("an image's name does not end")
        name = data[at + 64 : end].decode("utf-8", "replace")
        (points,) = struct.unpack_from("<Q", data, end + 1)
        if points > len(data):
            raise ValueError(f"an image states {points} points, more than the file can hold")
        at = end + 9 + points * POINT_BYTES
        yield _image(name, camera, np.array(numbers[:4]), np.array(numbers[4:]))
    if at != len(data):
        raise ValueError(
            f"{abs(len(data) - at)} bytes {'follow' if at < len(data) else 'are missing after'} the last image"
        )


def _image(name: str, camera: int, turn: NDArray[np.float64], shift: NDArray[np.float64]) -> ColmapImage:
    """Return an image of its quaternion w x y z and its translation, world to camera; NaN where they are not finite."""
    world_to_camera = pose_from_quaternion(np.concatenate([shift, turn[1:], turn[:1]]))
    rotation, pose = world_to_camera[:3, :3].T, np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -rotation @ world_to_camera[:3, 3]
    return ColmapImage(name=name, camera=camera, camera_to_world=pose)
