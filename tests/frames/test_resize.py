"""The stored image and its intrinsics describe the same rays."""

from __future__ import annotations

import numpy as np
import pytest

from gapdata.frames.resize import plan_resize
from gapdata.geometry.camera import Intrinsics
from gapdata.sources.images import reduce_image

SCANNET = Intrinsics(fx=1170.19, fy=1170.19, cx=647.75, cy=483.75, width=1296, height=968)


def picture_of_rays(camera: Intrinsics) -> np.ndarray:
    """An image whose red and green say where each pixel's ray goes, so that a resize can be checked against
    intrinsics.
    """
    rays = camera.rays()
    return np.stack([127 + 150 * rays[..., 0], 127 + 150 * rays[..., 1], 0 * rays[..., 0]], -1).round().astype(np.uint8)


@pytest.mark.parametrize("size", [(512, 384), (640, 480), (448, 336), (256, 192), (128, 96), (384, 512)])
def test_a_resized_image_shows_what_its_intrinsics_say(size: tuple[int, int]) -> None:
    plan = plan_resize(SCANNET, size)
    stored = plan.apply(reduce_image(picture_of_rays(SCANNET), plan.reduction))
    assert stored.shape == (size[1], size[0], 3)
    expected = picture_of_rays(plan.camera).astype(int)
    inner = (slice(1, -1), slice(1, -1))
    assert np.abs(stored[inner].astype(int) - expected[inner]).max() <= 2


def test_scannets_frames_lose_only_a_sliver_of_their_width() -> None:
    plan = plan_resize(SCANNET, (512, 384))
    assert plan.reduction == 2
    assert (plan.width, plan.height, plan.left, plan.top) == (645, 484, 1, 0)


def test_the_native_size_is_left_untouched() -> None:
    plan = plan_resize(SCANNET, (1296, 968))
    image = np.random.default_rng(0).integers(0, 255, (968, 1296, 3), dtype=np.uint8)
    assert plan.camera == SCANNET
    np.testing.assert_array_equal(plan.apply(image), image)


def test_both_axes_keep_their_aspect_within_a_pixel() -> None:
    camera = plan_resize(SCANNET, (512, 384)).camera
    assert abs(camera.fx / camera.fy - 1) < 1 / 384


def test_a_small_native_frame_is_enlarged() -> None:
    native = Intrinsics(fx=90.0, fy=90.0, cx=79.5, cy=59.5, width=160, height=120)
    plan = plan_resize(native, (512, 384))
    assert plan.reduction == 1
    assert plan.camera.fx == pytest.approx(90 * 3.2)
