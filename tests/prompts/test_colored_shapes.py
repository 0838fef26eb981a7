"""SPAR's discs and boxes: their size on the native image, their colours, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.prompts.colored_shapes import COLOR_NAMES, SHAPE_COLORS, shape_pixels
from gapdata.prompts.marks import NATIVE_WIDTH, draw_marks

GRAY = 90
FINE = 8  # samples of a pixel's side


def canvas(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), GRAY, np.uint8)


def sampled(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of fine samples, (H * FINE, W * FINE) each, pixel centres at integers."""
    u = (np.arange(width * FINE) + 0.5) / FINE - 0.5
    v = (np.arange(height * FINE) + 0.5) / FINE - 0.5
    return np.meshgrid(u, v)


def shares(inside: np.ndarray) -> np.ndarray:
    rows, columns = inside.shape
    blocks = inside.reshape(rows // FINE, FINE, columns // FINE, FINE)
    mean: np.ndarray = blocks.mean(axis=(1, 3))
    return mean


@given(st.sampled_from(COLOR_NAMES), st.integers(-5, 70), st.integers(-5, 53), st.sampled_from([64.0, 200.0, 1296.0]))
def test_a_disc_has_20_native_pixels_of_radius(color: str, u: int, v: int, native: float) -> None:
    drawn = draw_marks(canvas(64, 48), shape_pixels(color, (u, v)), native).astype(float)
    radius = 20 * 64 / native
    columns, rows = sampled(64, 48)
    share = shares(np.hypot(columns - u, rows - v) <= radius)[..., None]
    expected = GRAY + (np.array(SHAPE_COLORS[COLOR_NAMES.index(color)]) - GRAY) * share
    # Drawn by distance, not by area: off by a fifth of a pixel's coverage where the disc is smaller than a pixel.
    assert np.abs(drawn - expected).max() < 0.25 * 255


@given(
    st.sampled_from(COLOR_NAMES),
    st.tuples(st.integers(0, 50), st.integers(0, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 30)),
)
def test_a_box_has_a_stroke_of_20_native_pixels(color: str, corner: tuple[int, int], size: tuple[int, int]) -> None:
    (left, top), (right, bottom) = corner, (corner[0] + size[0], corner[1] + size[1])
    drawn = draw_marks(canvas(96, 72), shape_pixels(color, (left, top, right, bottom)), 480.0).astype(float)
    out, inside = 17.5 / 5, 2.5 / 5
    columns, rows = sampled(96, 72)
    outer = (columns >= left - out) & (columns < right + out) & (rows >= top - out) & (rows < bottom + out)
    inner = (columns >= left + inside) & (columns < right - inside) & (rows >= top + inside) & (rows < bottom - inside)
    share = shares(outer & ~inner)[..., None]
    expected = GRAY + (np.array(SHAPE_COLORS[COLOR_NAMES.index(color)]) - GRAY) * share
    assert np.abs(drawn - expected).max() < 255 / FINE + 2


def test_on_the_native_image_shapes_have_the_size_of_spars_program() -> None:
    drawn = draw_marks(canvas(1296, 968), shape_pixels("red", (600, 400)) | shape_pixels("blue", (100, 100, 300, 200)))
    assert NATIVE_WIDTH == 1296
    red = (drawn == (255, 0, 0)).all(axis=-1)
    assert np.flatnonzero(red.any(axis=0))[[0, -1]] == pytest.approx([580, 620], abs=1)
    blue = (drawn == (0, 0, 255)).all(axis=-1)
    assert np.flatnonzero(blue[150])[0] == pytest.approx(100 - 17, abs=1)
    assert blue[150].sum() == pytest.approx(40, abs=4)


def test_half_a_box_and_no_mark_draw_nothing() -> None:
    assert (draw_marks(canvas(64, 48), {21: (3, 3)}) == GRAY).all()
    assert (draw_marks(canvas(64, 48), {}) == GRAY).all()


def test_shapes_lie_under_numbered_crosses() -> None:
    alone = draw_marks(canvas(128, 96), {1: (60, 40)}, 128)
    both = draw_marks(canvas(128, 96), {1: (60, 40)} | shape_pixels("yellow", (60, 40)), 128)
    assert (both[40, 60] == alone[40, 60]).all()
    assert (both[32, 52] == (255, 255, 0)).all()
