"""One field of view: patch (i, j) of the vision model and of the geometry encoder show the same part of the frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from gapmodel.processing import GapProcessor, ProcessorConfig
from gapmodel.tokenizer import train_tokenizer

TOKENIZER = train_tokenizer(["user"])
CASES = {
    "shrunk and cropped": ((1296, 968), (128, 96), 14),
    "shrunk by less than two": ((640, 480), (512, 384), 14),
    "cropped at fractions of a pixel": ((301, 200), (96, 96), 14),
    "portrait, cropped at the top": ((200, 301), (128, 64), 16),
    "enlarged": ((80, 60), (192, 128), 14),
    "larger geometry patches": ((500, 375), (128, 96), 18),
}


def processor(**options: Any) -> GapProcessor:
    return GapProcessor(TOKENIZER, ProcessorConfig(temporal_patch_size=1, **options))


LOW, HIGH = 16, 240


def ramps(width: int, height: int, noise: float) -> NDArray[np.uint8]:
    """An image whose red tells the column and whose green tells the row; noise undoes the steps of rounding."""
    u, v = np.meshgrid(np.linspace(LOW, HIGH, width), np.linspace(LOW, HIGH, height))
    levels = np.stack([u, v, np.full_like(u, 128)], axis=-1)
    return np.rint(levels + np.random.default_rng(0).uniform(-noise, noise, levels.shape)).astype(np.uint8)


def patch_means(pixels: NDArray[np.float32], grid: tuple[int, int]) -> NDArray[np.float64]:
    """(3, H, W) to (rows, columns, 3) means over patches, in levels of 0 to 255."""
    rows, columns = grid
    _, height, width = pixels.shape
    patches = pixels.reshape(3, rows, height // rows, columns, width // columns).astype(np.float64)
    return patches.mean(axis=(2, 4)).transpose(1, 2, 0) * 255


def vision_image(pixel_values: NDArray[np.float32], grid: tuple[int, int], patch: int = 16) -> NDArray[np.float32]:
    """One frame's patches in merge-block order back to (3, H, W) in [0, 1]."""
    rows, columns = grid
    blocks = pixel_values.reshape(rows // 2, columns // 2, 2, 2, 3, patch, patch)
    image: NDArray[np.float32] = blocks.transpose(4, 0, 2, 5, 1, 3, 6).reshape(3, rows * patch, columns * patch)
    return image / np.float32(2) + np.float32(0.5)


@pytest.mark.parametrize(("native", "size", "patch"), CASES.values(), ids=CASES)
def test_both_encoders_see_the_same_part_of_the_frame_in_every_patch(
    native: tuple[int, int], size: tuple[int, int], patch: int
) -> None:
    made = processor(image_size=size, geometry_patch_size=patch)
    window = made.config.window(*native)
    shrink = max(1.0, window.width / size[0])
    frames = made.look([ramps(*native, shrink / 2)])
    rows, columns = frames.grid
    assert frames.grid == window.grid == (size[1] // 16, size[0] // 16)
    assert frames.geometry_images.shape == (1, 3, rows * patch, columns * patch)
    vision = patch_means(vision_image(frames.pixel_values, frames.grid), frames.grid)
    geometry = patch_means(frames.geometry_images[0], frames.grid)
    # Levels to native pixels, (u, v); pixel extents start half a pixel before the first centre.
    scale = (np.array(native) - 1) / (HIGH - LOW)
    vision, geometry = ((means[..., :2] - LOW) * scale for means in (vision, geometry))
    expected = np.stack(
        np.meshgrid(
            window.left + (np.arange(columns) + 0.5) * window.width / columns - 0.5,
            window.top + (np.arange(rows) + 0.5) * window.height / rows - 0.5,
        ),
        axis=-1,
    )
    tolerance = 0.3 * shrink  # native pixels; what is left is the noise of eight bits
    assert np.abs(vision - expected).max() < tolerance
    assert np.abs(geometry - expected).max() < tolerance
    assert np.abs(vision - geometry).max() < tolerance


def test_every_patch_has_its_own_colour_in_both() -> None:
    """The frame at the vision model's own size: one colour a patch, and the other encoder's patches have them too."""
    colours = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = np.kron(colours, np.ones((16, 16, 1), dtype=np.uint8))
    frames = processor(image_size=(128, 96), geometry_patch_size=14).look([image])
    vision = patch_means(vision_image(frames.pixel_values, frames.grid), frames.grid)
    np.testing.assert_allclose(vision, colours, atol=1e-4)
    inner = frames.geometry_images[0].reshape(3, 6, 14, 8, 14)[:, :, 3:-3, :, 3:-3] * 255
    np.testing.assert_allclose(inner.mean(axis=(2, 4)).transpose(1, 2, 0), colours, atol=1.0)


def test_shrinking_does_not_alias() -> None:
    """Alternating columns of black and white are grey from afar, not stripes."""
    image = np.zeros((968, 1296, 3), dtype=np.uint8)
    image[:, ::2] = 255
    frames = processor(image_size=(512, 384), geometry_patch_size=14).look([image])
    for pixels in (frames.geometry_images[0], vision_image(frames.pixel_values, frames.grid)):
        assert abs(pixels.mean() - 0.5) < 0.01
        assert pixels.std() < 0.06


@settings(max_examples=200, deadline=None)
@given(width=st.integers(16, 2000), height=st.integers(16, 2000))
def test_a_grid_of_the_views_own_aspect_fills_the_area_and_loses_little(width: int, height: int) -> None:
    config = ProcessorConfig(image_size=(512, 384), keep_aspect=True)
    window = config.window(width, height)
    rows, columns = (side // 2 for side in window.grid)
    assert rows * columns <= 192
    assert window.width / columns == pytest.approx(window.height / rows)
    assert 0 <= window.left <= width - window.width + 1e-9
    assert 0 <= window.top <= height - window.height + 1e-9
    if 0.2 < width / height < 5:
        assert rows * columns * window.width * window.height / (width * height) > 0.75 * 192


def test_a_landscape_and_a_portrait_view_have_mirrored_grids() -> None:
    config = ProcessorConfig(image_size=(512, 384), keep_aspect=True)
    assert config.window(640, 480).grid == (24, 32)
    assert config.window(480, 640).grid == (32, 24)
    assert config.window(640, 480).width == 640


@pytest.mark.parametrize(("native", "grid", "geometry_rows"), [((1296, 968), (24, 32), 24), ((600, 400), (20, 32), 21)])
def test_the_papers_preprocessing_is_the_authors(
    native: tuple[int, int], grid: tuple[int, int], geometry_rows: int
) -> None:
    """Resize to 518 wide and a multiple of 14 high; Qwen's side cropped to blocks, VGGT's interpolated to 14 per 16."""
    image = np.random.default_rng(0).integers(0, 256, (native[1], native[0], 3), dtype=np.uint8)
    frames = processor(paper_preprocessing=True, geometry_patch_size=14).look([image])
    height = round(native[1] * (518 / native[0]) / 14) * 14
    resized = np.asarray(Image.fromarray(image).resize((518, height), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    whole = torch.from_numpy(resized).permute(2, 0, 1)
    cropped = whole[:, : height // 32 * 32, :512]
    stock = Qwen2VLImageProcessorPil(
        patch_size=16, merge_size=2, temporal_patch_size=1, do_resize=False, do_rescale=False, do_convert_rgb=False,
        image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )([cropped.numpy()], return_tensors="np", input_data_format="channels_first")  # fmt: skip
    assert frames.grid == grid == tuple(stock["image_grid_thw"][0, 1:])
    np.testing.assert_array_equal(frames.pixel_values, stock["pixel_values"])
    target = (height // 16 * 14, 518 // 16 * 14)
    interpolated = F.interpolate(whole[None], size=target, mode="bilinear", align_corners=False)
    assert target == (geometry_rows * 14, 448)
    np.testing.assert_array_equal(frames.geometry_images, interpolated.numpy())


def test_tall_frames_lose_their_top_and_bottom_in_the_papers_preprocessing() -> None:
    image = np.zeros((800, 400, 3), dtype=np.uint8)
    image[200:600] = 255
    frames = processor(paper_preprocessing=True, geometry_patch_size=14).look([image])
    assert frames.grid == (32, 32)
    assert frames.geometry_images.shape == (1, 3, 448, 448)
    assert (frames.geometry_images[..., 10:-10, :] == 1).all()
