"""Each frame's own camera, at the size of its image."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapdata.geometry.camera import Intrinsics
from gapdata.sources.arkit.cameras import of_size, parse_pincam, typical

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
    cameras = [Intrinsics(fx=fx, fy=10 - fx, cx=4, cy=3, width=8, height=6) for fx in (5.0, 1.0, 3.0)]
    assert typical(cameras) == Intrinsics(fx=3.0, fy=7.0, cx=4, cy=3, width=8, height=6)
