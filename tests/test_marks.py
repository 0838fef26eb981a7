"""The mark is GAP-MLLM's cross, at any size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gapdata.prompts.marks import draw_mark, mark_coverage, mark_mask


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
    np.testing.assert_array_equal(mark_coverage((1296, 968), pixel) * 255, expected)
    image = np.full((968, 1296, 3), 90, np.uint8)
    marked = draw_mark(image, pixel)
    assert (marked[expected > 0] == (255, 0, 0)).all()
    assert (marked[expected == 0] == 90).all()
    assert (image == 90).all()


def test_at_a_smaller_width_the_mark_looks_as_if_drawn_natively_and_resized() -> None:
    # A third of the native size: the centre of stored pixel (u, v) is native pixel (3u + 1, 3v + 1).
    native = cross_drawn_by_the_authors_rule(1296, 969, 3 * 200 + 1, 3 * 100 + 1)
    resized = cv2.resize(native, (432, 323), interpolation=cv2.INTER_AREA) / 255
    np.testing.assert_allclose(mark_coverage((432, 323), (200, 100)), resized, atol=1 / 255)


def test_the_mask_covers_every_pixel_that_the_mark_touches_and_names_its_prompt() -> None:
    mask = mark_mask((512, 384), {1: (100, 100), 7: (300, 200)})
    assert set(np.unique(mask)) == {0, 1, 7}
    for index, pixel in ((1, (100, 100)), (7, (300, 200))):
        np.testing.assert_array_equal(mask == index, mark_coverage((512, 384), pixel) > 0)
        assert mask[pixel[1], pixel[0]] == index


def test_a_smaller_native_width_draws_a_larger_mark() -> None:
    small, large = (mark_coverage((256, 192), (128, 96), width).sum() for width in (1296.0, 648.0))
    assert large == pytest.approx(4 * small, rel=1e-5)
