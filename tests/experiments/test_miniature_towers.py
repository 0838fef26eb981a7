"""What the miniature teaches before its arms begin: the cells that towers are asked about, and the towers."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gapdata.engine.driver import run_build
from gapdata.engine.executors.inline import InlineExecutor
from gapdata.shards.reader import ShardReader
from gapmodel.experiments.miniature.recipe import TowerRecipe
from gapmodel.experiments.miniature.towers import GeometryTower, VisionTower, load_tower, train_tower
from gapmodel.experiments.miniature.views import Cells, fixed_views, label_names
from gapmodel.processing import ProcessorConfig
from gapmodel.questions.recipe import DataRecipe
from gapmodel.training.recipe import ModelRecipe, TrainingRecipe, TrainRecipe
from gapmodel.training.starting_point import first_model
from tests.support.executors import request_for
from tests.support.training_runs import RECORDS, TEXT

pytestmark = pytest.mark.slow


def test_cells_divide_a_frame_block_by_block() -> None:
    config = ProcessorConfig(image_size=(128, 96))
    cells = Cells(blocks=config.grid, side=4)
    pixels = cells.pixels(config, (128, 96))
    assert pixels.shape == (48, 16, 2)
    assert len({tuple(pixel) for pixel in pixels.reshape(-1, 2).tolist()}) == 48 * 16
    np.testing.assert_array_equal(pixels[9] // 16, np.full((16, 2), 1))  # second block of the second row
    for number, (u, v) in enumerate(pixels.reshape(-1, 2).tolist()):
        assert cells.holding(config, (128, 96), (u, v)) == number


TOWERS = TrainingRecipe(
    model=ModelRecipe(
        text=TEXT,
        vision={"hidden_size": 48, "intermediate_size": 96, "depth": 2, "deepstack_visual_indexes": [0]},
        geometry={"width": 48, "depth": 2, "heads": 2, "levels": [0, 1]},
    ),
    processor=ProcessorConfig(image_size=(128, 96), temporal_patch_size=1, mark_native_width=160.0),
    data=DataRecipe(frames=2),
)
SHORT = TowerRecipe(steps=80, batch_size=4, learning_rate=4e-3, cells=2, save_every=40, measured=8)
SCHEDULE = TrainRecipe(warmup=0.05)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def reader(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> ShardReader:
    """A build of three minute scenes to train on and one that is held out."""
    root = tmp_path_factory.mktemp("split")
    shutil.copytree(small_dataset, root / "data")
    names = sorted(path.name for path in (root / "data" / "scans").iterdir())
    for split, members in (("train", names[:-1]), ("val", names[-1:])):
        (root / "data" / f"scannetv2_{split}.txt").write_text("".join(f"{name}\n" for name in members))
    run_build(request_for(root / "data", root / "shards"), InlineExecutor())
    return ShardReader(root / "shards")


def make_tower(reader: ShardReader, name: str) -> GeometryTower | VisionTower:
    torch.manual_seed(0)
    model, processor = first_model({"": reader}, TOWERS)
    if name == "geometry":
        return GeometryTower(model.model, processor, SHORT.cells)
    classes = label_names(iter(reader), TOWERS.data)
    return VisionTower(model.model, processor, TOWERS.data, classes, SHORT.cells)


def learn(tower: GeometryTower | VisionTower, reader: ShardReader, recipe: TowerRecipe, out: Path) -> dict[str, Any]:
    """Train on the training scenes of the small build; its held-out ones are measured on."""
    return train_tower(tower, reader, TOWERS.data, recipe, SCHEDULE, out, seed=0, device=CPU)


def test_the_geometry_tower_learns_and_goes_on_where_it_was(reader: ShardReader, tmp_path: Path) -> None:
    whole = make_tower(reader, "geometry")
    start = {name: value.clone() for name, value in whole.tower.state_dict().items()}
    figures = learn(whole, reader, SHORT, tmp_path)
    views = list(enumerate(fixed_views(reader, TOWERS.data, "train", 8)))
    with torch.no_grad():
        known = whole.batch(views, 0)
        found = whole.measure([known], [known])
    points = known["points"][:, 0].reshape(-1, 3)
    one_answer = (points - points.nanmedian(dim=0).values).norm(dim=-1).nanmedian()
    assert found["first_frame"] < 0.8 * one_answer
    assert figures["losses"][-1] < 0.7 * figures["losses"][0]

    other = make_tower(reader, "geometry")
    load_tower(other.tower, tmp_path / "geometry.safetensors")
    assert all(torch.equal(value, whole.tower.state_dict()[name]) for name, value in other.tower.state_dict().items())
    assert any(not torch.equal(value, start[name]) for name, value in other.tower.state_dict().items())
    assert learn(make_tower(reader, "geometry"), reader, SHORT, tmp_path)["losses"] == figures["losses"]


@pytest.mark.parametrize("name", ["geometry", "vision"])
def test_a_tower_learns_the_same_whoever_reads_its_views(reader: ShardReader, tmp_path: Path, name: str) -> None:
    losses = []
    for workers in (0, 1, 2):
        recipe, out = replace(SHORT, steps=7, workers=workers, save_every=3), tmp_path / str(workers)
        out.mkdir()
        learn(make_tower(reader, name), reader, replace(recipe, steps=4), out)
        losses.append(learn(make_tower(reader, name), reader, recipe, out)["losses"])
    assert len(losses[0]) == 7
    assert losses[0] == losses[1] == losses[2]


def test_what_each_level_knows_is_what_is_linear_in_it() -> None:
    torch.manual_seed(0)
    model, processor = first_model({"": RECORDS}, TOWERS)
    tower = GeometryTower(model.model, processor, cells=2)
    rows, columns = processor.config.grid

    class Levels(torch.nn.Module):
        """Nothing, and each patch's mean colour."""

        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            colours = torch.nn.functional.adaptive_avg_pool2d(images.flatten(0, 1), (rows, columns))
            known = colours.movedim(1, -1).unflatten(0, images.shape[:2])
            return [torch.randn(known.shape), known]

    def batch() -> dict[str, torch.Tensor]:
        images = torch.rand(8, 2, 3, 96, 128)
        mean = Levels()(images)[1].flatten(2, 3) @ torch.tensor([[9.0, 0, 1], [0, 7, 0], [2, 0, 8]]) + 3
        points = mean[..., None, :] + torch.randn(*mean.shape[:-1], 1, 3) * torch.tensor([1.0, -1, 0, 0])[:, None]
        points[0, 0, 0, 0], points[1, 1, 1] = torch.nan, torch.nan
        return {"images": images, "points": points}

    known, asked = [batch(), batch()], [batch()]
    mean = torch.cat([each["points"] for each in asked]).nanmean(dim=-2)
    without = (mean - mean.flatten(0, 2).nanmedian(dim=0).values).norm(dim=-1).nanmedian()
    tower.add_module("tower", Levels())
    tower.add_module("head", torch.nn.Linear(6, 12))
    with torch.no_grad():
        found = tower.measure(asked, known)
    assert found["by_level"][0] == pytest.approx(float(without), rel=0.1)
    assert found["by_level"][1] < 0.1 * without
    assert found["all_levels"] < 0.1 * without


def test_the_vision_tower_learns(reader: ShardReader, tmp_path: Path) -> None:
    tower = make_tower(reader, "vision")
    figures = learn(tower, reader, SHORT, tmp_path)
    labels = tower.batch(list(enumerate(fixed_views(reader, TOWERS.data, "train", 8))), 0)["labels"]
    shares = np.bincount(labels[labels >= 0].numpy()) / int((labels >= 0).sum())
    constant = -sum(share * np.log(share) for share in shares if share) + np.log(labels[0].numel())
    assert figures["losses"][-1] < 0.8 * constant
