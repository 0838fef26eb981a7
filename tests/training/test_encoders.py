"""Training with another geometry encoder than the one of the preset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gapdata.errors import UsageError
from gapmodel.model_directory import load_model
from gapmodel.training.logbook import read_log
from tests.support.training_runs import RECIPE, RECORDS
from tests.support.training_steps import run

GEOMETRY = {"name": "depth-anything-3-small", "img_size": 64, "embed_dim": 32, "depth": 8, "num_heads": 2}
GEOMETRY |= {"alt_start": 0, "levels": [1, 3, 5, 7]}


def test_a_model_with_depth_anything_trains_and_its_levels_meet_the_visual_streams(tmp_path: Path) -> None:
    recipe = replace(
        RECIPE,
        model=replace(RECIPE.model, geometry=GEOMETRY),
        train=replace(RECIPE.train, steps=4, freeze=("geometry",)),
        processor=replace(RECIPE.processor, geometry_patch_size=14),
    )
    outcome = run(recipe, tmp_path)
    losses = [line["loss"] for line in read_log(tmp_path) if "loss" in line]
    assert len(losses) == 4
    assert np.isfinite([*losses, outcome.last_loss]).all()
    model, processor = load_model(tmp_path)
    assert list(model.model.streams) == ["deepstack.0", "deepstack.1", "deepstack.2", "final"]
    config = model.config.geometry
    assert (config["name"], config["licence"], config["source"]) == (
        "depth-anything-3-small",
        "Apache-2.0",
        "depth-anything/DA3-SMALL",
    )
    looked = processor.look([RECORDS[0].image(index) for index in range(len(RECORDS[0]))], [])
    assert looked.geometry_images.shape[2:] == (28, 56)  # the patches of 64 x 32, 14 pixels each
    with torch.no_grad():
        levels = model.model.geometry(torch.from_numpy(looked.geometry_images)[None].float() / 255)
    assert [tuple(level.shape[2:]) for level in levels] == [(2, 4, 64)] * 4


def test_a_processor_for_other_patches_is_refused_before_the_first_step(tmp_path: Path) -> None:
    geometry = {**RECIPE.model.geometry, "patch_size": 8}
    with pytest.raises(UsageError, match=r"tiny has patches of 8 pixels, not of 16; give --set processor"):
        run(replace(RECIPE, model=replace(RECIPE.model, geometry=geometry)), tmp_path)
