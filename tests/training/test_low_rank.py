"""Runs that train the language model by low-rank matrices: what they train, what they write, and that they resume."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from gapdata.errors import UsageError
from gapmodel.model_directory import load_model
from gapmodel.training.checkpointing import checkpoints
from gapmodel.training.learner import as_floats
from gapmodel.training.logbook import read_log
from gapmodel.training.recipe import LoraRecipe, TrainingRecipe, check_training_recipe
from gapmodel.training.run import TrainingConfig, first_learner
from gapmodel.training.starting_point import as_started
from tests.support.training_runs import MIXED, RECIPE, RECORDS, finish, start
from tests.support.training_steps import first_step, run

pytest.importorskip("peft")

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def low_rank(recipe: TrainingRecipe = MIXED, **fields: Any) -> TrainingRecipe:
    lora = LoraRecipe(**{"rank": 4, "alpha": 8.0, "dropout": 0.1, "keep": "adapter", **fields})
    return replace(recipe, model=replace(recipe.model, lora=lora))


def first(recipe: TrainingRecipe, init: Path | None = None) -> Any:
    return first_learner(TrainingConfig(recipe=recipe, builds={"": RECORDS}, out=Path(), init=init))[0]


def trained(learner: Any) -> set[str]:
    return {name for name, parameter in learner.named_parameters() if parameter.requires_grad}


@pytest.fixture(scope="module")
def low_rank_run(stage_one: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of ten steps from the first stage's model."""
    out = tmp_path_factory.mktemp("low-rank")
    run(low_rank(), out, stage_one)
    return out


def test_only_the_matrices_and_the_fusion_are_trained_and_kept_in_checkpoints(low_rank_run: Path) -> None:
    from torch.distributed.checkpoint.filesystem import FileSystemReader

    names = trained(first(low_rank()))
    matrices = {name for name in names if ".lora_A." in name or ".lora_B." in name}
    layers = MIXED.model.text["num_hidden_layers"]
    assert len(matrices) == 2 * layers * len(TARGETS)
    assert all(name.startswith("model.model.fusion.") for name in names - matrices)
    assert names - matrices
    held = FileSystemReader(checkpoints(low_rank_run)[-1]).read_metadata().state_dict_metadata
    assert {name.removeprefix("weights.") for name in held if name.startswith("weights.")} == names
    towers = trained(first(low_rank(replace(MIXED, train=replace(MIXED.train, freeze=("fusion",))))))
    assert {name.split(".")[2] for name in towers} == {"visual", "geometry", "language_model"}


def test_the_first_losses_are_those_of_the_model_without_matrices(stage_one: Path) -> None:
    _, processor = load_model(stage_one)
    (batch,) = first_step(RECIPE, processor).batches
    plain, added = (first(recipe, stage_one).eval() for recipe in (MIXED, low_rank()))
    with torch.no_grad():
        torch.testing.assert_close(added(batch).answer, plain(batch).answer, rtol=0, atol=0)


def test_the_seed_alone_decides_the_matrices(stage_one: Path) -> None:
    """Not what was drawn before: from random weights and from a model they are the same."""
    starts = ((0, None), (0, stage_one), (1, None))
    named = [first(replace(low_rank(), seed=seed), init).named_parameters() for seed, init in starts]
    drawn = [{name: value for name, value in found if "lora_A" in name} for found in named]
    for name, value in drawn[0].items():
        assert torch.equal(value, drawn[1][name])
        assert not torch.equal(value, drawn[2][name])


