"""Prompts lie inside objects, on valid depth, apart from each other, and are balanced over objects."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gapdata.prompts.instances import visible_pixels
from gapdata.prompts.sampling import InteriorPixels, PromptPixel, PromptSampling, sample_prompts
from gapdata.seeding import generator_for

SAMPLING = PromptSampling(per_view=12, per_object=3, border=3, spacing=10)


def scattered_masks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    masks = np.ones((2, 60, 80), dtype=np.uint16)  # object 0 is the wall that fills the frame
    for object_id in range(1, 5):
        frame, top, left = rng.integers(0, 2), rng.integers(0, 45), rng.integers(0, 65)
        masks[frame, top : top + 15, left : left + 15] = object_id + 1
    valid = rng.random((2, 60, 80)) > 0.002
    return masks, valid


def sample(masks: np.ndarray, valid: np.ndarray, rng: np.random.Generator) -> list[PromptPixel]:
    frames = [InteriorPixels(mask, usable, SAMPLING.border) for mask, usable in zip(masks, valid, strict=True)]
    return sample_prompts(frames, range(int(masks.max())), SAMPLING, rng)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_prompts_keep_away_from_borders_holes_and_each_other(seed: int) -> None:
    masks, valid = scattered_masks(seed)
    prompts = sample(masks, valid, np.random.default_rng(seed))
    assert len(prompts) <= SAMPLING.per_view
    for prompt in prompts:
        u, v = prompt.pixel
        assert SAMPLING.border <= u < 80 - SAMPLING.border
        assert SAMPLING.border <= v < 60 - SAMPLING.border
        window = (prompt.frame, slice(v - 3, v + 4), slice(u - 3, u + 4))
        assert (masks[window] == prompt.object_id + 1).all()
        assert valid[window].all()
    for index, a in enumerate(prompts):
        for b in prompts[:index]:
            if a.frame == b.frame:
                assert max(abs(a.pixel[0] - b.pixel[0]), abs(a.pixel[1] - b.pixel[1])) >= SAMPLING.spacing


@given(st.integers(0, 1000))
def test_a_wall_gets_no_more_prompts_than_a_chair(seed: int) -> None:
    masks = np.ones((1, 60, 80), dtype=np.uint16)
    masks[0, 10:30, 10:40] = 2
    prompts = sample(masks, masks > 0, np.random.default_rng(seed))
    counts = Counter(prompt.object_id for prompt in prompts)
    assert counts[0] == 3
    assert counts[1] >= 1


def test_equal_seeds_and_keys_give_equal_prompts_and_others_differ() -> None:
    masks, valid = scattered_masks(1)
    draws = [sample(masks, valid, generator_for(0, "prompts", key)) for key in ("a", "a", "b")]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


def test_nothing_to_ask_about_gives_no_prompts() -> None:
    masks = np.zeros((1, 20, 20), dtype=np.uint16)
    assert sample(masks, masks == 0, np.random.default_rng(0)) == []
    assert sample(masks + 1, masks > 0, np.random.default_rng(0)) == []


def test_visible_pixels_count_every_object_in_every_frame() -> None:
    masks, _ = scattered_masks(4)
    counts = visible_pixels(masks)
    assert sum(sum(pixels) for pixels in counts.values()) == masks.size
    for object_id, pixels in counts.items():
        assert pixels == tuple(int((frame == object_id + 1).sum()) for frame in masks)
