"""The mark is GAP-MLLM's cross, at any size; several marks can be told apart."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gapdata.errors import UsageError
from gapdata.prompts.marks import COLORS, DIGITS, MAX_MARKS, draw_mark, draw_marks, mark_mask
from tests.support.mark_shapes import share_covered, touched


def cross_drawn_by_the_authors_rule(width: int, height: int, u: int, v: int) -> np.ndarray:
    """Pixel by pixel as the published code does it: arms of 10, thickness offsets -2..2, clipped at the border."""
    mask = np.zeros((height, width), dtype=np.uint8)
    for along in range(-10, 11):
        for across in range(-2, 3):
            for x, y in ((u + along, v + across), (u + across, v + along)):
                if 0 <= x < width and 0 <= y < height:
                    mask[y, x] = 255
    return mask


@pytest.mark.parametrize("pixel", [(600, 400), (3, 5), (1295, 967), (0, 500)])
def test_at_native_width_the_mark_is_the_authors_cross_exactly(pixel: tuple[int, int]) -> None:
    expected = cross_drawn_by_the_authors_rule(1296, 968, *pixel)
    np.testing.assert_array_equal(share_covered((1296, 968), pixel) * 255, expected)
    image = np.full((968, 1296, 3), 90, np.uint8)
    marked = draw_mark(image, pixel)
    assert (marked[expected > 0] == (255, 0, 0)).all()
    assert (marked[expected == 0] == 90).all()
    assert (image == 90).all()


def test_at_a_smaller_width_the_mark_looks_as_if_drawn_natively_and_resized() -> None:
    # A third of the native size: the centre of stored pixel (u, v) is native pixel (3u + 1, 3v + 1).
    native = cross_drawn_by_the_authors_rule(1296, 969, 3 * 200 + 1, 3 * 100 + 1)
    resized = cv2.resize(native, (432, 323), interpolation=cv2.INTER_AREA) / 255
    np.testing.assert_allclose(share_covered((432, 323), (200, 100)), resized, atol=1 / 255)


def test_the_mask_covers_every_pixel_that_the_mark_touches_and_names_its_prompt() -> None:
    mask = mark_mask((512, 384), {1: (100, 100), 7: (300, 200)})
    assert set(np.unique(mask)) == {0, 1, 7}
    for index, pixel in ((1, (100, 100)), (7, (300, 200))):
        np.testing.assert_array_equal(mask == index, share_covered((512, 384), pixel) > 0)
        assert mask[pixel[1], pixel[0]] == index


def test_a_smaller_native_width_draws_a_larger_mark() -> None:
    small, large = (share_covered((256, 192), (128, 96), width).sum() for width in (1296.0, 648.0))
    assert large == pytest.approx(4 * small, rel=1e-5)


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("native_width", [1296.0, 640.0])
def test_mark_0_is_the_authors_cross_byte_for_byte(native_width: float) -> None:
    image = noise(512, 384)
    for pixel in ((100, 90), (0, 383), (511, 0)):
        alone = draw_mark(image, pixel, native_width)
        np.testing.assert_array_equal(draw_marks(image, {0: pixel}, native_width), alone)
        touched = share_covered((512, 384), pixel, native_width)[..., None]
        blended = np.rint(image + (np.array([255, 0, 0], np.float32) - image) * touched)
        np.testing.assert_array_equal(alone, blended)


def test_no_marks_leave_a_copy_of_the_image() -> None:
    image = noise(64, 48)
    copy = draw_marks(image, {})
    np.testing.assert_array_equal(copy, image)
    assert copy is not image


def test_any_two_marks_differ_in_colour_by_far_more_than_an_eye_needs() -> None:
    lab = cv2.cvtColor((np.array(COLORS, np.float32) / 255)[None], cv2.COLOR_RGB2LAB)[0]
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + np.diag([np.inf] * len(COLORS))
    assert distance.min() > 40


def test_any_two_digits_differ_in_several_cells() -> None:
    cells = {number: np.array([list(row) for row in rows]) for number, rows in DIGITS.items()}
    assert set(cells) == set(range(1, MAX_MARKS + 1))
    assert all(shape.shape == (7, 5) for shape in cells.values())
    for a in cells:
        for b in cells:
            assert a == b or np.count_nonzero(cells[a] != cells[b]) >= 3


def test_each_numbered_mark_shows_its_cross_in_its_colour_and_its_digit_beside_it() -> None:
    image = np.full((968, 1296, 3), 90, np.uint8)
    pixels = {number: (120 * number, 80 * number) for number in range(1, MAX_MARKS + 1)}
    marked = draw_marks(image, pixels)
    for number, (u, v) in pixels.items():
        cross = cross_drawn_by_the_authors_rule(1296, 968, u, v) > 0
        assert (marked[cross] == COLORS[number - 1]).all()
        # At native size a digit's cell is 4 pixels; the plate starts 5 pixels from the marked pixel's centre.
        cells = np.array([[character == "#" for character in row] for row in DIGITS[number]])
        digit = marked[v - 5 - 32 + 2 : v - 5 - 4 : 4, u + 5 + 4 + 2 : u + 5 + 24 : 4].astype(int)
        ink = digit[cells]
        assert len(np.unique(ink)) == 1
        assert ink[0, 0] in (0, 255)
        assert (digit[~cells] == COLORS[number - 1]).all()
    assert (image == 90).all()


def test_at_a_smaller_width_numbered_marks_look_as_if_drawn_natively_and_resized() -> None:
    gray = np.full((969, 1296, 3), 90, np.uint8)
    native = draw_marks(gray, {2: (3 * 200 + 1, 3 * 100 + 1)})
    resized = cv2.resize(native, (432, 323), interpolation=cv2.INTER_AREA)
    small = draw_marks(np.full((323, 432, 3), 90, np.uint8), {2: (200, 100)})
    # Where cross and plate share a pixel the order of drawing decides; elsewhere only rounding differs.
    assert np.abs(small.astype(int) - resized).max() <= 2


@pytest.mark.parametrize("corner", [(2, 2), (509, 2), (2, 381), (509, 381)])
def test_a_plate_stays_inside_the_image(corner: tuple[int, int]) -> None:
    whole = touched((512, 384), {5: (256, 192)}).sum()
    cut = touched((512, 384), {5: corner}).sum()
    # Only the cross is cut off at the border: at most three of its four arms.
    assert whole - cut <= (share_covered((512, 384), (256, 192)) > 0).sum() * 0.75


def test_no_plate_hides_another_marks_cross_or_plate_where_there_is_room() -> None:
    pixels = {1: (256, 192), 2: (264, 184), 3: (256, 184)}
    image = np.full((384, 512, 3), 7, np.uint8)
    marked = draw_marks(image, pixels)
    for number, (u, v) in pixels.items():
        together, alone = (
            (drawn == COLORS[number - 1]).all(axis=-1) for drawn in (marked, draw_marks(image, {number: (256, 192)}))
        )
        assert together.sum() > 0.8 * alone.sum()
        assert together[v, u]


def test_a_number_without_a_colour_is_refused() -> None:
    with pytest.raises(UsageError, match="mark 10 has no colour; draw marks 0 to 9"):
        draw_marks(noise(64, 48), {10: (5, 5)})
