"""Read cameras from text: intrinsics and extrinsics in the spellings that exporters use.

A function gets the bytes of a file and says what is wrong with them; its caller knows which file it is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.files.numbers import number_lines, parse_numbers
from gapdata.files.text import decode_text
from gapdata.geometry.camera import Intrinsics, is_rigid
from gapdata.geometry.lens import Lens, counts_as_skew, pinhole_behind, skew_of
from gapdata.runtime.counting import counted
from gapdata.sources.lens_fields import parse_lens, refuse_unread_lens
from gapdata.sources.orientation import same_shape
from gapdata.sources.pose_files import parse_pose

MAX_TEXT_BYTES = 1 << 16
MAX_TRAJECTORY_BYTES = 1 << 28
MAX_NUMBER = 1e9
MATRIX_FIELDS = ("intrinsic_matrix", "camera_matrix", "K", "intrinsics", "intrinsic")
NAME = re.compile(r"[A-Za-z_]\w*")
NAMED_VALUE = re.compile(r"\s*[\"']?([A-Za-z_]\w*)[\"']?\s*[:=]\s*(.+)")
IDENTITY = np.eye(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cameras:
    """The cameras of extracted images, and their lenses; ``None`` for a pinhole camera."""

    color: Intrinsics
    depth: Intrinsics
    color_lens: Lens | None
    depth_lens: Lens | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """The statements of camera files about colour and depth; ``None`` for what they leave out."""

    color: NDArray[np.float64]  # (3, 3) or (4, 4), pixels
    lens: Lens | None = None
    """The lens of colour, and of depth if one calibration serves both: depth that was registered to colour has the same
    lens."""
    depth: NDArray[np.float64] | None = None  # None: the colour camera at the depth images' size
    depth_to_color: NDArray[np.float64]  # (4, 4)
    color_size: tuple[int, int] | None = None  # (width, height)
    depth_size: tuple[int, int] | None = None
    depth_units_per_metre: float | None = None
    frame_count: int | None = None

    def cameras(self, color_size: tuple[int, int], depth_size: tuple[int, int]) -> Cameras:
        """Return the cameras of colour and depth images of these (width, height).

        Raises:
            ValueError: the sizes are not those that the calibration was made for.
        """
        for what, stated, found in (("colour", self.color_size, color_size), ("depth", self.depth_size, depth_size)):
            if stated is not None and stated != found:
                raise ValueError(f"is for {what} images of {_size(stated)}, but the images are {_size(found)}")
        color, color_lens = camera_and_lens("colour", self.color, color_size, self.lens)
        depth_lens = color_lens
        if self.depth is not None:
            depth, depth_lens = camera_and_lens("depth", self.depth, depth_size)
        elif same_shape(color_size, depth_size):
            depth = color.resized(*depth_size)
        else:
            raise ValueError(
                f"cannot serve colour of {_size(color_size)} and depth of {_size(depth_size)}:"
                " their aspect ratios differ"
            )
        for what, camera in (("colour", color), ("depth", depth)):
            _check_size(what, camera)
        return Cameras(color=color, depth=depth, color_lens=color_lens, depth_lens=depth_lens)


def camera_and_lens(
    what: str, matrix: NDArray[np.float64], size: tuple[int, int], lens: Lens | None = None
) -> tuple[Intrinsics, Lens | None]:
    """Read a calibration matrix as a pinhole camera and the lens before it.

    Args:
        what: name of the camera, for messages.
        matrix: (3, 3) or larger, pixels.
        size: (width, height) of its images.
        lens: the lens as stated; the skew of the matrix is added. A lens that bends nothing is returned as ``None``.

    Raises:
        ValueError: it is not a calibration matrix, or the camera or the lens is impossible.
    """
    camera = Intrinsics.from_matrix(matrix, width=size[0], height=size[1])
    if not camera.plausible:
        raise ValueError(f"{what} intrinsics are impossible: {_text(camera)}{_upside_down(camera)}")
    try:
        skews = [skew for skew in (skew_of(matrix), 0.0 if lens is None else lens.skew) if counts_as_skew(skew, camera)]
        if len(skews) > 1:
            raise ValueError("state a skew twice, in the matrix and as a field")
        skew = sum(skews)
        if lens is None or (lens.model == "perspective" and not lens.coefficients):
            lens = Lens(name="SKEW", skew=skew) if skew else None
        else:
            lens = replace(lens, skew=skew)
        pinhole_behind(lens, camera)
    except ValueError as error:
        raise ValueError(f"{what} intrinsics {error}") from error
    return camera, lens


def parse_matrix(data: bytes) -> NDArray[np.float64]:
    """Read nine numbers as (3, 3), twelve as (3, 4), sixteen as (4, 4) float64, by row, with blanks or commas between.

    Raises:
        ValueError: there are more or fewer numbers, or a word is not a number.
    """
    values = parse_numbers(data)
    if len(values) not in (9, 12, 16):
        raise ValueError(f"has {counted(len(values), 'number')}, expected a 3x3 or 4x4 matrix, or fx fy cx cy")
    return values.reshape(-1, 4 if len(values) > 9 else 3)


def parse_info(data: bytes) -> Calibration:
    """Read ``_info.txt`` of ScanNet's C++ exporter: ``key = value`` lines, sixteen numbers for a matrix.

    Raises:
        ValueError: an entry is missing or malformed; it is named.
    """
    lines = (line.partition("=") for line in decode_text(data, tolerant=True).split("\n"))
    fields = {key.strip(): value.strip() for key, separator, value in lines if separator}

    refuse_unread_lens(fields)

    def entry(name: str, parse: Any) -> Any:
        if name not in fields:
            raise ValueError(f"has no {name}")
        try:
            return parse(fields[name])
        except ValueError as error:
            raise ValueError(f"{name} {error}") from error

    def matrix(name: str) -> NDArray[np.float64]:
        return np.asarray(entry(name, lambda text: parse_pose(text.encode())))

    def extrinsics(camera: str) -> NDArray[np.float64]:
        name = f"m_calibration{camera}Extrinsic"
        return matrix(name) if name in fields else IDENTITY

    return Calibration(
        color=matrix("m_calibrationColorIntrinsic"),
        depth=matrix("m_calibrationDepthIntrinsic"),
        depth_to_color=depth_to_color(extrinsics("Color"), extrinsics("Depth")),
        color_size=(entry("m_colorWidth", int), entry("m_colorHeight", int)),
        depth_size=(entry("m_depthWidth", int), entry("m_depthHeight", int)),
        depth_units_per_metre=entry("m_depthShift", float),
        frame_count=entry("m_frames.size", int) if "m_frames.size" in fields else None,
    )


def depth_to_color(color_extrinsics: NDArray[np.float64], depth_extrinsics: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (4, 4) transform from the depth to the colour camera, from the transforms of both to the device.

    Raises:
        ValueError: one of them is not a rigid transform.
    """
    for what, matrix in (("colour", color_extrinsics), ("depth", depth_extrinsics)):
        if not is_rigid(matrix):
            raise ValueError(f"{what} extrinsics are not a rigid transform")
    return np.linalg.inv(color_extrinsics) @ depth_extrinsics


