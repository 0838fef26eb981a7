"""Training and its recipes: the loss goes down, checkpoints load, mistakes are named."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model_fixtures import make_record

from gapdata.errors import UsageError
from gapmodel.data import Questions, batches
from gapmodel.dense import DenseHead
from gapmodel.evaluation.run import evaluate, model_data_recipe
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.processing import GapProcessor, ProcessorConfig
from gapmodel.recipe import DataRecipe, ModelRecipe, TrainingRecipe, TrainRecipe, read_training_recipe
from gapmodel.train import (
    TrainingError,
    batch_losses,
    build_optimizer,
    class_names,
    learning_rate,
    load_model,
    new_model,
    train,
)

REPOSITORY = Path(__file__).parents[1]
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "num_hidden_layers": 4,
}
RECIPE = TrainingRecipe(
    model=ModelRecipe(
        text=TEXT, vision={"hidden_size": 48, "intermediate_size": 96}, geometry={"width": 32, "heads": 2}
    ),
    processor=ProcessorConfig(image_size=(64, 32), temporal_patch_size=1, mark_native_width=256.0),
    data=DataRecipe(prompts="sampled", questions_per_view=4),
    train=TrainRecipe(steps=30, batch_size=4, learning_rate=3e-3, visual_weight=0.5, asked_weight=0.5, threads=1),
)
RECORDS = [make_record(seed) for seed in range(3)] + [make_record(9, split="val")]


@pytest.fixture(scope="module")
def stage_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stage-one")
    outcome = train(RECORDS, RECIPE, out)
    assert outcome.last_loss < 0.6 * outcome.first_loss
    return out


def test_a_run_leaves_a_model_a_log_and_its_recipe(stage_one: Path) -> None:
    lines = [json.loads(line) for line in (stage_one / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(30))
    assert all(np.isfinite([line["loss"], line["grad_norm"], line["lr"]]).all() for line in lines)
    assert {path.name for path in stage_one.iterdir()} == {"model", "log.jsonl"}
    assert isinstance(
        GapForConditionalGeneration.from_pretrained(str(stage_one / "model")), GapForConditionalGeneration
    )
    assert model_data_recipe(stage_one / "model") == RECIPE.data


def test_equal_seeds_give_equal_runs(stage_one: Path, tmp_path: Path) -> None:
    short = replace(RECIPE, train=replace(RECIPE.train, steps=4, warmup=0.0, final_learning_rate=1.0))
    losses = []
    for name in ("one", "two"):
        train(RECORDS, short, tmp_path / name)
        losses.append([json.loads(line)["loss"] for line in (tmp_path / name / "log.jsonl").read_text().splitlines()])
    assert losses[0] == losses[1]


def test_stage_two_starts_from_stage_one(stage_one: Path, tmp_path: Path) -> None:
    recipe = replace(
        RECIPE,
        data=DataRecipe(task="detection"),
        train=replace(RECIPE.train, steps=2, learning_rate=1e-9, weight_decay=0.0),
    )
    train(RECORDS, recipe, tmp_path, init=stage_one)
    before, after = load_model(stage_one)[0].state_dict(), load_model(tmp_path)[0].state_dict()
    assert before.keys() == after.keys()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=1e-6)


def test_a_trained_model_can_be_evaluated_on_held_out_scenes(stage_one: Path) -> None:
    model, processor = load_model(stage_one)
    results = evaluate(model, processor, RECORDS, RECIPE.data, split="val", tasks=("pointmap",), limit=4, batch_size=3)
    assert results.pointmap is not None
    assert results.pointmap.questions == 4
    assert results.pointmap_baseline is not None
    assert results.pointmap_baseline.unparsable == 0
    assert [prediction["task"] for prediction in results.predictions] == ["pointmap"] * 4
    both = evaluate(model, processor, RECORDS, DataRecipe(max_objects=1), split="val", tasks=("detection",), limit=1)
    assert both.detection is not None
    assert both.detection.views == 1
    assert both.detection.true == 1


def test_answer_only_losses_equal_those_of_the_whole_sequence(stage_one: Path) -> None:
    model, processor = load_model(stage_one)
    batch = next(batches(Questions(RECORDS, processor, RECIPE.data, seed=5), 3, 1))
    with torch.no_grad():
        ours = batch_losses(model, None, batch)["answer"]
        logits = model(**batch.inputs).logits[:, :-1]
        whole = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=-100
        )
    torch.testing.assert_close(ours, whole, rtol=0, atol=1e-5)


def test_frozen_parts_have_no_optimizer_state() -> None:
    recipe = replace(RECIPE, train=replace(RECIPE.train, freeze=("visual", "geometry")))
    model, _ = new_model(RECORDS, recipe)
    model.model.freeze(recipe.train.freeze)
    optimizer = build_optimizer(model, None, recipe)
    managed = {id(p) for group in optimizer.param_groups for p in group["params"]}
    frozen = {id(p) for part in ("visual", "geometry") for p in model.model.get_submodule(part).parameters()}
    assert not managed & frozen
    assert managed | frozen == {id(p) for p in model.parameters()}


def test_a_loss_that_is_not_finite_names_the_records(tmp_path: Path) -> None:
    recipe = replace(RECIPE, train=replace(RECIPE.train, learning_rate=1e30, clip=1e30, warmup=0.0, steps=20))
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) on records room\d{4}-clip-00000"):
        train(RECORDS, recipe, tmp_path)
    assert not (tmp_path / "model").exists()


def test_the_dense_loss_ignores_what_is_not_known() -> None:
    torch.manual_seed(0)
    head = DenseHead(8, 3)
    tokens = torch.randn(6, 8)
    known = {"point": torch.randn(6, 3), "label": torch.tensor([0, 1, 2, -1, -1, 0]), "mark": torch.eye(6)[2]}
    unknown = known | {"point": known["point"].clone().index_fill(0, torch.tensor([1]), float("nan"))}
    other = tokens.clone().requires_grad_()
    loss = head.visual_loss(other, {**unknown, "label": torch.full((6,), -1), "mark": torch.zeros(6)})
    loss.backward()
    assert other.grad is not None
    assert other.grad[1].abs().sum() == 0
    assert other.grad[0].abs().sum() > 0
    assert torch.isfinite(head.visual_loss(tokens, unknown))
    assert head.asked_loss(tokens, torch.zeros(6, dtype=torch.long), {"asked": torch.full((1, 3), float("nan"))}) == 0


def test_the_learning_rate_rises_and_falls() -> None:
    recipe = replace(
        RECIPE, train=replace(RECIPE.train, steps=100, warmup=0.1, learning_rate=1.0, final_learning_rate=0.1)
    )
    rates = [learning_rate(step, recipe) for step in range(100)]
    assert rates[:10] == pytest.approx(np.linspace(0.1, 1.0, 10))
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)


def test_class_names_are_those_of_the_chosen_split() -> None:
    names = class_names(RECORDS, RECIPE.data)
    assert names == sorted({item.label for record in RECORDS[:3] for item in record.objects})


@pytest.mark.parametrize("name", ["tiny-pretrain.toml", "tiny-finetune.toml"])
def test_the_recipes_that_are_shipped_can_be_read(name: str) -> None:
    recipe = read_training_recipe(REPOSITORY / "manifests" / name, ["train.steps=7"])
    assert recipe.train.steps == 7
    assert TrainingRecipe(**{f: getattr(recipe, f) for f in recipe.__slots__}) == recipe


def test_a_field_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("[train]\nstep = 5\n")
    with pytest.raises(UsageError, match=r"r\.toml: recipe has no field 'train\.step'"):
        read_training_recipe(path)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.task=singing", "data.task must be one of pointmap, detection"),
        ("data.wording=vgllm", "data.wording must be one of consistent, gap, vgllm_v1, vgllm_v2"),
        ("data.marks=10", r"data.marks must lie in 1\.\.9, above 1 only with stored prompts"),
        ("train.steps=0", "train.steps and train.batch_size must be at least 1"),
        ("train.steps=many", "'train.steps' is 'many', expected int"),
        ("train.steps", "has no '='"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_training_recipe(None, [override])


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no model here; name a directory that pretrain\.py or finetune\.py wrote"):
        load_model(tmp_path)
    with pytest.raises(UsageError, match="no processor here"):
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
