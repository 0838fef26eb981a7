"""Each frame's own camera, at the size of its image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gapdata.geometry.camera import Intrinsics
from gapdata.sources.arkit.cameras import of_size, parse_pincam, parse_pincams, typical

REAL = Intrinsics(fx=212.088, fy=212.088, cx=127.4, cy=98.6992, width=256, height=192)


def test_the_published_line_is_read(samples: Path) -> None:
    line = (samples / "samples" / "arkitscenes" / "example.pincam").read_bytes()
    assert parse_pincam(line) == REAL


@pytest.mark.parametrize(
    "data",
    [b"256.0 192.0 212.088 212.088 127.4 98.6992\r\n", b"\xef\xbb\xbf256, 192, 212.088, 212.088, 127.4, 98.6992"],
)
def test_copies_by_other_programs_are_read(data: bytes) -> None:
    assert parse_pincam(data) == REAL


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 numbers"),
        (b"256 192 212.088", "3 numbers"),
        (b"256 192 0 212 127 98", "is not a camera"),
        (b"256 192 nan 212 127 98", "is not a camera"),
        (b"256.5 192 212 212 127 98", "is not a camera"),
        (b"1e9 192 212 212 127 98", "is not a camera"),
        (b"a b c d e f", "could not convert"),
    ],
)
def test_what_is_not_a_camera_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_pincam(data)


def refusal(text: bytes) -> str | None:
    try:
        parse_pincam(text)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    "odd", [b"256 192 212", b"256 192 1 212 127 98", b"x", b"", b"256,192,212.5,212.5,127,98", b"256 192 nan 1 1 1"]
)
def test_many_files_at_once_are_read_as_each_alone(odd: bytes) -> None:
    texts = [b"256 192 212.088 212.088 127.4 98.6992\n", odd, b"256 192 211 212 127 98"]
    values, problems = parse_pincams(texts)
    alone = [refusal(text) for text in texts]
    assert problems == {place: said for place, said in enumerate(alone) if said is not None}
    for place, text in enumerate(texts):
        if alone[place] is None:
            camera = parse_pincam(text)
            numbers = [camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy]
            assert values[place].tolist() == numbers
        else:
            assert np.isnan(values[place]).all()
    assert parse_pincams(texts[::2])[1] == {}


def test_a_camera_of_another_size_is_scaled_about_pixel_centres() -> None:
    larger = of_size(REAL, (640, 480))
    assert larger.fx == pytest.approx(530.22)
    assert (larger.width, larger.height) == (640, 480)
    assert larger.cx == pytest.approx((127.4 + 0.5) * 2.5 - 0.5)
    assert of_size(REAL, (256, 192)) is REAL


def test_a_camera_of_an_image_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="256x192, but the image is 640x360"):
        of_size(REAL, (640, 360))


def test_the_typical_camera_has_the_median_of_each_parameter() -> None:
    values = np.array([[8, 6, fx, 10 - fx, 4, 3] for fx in (5.0, 1.0, 3.0)])
    assert typical(values) == Intrinsics(fx=3.0, fy=7.0, cx=4, cy=3, width=8, height=6)