def parse_intrinsics(data: bytes) -> Calibration:
    """Read the one intrinsics file of a folder of frames.

    It is JSON, a 3x3 or 4x4 matrix as text, ``fx fy cx cy`` with or without ``width height`` behind or before them, or
    lines such as ``fx: 525`` or ``fx = 525``. JSON is ``{fx, fy, cx, cy}`` with optional ``width, height, depth_scale``
    (units per metre), also in Replica's spelling ``{"camera": {w, h, fx, fy, cx, cy, scale}}`` and RealSense's ``ppx,
    ppy``, or a matrix: Open3D's ``{width, height, intrinsic_matrix}`` with its nine numbers by column, ``K`` or
    ``camera_matrix`` by row. :mod:`gapdata.sources.lens_fields` says how a lens is stated; one that serves colour and
    depth belongs to both. Depth with a camera of its own has ``depth``, an object with the same fields, and
    ``depth_to_color``, a 4x4 matrix in metres.

    Raises:
        ValueError: it is in another format, or a field is missing or not a number; the field is named.
    """
    values = _intrinsics_fields(data)
    if values is None:
        return Calibration(color=parse_matrix(data), depth_to_color=IDENTITY)
    color = _json_matrix(values)
    try:
        lens = parse_lens(values, float(color[0, 0]))
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    own = values.get("depth")
    depth = own if isinstance(own, dict) and not own.keys().isdisjoint(("fx", "fl_x", *MATRIX_FIELDS)) else None
    return Calibration(
        color=color,
        lens=lens,
        depth=None if depth is None else _json_matrix(depth),
        depth_to_color=_stated_registration(values),
        color_size=_stated_size(values),
        depth_size=None if depth is None else _stated_size(depth),
        depth_units_per_metre=_number(values, "depth_scale", "scale"),
    )


def _stated_size(values: dict[str, Any]) -> tuple[int, int] | None:
    width, height = _number(values, "width", "w"), _number(values, "height", "h")
    return None if width is None or height is None else (int(width), int(height))


def _stated_registration(values: dict[str, Any]) -> NDArray[np.float64]:
    """Return ``depth_to_color``, sixteen numbers by row in metres, or the identity where it is not stated."""
    if values.get("depth_to_color") is None:
        return IDENTITY
    try:
        matrix = np.array(values["depth_to_color"], dtype=np.float64).reshape(4, 4)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError("depth_to_color is not a list of sixteen numbers") from error
    if not is_rigid(matrix):
        raise ValueError("depth_to_color is not a rigid transform")
    return matrix