def test_the_merged_model_is_an_ordinary_one_and_the_adapter_loads_onto_the_first(
    stage_one: Path, low_rank_run: Path
) -> None:
    from peft import PeftModel

    before, processor = load_model(stage_one)
    merged, _ = load_model(low_rank_run)
    weights, old = merged.state_dict(), before.state_dict()
    assert weights.keys() == old.keys()
    assert {value.dtype for value in weights.values()} == {torch.float32}
    changed = {name for name, value in weights.items() if not torch.equal(value, old[name])}
    inside = {name for name in changed if name.startswith("model.language_model.")}
    assert {name.split(".")[-2] for name in inside} == set(TARGETS)
    assert {name.split(".")[1] for name in changed - inside} == {"fusion"}
    adapter = low_rank_run / "model" / "adapter"
    told = json.loads((adapter / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == str(stage_one / "model")
    held = {name.removeprefix("base_model.model.model.") for name in load_file(adapter / "adapter_model.safetensors")}
    assert {name.split(".")[0] for name in held} == {"language_model", "fusion"}
    (batch,) = first_step(RECIPE, processor).batches
    inputs = as_floats(batch.inputs, 1)
    with torch.no_grad():
        first_answers = before.eval()(**inputs).logits
        expected = merged.eval()(**inputs).logits
        found = PeftModel.from_pretrained(before, str(adapter)).eval()(**inputs).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert not torch.allclose(first_answers, expected, atol=1e-2)


def test_the_next_stage_starts_from_the_merged_model_and_trains_as_its_own_recipe_says(
    low_rank_run: Path, tmp_path: Path
) -> None:
    recipe = as_started(low_rank(rank=2), low_rank_run, {"model": {"lora": {"rank": 2}}})
    assert recipe.model.lora.rank == 2
    assert as_started(MIXED, low_rank_run, {}).model.lora.rank == 0
    shorter = replace(recipe.train, steps=2, epochs=1)
    run(replace(recipe, train=shorter), tmp_path, low_rank_run)
    assert read_log(tmp_path)[0]["loss"] < read_log(low_rank_run)[0]["loss"]


def test_a_run_that_goes_on_from_a_checkpoint_ends_with_the_same_bits(
    stage_one: Path, low_rank_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(low_rank_run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "model")
    (tmp_path / "run" / "outcome.json").unlink()
    shutil.rmtree(checkpoints(tmp_path / "run")[-1])
    assert checkpoints(tmp_path / "run")[-1].name == "step-000009"
    run(low_rank(), tmp_path / "run", stage_one)
    for name in ("model.safetensors", "adapter/adapter_model.safetensors"):
        assert (tmp_path / "run" / "model" / name).read_bytes() == (low_rank_run / "model" / name).read_bytes()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_two_ranks_write_what_one_process_does(tmp_path: Path) -> None:
    recipe = low_rank(replace(MIXED, train=replace(MIXED.train, steps=2)), dropout=0.0)
    run(recipe, tmp_path / "one")
    changes = ["model.lora.rank=4", "model.lora.alpha=8.0", "model.lora.keep=adapter", "train.steps=2"]
    finish(start(tmp_path / "two", *changes, ranks=2, port=free_port()))
    for name in ("model.safetensors", "adapter/adapter_model.safetensors"):
        one, two = (load_file(tmp_path / each / "model" / name) for each in ("one", "two"))
        assert one.keys() == two.keys()
        for key, value in one.items():
            torch.testing.assert_close(two[key], value, rtol=0, atol=2e-4)


def rounded(learner: Any) -> Iterator[tuple[str, Tensor]]:
    return ((name, value) for name, value in learner.named_parameters() if value.dtype == torch.bfloat16)


def test_frozen_matrices_can_be_kept_in_bfloat16(stage_one: Path, tmp_path: Path) -> None:
    halved = replace(MIXED.train, steps=3, frozen_precision="bfloat16")
    recipe = replace(low_rank(keep="merged"), train=halved)
    learner = first(recipe, stage_one)
    learner.round_frozen()
    names = dict(rounded(learner))
    assert not names.keys() & trained(learner)
    assert {"visual", "geometry", "language_model"} == {name.split(".")[2] for name in names if "lm_head" not in name}
    assert not any("norm" in name for name in names)
    run(recipe, tmp_path / "half", stage_one)
    run(replace(recipe, train=replace(halved, frozen_precision="float32")), tmp_path / "full", stage_one)
    losses = [[line["loss"] for line in read_log(tmp_path / name)] for name in ("half", "full")]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != losses[1]
    model, _ = load_model(tmp_path / "half")
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    assert not (tmp_path / "half" / "model" / "adapter").exists()


@pytest.mark.parametrize(
    ("fields", "freeze", "message"),
    [
        ({"targets": ("q_prj",)}, (), r"model\.lora\.targets: linear layer 'q_prj' is unknown; did you mean q_proj\?"),
        ({"targets": ()}, (), r"model\.lora\.rank = 4, but model\.lora\.targets is empty"),
        ({}, ("language_model",), r"model\.lora\.rank = 4 trains the language model, which train\.freeze leaves out"),
    ],
)
def test_what_cannot_be_trained_is_refused(fields: dict[str, Any], freeze: tuple[str, ...], message: str) -> None:
    recipe = low_rank(replace(MIXED, train=replace(MIXED.train, freeze=freeze)), **fields)
    with pytest.raises(UsageError, match=message):
        refuse(recipe)


def refuse(recipe: TrainingRecipe) -> None:
    check_training_recipe(recipe)
    first(recipe)
