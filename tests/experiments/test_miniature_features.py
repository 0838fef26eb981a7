"""What the miniature's frozen towers say of views is kept, and nothing but time depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gapdata.errors import GapDataError
from gapmodel.experiments.miniature.arms import starting_recipe
from gapmodel.experiments.miniature.features import remember
from gapmodel.experiments.miniature.recipe import read_miniature
from gapmodel.geometry.base import GeometryEncoder
from gapmodel.inspection.geometry_treatments import ChangeName, Treatment, treated
from gapmodel.modeling import FusedFeatures, GapForConditionalGeneration
from gapmodel.packing import Frames
from gapmodel.processing import GapProcessor
from gapmodel.questions.recipe import DataRecipe
from gapmodel.tokenizer import train_tokenizer
from gapmodel.training.logbook import read_log
from gapmodel.training.loop import train
from gapmodel.training.recipe import RunRecipe, TrainRecipe
from gapmodel.training.run import TrainingConfig
from gapmodel.training.starting_point import first_model
from tests.support.training_runs import RECIPE, RECORDS

pytestmark = pytest.mark.slow

FULL = read_miniature("full")
FRAMES = 2


def full_model(*, naive: bool = False, seed: int = 0) -> GapForConditionalGeneration:
    """A model of the sizes of ``make reproduce``, with random weights."""
    torch.manual_seed(seed)
    return first_model({"": RECORDS}, starting_recipe(FULL, 0, naive=naive))[0].eval()


def look(
    model: GapForConditionalGeneration, views: Sequence[Frames], without: ChangeName | None = None
) -> list[Tensor]:
    """What the model makes of views: its final visual tokens, then its DeepStack levels."""
    patches, images = (
        torch.from_numpy(np.stack([getattr(view, name) for view in views]))
        for name in ("pixel_values", "geometry_images")
    )
    grids = torch.tensor([(1, *view.grid) for view in views for _ in range(FRAMES)])
    inputs: dict[str, Any] = {"pixel_values": patches.flatten(0, 1), "image_grid_thw": grids, "geometry_images": images}
    if without is not None:
        inputs = treated(model, inputs, Treatment(change=without), images.roll(1, dims=0))
    with torch.no_grad():
        found: FusedFeatures = model.model.get_image_features(**inputs)
    assert found.pooler_output is not None
    assert found.deepstack_features is not None
    return [torch.cat(tuple(level)) for level in (found.pooler_output, *found.deepstack_features)]


def views(count: int) -> list[Frames]:
    """Noise, as the processor of ``make reproduce`` prepares it."""
    processor = GapProcessor(train_tokenizer([]), FULL.processor)
    frames = np.random.default_rng(count).integers(0, 256, (count, FRAMES, 96, 128, 3), dtype=np.uint8)
    return [processor.look(list(view)) for view in frames]


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_kept_features_are_those_that_the_towers_give_in_any_batch_to_the_last_bit(tmp_path: Path) -> None:
    plain, keeping, shown = full_model(), full_model(), views(5)
    remember(keeping, tmp_path)
    for chosen in ([2], [0, 1, 2, 3, 4], [4, 0], [0, 0, 3]):
        some = [shown[index] for index in chosen]
        for own, kept in zip(look(plain, some), look(keeping, some), strict=True):
            assert torch.equal(own, kept)
    assert len(files(tmp_path)) == 5 + 5 * FRAMES
    assert all(path.suffix == ".safetensors" for path in files(tmp_path))


def test_a_view_that_is_known_is_not_encoded_again_and_a_new_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    encoder = type(full_model().model.geometry)
    encode = encoder.encode

    def counted(self: GeometryEncoder, images: Tensor) -> list[Tensor]:
        seen.append(len(images))
        return encode(self, images)

    monkeypatch.setattr(encoder, "encode", counted)
    shown = views(4)
    for _ in range(2):
        model = full_model()
        remember(model, tmp_path)
        look(model, shown[:3])
    look(model, shown)
    assert seen == [3, 1]


def test_another_encoder_or_one_of_fewer_levels_never_gets_what_is_not_its_own(tmp_path: Path) -> None:
    shown, first = views(2), full_model()
    remember(first, tmp_path)
    look(first, shown)
    for other in (partial(full_model, seed=1), partial(full_model, naive=True)):
        keeping = other()
        remember(keeping, tmp_path)
        for own, kept in zip(look(other(), shown), look(keeping, shown), strict=True):
            assert torch.equal(own, kept)


def test_geometry_can_still_be_taken_away(tmp_path: Path) -> None:
    plain, keeping, shown = full_model(), full_model(), views(4)
    remember(keeping, tmp_path)
    look(keeping, shown)
    ways: tuple[ChangeName, ...] = ("zeroed", "strange")
    for how in ways:
        without = look(keeping, shown, how)
        for own, kept in zip(look(plain, shown, how), without, strict=True):
            assert torch.equal(own, kept)
        assert not torch.equal(without[0], look(keeping, shown)[0])


def test_training_learns_the_same_from_features_that_are_kept(tmp_path: Path) -> None:
    recipe = replace(
        RECIPE,
        data=DataRecipe(task="detection", min_visible_pixels=1, mirror=True, frames=2),
        train=TrainRecipe(steps=12, batch_size=2, learning_rate=3e-3, freeze=("visual", "geometry")),
        run=RunRecipe(threads=1, evaluate_every=6, evaluate_visits=1, samples=1),
    )
    runs = {"plain": None, "kept": partial(remember, folder=tmp_path / "features")}
    for name, prepare in runs.items():
        train(TrainingConfig(recipe=recipe, builds={"": RECORDS}, out=tmp_path / name, bar=False, prepare=prepare))
    plain, kept = (read_log(tmp_path / name) for name in runs)
    figures = ("answer", "grad_norm", "held_out.detection")
    assert sum(name in line for line in plain for name in figures) == 2 * 12 + 2
    assert [[line.get(name) for name in figures] for line in plain] == [
        [line.get(name) for name in figures] for line in kept
    ]
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in runs]
    assert weights[0] == weights[1]


def test_features_that_cannot_be_kept_say_what_to_do(tmp_path: Path) -> None:
    model, shown = full_model(), views(1)
    remember(model, tmp_path)
    for folder in tmp_path.iterdir():
        folder.rmdir()
    with pytest.raises(
        GapDataError, match=r"the features of a view cannot be written: No such file.*--set keep_features=false"
    ):
        look(model, shown)
