"""COLMAP's models: cameras and images, as text and as binary files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.geometry.lens import Lens
from gapdata.sources.colmap import ColmapModel, camera_of, find_model, parse_model

CAMERAS = b"# Camera list\n#   CAMERA_ID, MODEL, ...\n3 OPENCV 640 480 500.5 501.5 320.5 240.5 0.1 -0.2 0.003 0.004\n"
TURN = (0.5, 0.5, -0.5, 0.5)  # w x y z
SHIFT = (0.1, -2.0, 3.5)
IMAGE = f"7 {' '.join(map(str, TURN + SHIFT))} 3 video/frame_000010.jpg"


def world_to_camera() -> NDArray[np.float64]:
    """The rotation of the quaternion by its defining product q v q*, and the translation."""
    w, *vector = TURN
    u = np.array(vector)
    axes = np.eye(3)
    columns = [v + 2 * w * np.cross(u, v) + 2 * np.cross(u, np.cross(u, v)) for v in axes]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.stack(columns, axis=1), SHIFT
    return matrix


def binary_cameras(number: int, values: tuple[float, ...]) -> bytes:
    return struct.pack("<QIiQQ", 1, 3, number, 640, 480) + struct.pack(f"<{len(values)}d", *values)


def binary_images(points: int = 2, count: int = 1) -> bytes:
    head = struct.pack("<I7dI", 7, *TURN, *SHIFT, 3) + b"video/frame_000010.jpg\0"
    return struct.pack("<Q", count) + head + struct.pack("<Q", points) + bytes(24 * points)


EIGHT = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
OPENCV = (500.5, 501.5, 320.5, 240.5, 0.1, -0.2, 0.003, 0.004)


def check(model: ColmapModel, images: int = 1) -> None:
    camera = model.cameras[3].intrinsics
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (500.5, 501.5, 320.0, 240.0)
    assert (camera.width, camera.height) == (640, 480)
    assert model.cameras[3].lens == Lens(name="OPENCV", coefficients=(0.1, -0.2, 0.003, 0.004))
    assert len(model.images) == images
    for image in model.images:
        assert image.name == "video/frame_000010.jpg"
        assert np.allclose(image.camera_to_world @ world_to_camera(), np.eye(4))


@pytest.mark.parametrize(
    "text",
    [f"# Image list\n{IMAGE}\n\n", f"{IMAGE}\n10.5 20.5 -1 1 2 3", f"{IMAGE}\r\n\r\n# end\r\n", IMAGE],
    ids=["no points", "points", "carriage returns", "no second line"],
)
def test_text_has_two_lines_an_image_of_which_the_second_may_be_empty(text: str) -> None:
    check(parse_model(CAMERAS, text.encode(), binary=False))


def test_an_empty_second_line_that_a_writer_left_out_does_not_hide_the_next_image() -> None:
    check(parse_model(CAMERAS, f"{IMAGE}\n{IMAGE}\n\n{IMAGE}\n1 2 -1\n".encode(), binary=False), images=3)


def test_binary_files_give_the_same_model() -> None:
    check(parse_model(binary_cameras(4, OPENCV), binary_images(), binary=True))


def test_a_real_binary_file_of_cameras_is_read_to_its_end(samples: Path) -> None:
    data = (samples / "samples" / "colmap-bin" / "cameras.bin").read_bytes()
    image = struct.pack("<Q", 0)
    (camera,) = parse_model(data, image, binary=True).cameras.values()
    fx, fy, cx, cy, *bends = struct.unpack_from("<8d", data, 32)
    assert (camera.intrinsics.width, camera.intrinsics.height) == struct.unpack_from("<QQ", data, 16)
    assert (camera.intrinsics.fx, camera.intrinsics.fy) == (fx, fy)
    assert (camera.intrinsics.cx, camera.intrinsics.cy) == (cx - 0.5, cy - 0.5)
    assert camera.lens is not None
    assert camera.lens.coefficients == tuple(bends)


@pytest.mark.parametrize(
    ("number", "values", "lens"),
    [
        (0, (500.0, 320.5, 240.5), None),
        (1, (500.0, 500.0, 320.5, 240.5), None),
        (2, (500.0, 320.5, 240.5, 0.1), (0.1, 0.0, 0.0, 0.0)),
        (5, (500.0, 500.0, 320.5, 240.5, 0.1, 0.0, 0.0, 0.0), (0.1, 0.0, 0.0, 0.0)),
        (6, (500.0, 500.0, 320.5, 240.5, *EIGHT), EIGHT),
    ],
)
def test_the_parameters_of_each_model_have_their_own_order(
    number: int, values: tuple[float, ...], lens: tuple[float, ...] | None
) -> None:
    camera = parse_model(binary_cameras(number, values), binary_images(), binary=True).cameras[3]
    assert (camera.intrinsics.fx, camera.intrinsics.fy, camera.intrinsics.cx) == (500.0, 500.0, 320.0)
    assert lens == (None if camera.lens is None else camera.lens.coefficients)


@pytest.mark.parametrize(
    ("cameras", "images", "binary", "message"),
    [
        (b"3 OPENCV 640 480 500 500", b"", False, "OPENCV has 2 parameters, expected fx fy cx cy k1 k2 p1 p2"),
        (b"3 FOV 640 480 500 500 320 240 0.9", b"", False, "camera model 'FOV' is not read"),
        (b"3 PINHOLE 0 480 500 500 320 240", b"", False, "images of 0x480"),
        (b"3 PINHOLE 640 480 nan 500 320 240", b"", False, "are not those of a camera"),
        (b"3 PINHOLE", b"", False, "a line has 2 values"),
        (CAMERAS, IMAGE.replace(" 3 ", " 4 ").encode(), False, "camera 4, which is not among the cameras"),
        (CAMERAS, b"7 0.5 0.5", False, "is not that of an image"),
        (CAMERAS, IMAGE.replace("0.5 0.5 -0.5 0.5", "0.5 0.5 0.5 9").encode(), False, "not a unit quaternion"),
        (binary_cameras(4, OPENCV)[:-3], b"", True, "cameras that cannot be read"),
        (binary_cameras(4, OPENCV) + b"x", b"", True, "1 bytes follow the last camera"),
        (binary_cameras(99, OPENCV), b"", True, "unknown model number 99"),
        (binary_cameras(4, OPENCV), binary_images()[:-5], True, "5 bytes are missing after the last image"),
        (binary_cameras(4, OPENCV), binary_images(count=1 << 60), True, "images that cannot be read"),
        (struct.pack("<Q", 1 << 60), b"", True, "cameras that cannot be read"),
    ],
)
def test_damage_is_named(cameras: bytes, images: bytes, binary: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_model(cameras, images, binary=binary)


def test_a_fisheye_keeps_its_model() -> None:
    camera = camera_of("OPENCV_FISHEYE", 1752, 1168, (790.0, 790.0, 876.0, 584.0, -0.03, -0.01, 0.002, 0.0))
    assert camera.lens is not None
    assert camera.lens.model == "fisheye"


def test_text_counts_before_binary_and_both_files_are_needed(tmp_path: Path) -> None:
    assert find_model(tmp_path) is None
    for name in ("cameras.bin", "images.bin", "cameras.txt"):
        (tmp_path / name).touch()
    assert find_model(tmp_path) == (tmp_path / "cameras.bin", tmp_path / "images.bin")
    (tmp_path / "images.txt").touch()
    assert find_model(tmp_path) == (tmp_path / "cameras.txt", tmp_path / "images.txt")


def test_a_count_of_points_that_no_file_holds_is_refused_before_anything_is_read_there() -> None:
    head = struct.pack("<I7dI", 7, *TURN, *SHIFT, 3) + b"frame_000010.jpg\0"
    images = struct.pack("<Q", 2) + head + struct.pack("<Q", 2**64 - 1)
    with pytest.raises(ValueError, match="states 18446744073709551615 points"):
        parse_model(binary_cameras(4, OPENCV), images, binary=True)