def _intrinsics_fields(data: bytes) -> dict[str, Any] | None:
    """Return the fields of an intrinsics file by name; ``None`` for a matrix as text."""
    text = decode_text(data, tolerant=True)
    if not text.lstrip().startswith("{"):
        return _named_numbers(data)
    try:
        values: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not valid JSON: {error}") from error
    if isinstance(values.get("camera"), dict):
        values = {**{name: value for name, value in values.items() if name != "camera"}, **values["camera"]}
    return values


def _number(values: dict[str, Any], *names: str) -> float | None:
    """Return the number under the first of some names that is there."""
    found = next((values[name] for name in names if name in values), None)
    if found is None:
        return None
    if not isinstance(found, (int, float)) or isinstance(found, bool) or not abs(found) < MAX_NUMBER:
        raise ValueError(f"{names[0]} is {found!r}, expected a number")
    return float(found)


def _named_numbers(data: bytes) -> dict[str, Any] | None:
    """Return the numbers of a text by the names beside them or by their order; ``None`` for a matrix."""
    lines = [line for _, line in number_lines(data)]
    fields = [NAMED_VALUE.fullmatch(line) for line in lines]
    if lines and all(fields):
        return {match[1].lower(): _number_or_text(match[2].strip()) for match in fields if match is not None}
    words = [line.split() for line in lines]
    if len(words) == 2 and len(words[0]) == len(words[1]) and all(NAME.fullmatch(word) for word in words[0]):
        return {name.lower(): _number_or_text(value) for name, value in zip(*words, strict=True)}
    numbers = parse_numbers(data).tolist()
    if len(numbers) == 4:
        return dict(zip(("fx", "fy", "cx", "cy"), numbers, strict=True))
    if len(numbers) != 6:
        return None
    orders = (("fx", "fy", "cx", "cy", "width", "height"), ("width", "height", "fx", "fy", "cx", "cy"))
    read = [dict(zip(order, numbers, strict=True)) for order in orders]
    fitting = [values for values in read if _in_the_middle(values)]
    if len(fitting) != 1:
        raise ValueError("has 6 numbers, which are not fx fy cx cy width height: cx and cy are far from the middle")
    return fitting[0]


def _in_the_middle(values: dict[str, float]) -> bool:
    """Return whether the principal point is in the middle half of the image."""
    return all(
        0.25 * values[size] < values[at] < 0.75 * values[size] for at, size in (("cx", "width"), ("cy", "height"))
    )


def _number_or_text(word: str) -> Any:
    try:
        return float(word)
    except ValueError:
        return word


def _json_matrix(values: dict[str, Any]) -> NDArray[np.float64]:
    field = next((name for name in MATRIX_FIELDS if isinstance(values.get(name), list)), None)
    if field is not None:
        try:
            matrix = np.array(values[field], dtype=np.float64).reshape(3, 3)
            return matrix if (matrix[2] == (0, 0, 1)).all() else matrix.T
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{field} is not a list of nine numbers") from error
    matrix = np.eye(3)
    for names, place in (
        (("fx", "fl_x"), (0, 0)),
        (("fy", "fl_y"), (1, 1)),
        (("cx", "ppx"), (0, 2)),
        (("cy", "ppy"), (1, 2)),
    ):
        value = _number(values, *names)
        if value is None:
            raise ValueError(f"has no {names[0]}; it has {', '.join(map(str, values))[:200] or 'nothing'}")
        matrix[place] = value
    return matrix


def _check_size(what: str, camera: Intrinsics) -> None:
    """Refuse a calibration of another image size: its principal point is far from the middle.

    Exporters can resize images and write the calibration of the original ones beside them.
    """
    if not (0.25 < camera.cx / camera.width < 0.75 and 0.25 < camera.cy / camera.height < 0.75):
        raise ValueError(
            f"{what} intrinsics are those of another image size: {_text(camera)} (cx, cy far from the middle)"
        )


def _upside_down(camera: Intrinsics) -> str:
    """Return what to do about a focal length below 0; empty where the other numbers are impossible, too."""
    if not replace(camera, fx=abs(camera.fx), fy=abs(camera.fy)).plausible:
        return ""
    if camera.fx > 0:
        return f"; the camera's y axis points up (ICL-NUIM): write fy {-camera.fy:g} and pass --axes unity"
    return "; focal lengths are positive: x points right and y down, turn the poses to these axes"


def _text(camera: Intrinsics) -> str:
    return f"fx {camera.fx:g}, fy {camera.fy:g}, cx {camera.cx:g}, cy {camera.cy:g} for {camera.width}x{camera.height}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
