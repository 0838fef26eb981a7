"""Training recipes and entry points: what is shipped can be read, and mistakes are named."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gapdata.errors import UsageError
from gapdata.tasks.spatial.kinds import KINDS
from gapmodel.model_directory import load_model
from gapmodel.processing import GapProcessor
from gapmodel.questions.recipe import spatial_types
from gapmodel.questions.spatial import needs_pixels
from gapmodel.training.recipe import TrainingRecipe, read_training_recipe
from tests.conftest import REPOSITORY
from tests.support.training_steps import run

SHIPPED = ["tiny-pretrain", "tiny-finetune", "train-pretrain", "train-finetune", "train-spatial"]
SHIPPED += ["train-24gb-pretrain", "train-24gb-finetune"]


@pytest.mark.parametrize("name", [f"{name}.toml" for name in SHIPPED])
def test_the_recipes_that_are_shipped_can_be_read(name: str) -> None:
    recipe = read_training_recipe(REPOSITORY / "manifests" / name, ["train.steps=7"])
    assert recipe.train.steps == 7
    assert TrainingRecipe(**{f: getattr(recipe, f) for f in recipe.__slots__}) == recipe


@pytest.mark.parametrize("name", ["train-pretrain.toml", "train-finetune.toml"])
def test_the_full_recipes_have_the_papers_settings(name: str) -> None:
    recipe = read_training_recipe(REPOSITORY / "manifests" / name)
    settings = recipe.train
    assert (settings.learning_rate, settings.fusion_learning_rate) == (5e-6, 1e-5)
    assert (settings.warmup, settings.weight_decay, settings.final_learning_rate) == (0.03, 0.01, 0.0)
    assert (settings.steps, settings.epochs, settings.freeze) == (0, 1, ("visual", "geometry"))
    assert (settings.gate_learning_rate, settings.decay_norms, settings.warmup_from_zero) == (5e-6, True, True)
    assert (settings.mean_over, settings.batch_size, recipe.processor.prompting) == ("questions", 16, "authors")
    assert (settings.beta2, settings.clip) == (0.999, 1.0)
    alone = 16 if "pretrain" in name else 0  # a view has sixteen marked pixels
    assert all(stream.data.visits == alone for stream in recipe.streams)
    tasks = {"pretrain": {"pointmap"}, "finetune": {"detection", "grounding_frame", "grounding_box", "captioning"}}
    assert {stream.data.task for stream in recipe.streams} == tasks[name.removesuffix(".toml").removeprefix("train-")]
    assert all(s.data.frames == 4 for s in recipe.streams if s.data.view == "clip")


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_the_recipes_for_a_small_gpu_ask_what_the_full_ones_ask(stage: str) -> None:
    small, full = (
        read_training_recipe(REPOSITORY / "manifests" / f"train-{size}{stage}.toml") for size in ("24gb-", "")
    )
    assert (small.streams, small.processor, small.run.sample_tokens) == (
        full.streams,
        full.processor,
        full.run.sample_tokens,
    )
    fields = ("learning_rate", "token_budget", "frozen_precision")
    assert replace(small.train, **{name: getattr(full.train, name) for name in fields}) == full.train


def test_the_spatial_recipe_asks_every_type_with_the_optimiser_of_stage_two() -> None:
    spatial, finetune = (
        read_training_recipe(REPOSITORY / "manifests" / f"train-{name}.toml") for name in ("spatial", "finetune")
    )
    assert spatial.train == finetune.train
    assert spatial.processor == finetune.processor
    asked = [spatial_types(stream.data) for stream in spatial.streams]
    assert {name for types in asked for name in types} == set(KINDS)
    assert not needs_pixels(asked[0])  # 32 frames of depth and masks would take longer to decode than their images


def test_the_section_on_the_page_can_be_read(tmp_path: Path) -> None:
    (section,) = re.findall(r"```toml\n(.*?)```", (REPOSITORY / "gapmodel" / "README.md").read_text(), flags=re.DOTALL)
    (tmp_path / "own.toml").write_text(section)
    (stream,) = read_training_recipe(tmp_path / "own.toml").streams
    assert spatial_types(stream.data) == {"size": 1, "distance": 3}


def test_a_public_preset_says_which_weights_it_needs(tmp_path: Path) -> None:
    recipe = read_training_recipe(REPOSITORY / "manifests" / "train-pretrain.toml", ["run.evaluate_every=0"])
    with pytest.raises(UsageError, match=r"preset '2b' starts from public weights; give --set model\.qwen=DIR"):
        run(recipe, tmp_path)


def test_a_field_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("[train]\nstep = 5\n")
    with pytest.raises(UsageError, match=r"r\.toml: recipe has no field 'train\.step'"):
        read_training_recipe(path)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.task=singing", "data.task 'singing' is unknown; choose from pointmap, detection"),
        ("data.wording=vgllm", "data.wording 'vgllm' is unknown"),
        ("data.marks=10", r"'data\.marks' is 10, expected 1 to 9"),
        ("data.convention=zxy", r"data\.convention 'zxy' is unknown; choose from extrinsic_zxy, intrinsic_zxy$"),
        ("train.warmup=nan", r"'train\.warmup' is nan, expected a number"),
        ("train.steps=-1", r"'train\.steps' is -1, expected at least 0"),
        ("mixture.boxes.task=singing", "mixture.boxes.task 'singing' is unknown; choose from pointmap, detection"),
        ("mixture.boxes.tasks=detection", r"recipe has no field 'mixture\.boxes\.tasks'"),
        ("mixture.boxes.weight=0", r"'mixture\.boxes\.weight' is 0, expected a number above 0"),
        ("mixture.boxes=detection", r"recipe field 'mixture\.boxes' is a section; write \[mixture\.boxes\]"),
        ("train.steps=many", "'train.steps' is 'many', expected a whole number"),
        ("train.steps", "has no '='"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_training_recipe(None, [override])


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no model here; name a model directory, or the --out of a training run"):
        load_model(tmp_path)
    with pytest.raises(UsageError, match=r"gap_processor\.json: does not exist"):
        GapProcessor.from_pretrained(tmp_path)


@pytest.mark.parametrize("script", ["pretrain.py", "finetune.py", "evaluate.py"])
def test_the_entry_points_start_without_an_installation(script: str, tmp_path: Path) -> None:
    """From another directory, as `ray job submit` may run them, and with one line for a build that does not exist."""
    path = REPOSITORY / "pipelines" / script
    assert os.access(path, os.X_OK)
    model = (
        ["--model", str(tmp_path)]
        if script == "evaluate.py"
        else ["--out", str(tmp_path / "o"), "--init", str(tmp_path)]
    )
    done = subprocess.run(
        [sys.executable, str(path), "--shards", str(tmp_path / "none"), *model],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"{script}: {tmp_path}")
    assert len(done.stderr.splitlines()) == 1
