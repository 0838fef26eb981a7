"""What training takes of memory: counted without content as with it, and small enough where a recipe promises that."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from gapmodel.commands.main import main
from gapmodel.model_directory import load_model
from gapmodel.training.distributed import ALONE
from gapmodel.training.learner import ANSWER_TOKENS, Learner
from gapmodel.training.logbook import read_log
from gapmodel.training.low_rank import add_adapter
from gapmodel.training.memory import measure
from gapmodel.training.memory_count import RESERVE, MemoryCount, count_memory
from gapmodel.training.recipe import LoraRecipe, TrainingRecipe, read_training_recipe
from tests.support.training_runs import MIXED, RECIPE
from tests.support.training_steps import first_step, run

SMALL_GPU = 24e9
"""Bytes of a GPU that is sold as having 24 GB; it has 25.8e9."""
TINY = ["model.preset=tiny", "processor.temporal_patch_size=1", "processor.image_size=[64,32]"]
TINY += ["processor.geometry_patch_size=16", "processor.prompting=qwen", "processor.mark_native_width=256.0"]
TINY += ["train.learning_rate=1e-2", "train.fusion_learning_rate=1e-2", "train.beta2=0.95"]
TINY += ["run.workers=0", "run.evaluate_every=0", "run.threads=1", "train.batch_size=4"]
"""What makes a recipe for a small GPU one for the tests' own model."""
VIEWS = ["data.frames=2", "data.visits=4"]
"""And that of stage 1 one for the tests' own records."""


def small(*, recomputed: bool = True, **changes: Any) -> TrainingRecipe:
    pytest.importorskip("peft")
    train = replace(MIXED.train, token_budget=230, frozen_precision="bfloat16")
    run = replace(MIXED.run, checkpoint_activations=recomputed)
    recipe = replace(MIXED, train=replace(train, **changes), run=run)
    return replace(recipe, model=replace(recipe.model, lora=LoraRecipe(rank=4)))


def test_without_content_as_much_is_counted_as_with_it() -> None:
    """The same bytes for weights; for what is alive in between, 1 % may be the content's own (cached constants)."""
    empty, full = (count_memory(small(), without=without) for without in (True, False))
    for name in ("frozen", "trained", "gradients", "moments", "rows", "tokens", "visual"):
        assert getattr(empty, name) == getattr(full, name)
    assert empty.activations == pytest.approx(full.activations, rel=0.01)
    assert empty.moments == 2 * empty.trained


def test_what_saves_memory_is_counted_as_saving_it() -> None:
    least = count_memory(small())
    most = count_memory(small(recomputed=False, frozen_precision="float32"))
    assert most.activations > least.activations
    assert 1.5 * least.frozen < most.frozen < 2.1 * least.frozen


@pytest.mark.slow
def test_two_billion_weights_train_on_a_small_gpu() -> None:
    """Stage 1; stage 2 has the same model and rows as long, with as many frames in them."""
    pytest.importorskip("peft")
    one, two = (read_training_recipe(Path(f"train-24gb-{name}")) for name in ("pretrain", "finetune"))
    assert (one.model, one.train, one.processor) == (two.model, two.train, two.processor)
    found: MemoryCount = count_memory(one)
    assert found.total + RESERVE < 0.8 * SMALL_GPU
    assert (found.tokens, found.visual) == (one.train.token_budget, 32 * one.processor.tokens_per_frame)
    assert found.frozen == pytest.approx(6.1e9, rel=0.02)
    assert found.trained == pytest.approx(0.88e9, rel=0.02)


def test_the_recipes_for_a_small_gpu_train_at_a_tiny_size(stage_one: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    recipe = read_training_recipe(Path("train-24gb-pretrain"), [*TINY, *VIEWS, "train.steps=24", "run.save_every=12"])
    run(recipe, tmp_path / "one", stage_one)
    losses = [line["loss"] for line in read_log(tmp_path / "one")]
    assert sum(losses[-4:]) < 0.92 * sum(losses[:4])
    written = tmp_path / "one" / "model" / "model.safetensors"
    before = written.read_bytes()
    for name in ("model", "checkpoints/step-000024"):
        shutil.rmtree(tmp_path / "one" / name)
    run(recipe, tmp_path / "one", stage_one)  # goes on from step 12
    assert written.read_bytes() == before
    mixture = {"detection": {"task": "detection", "view": "clip", "min_visible_pixels": 1}}
    second = read_training_recipe(Path("train-24gb-finetune"), [*TINY, "train.steps=4"])
    run(replace(second, mixture=mixture), tmp_path / "two", tmp_path / "one")
    assert load_model(tmp_path / "two")[0].config.taught == ["detection", "pointmap"]


def test_the_command_tells_the_parts(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("peft")
    fields = [*TINY, *VIEWS, "train.token_budget=300"]
    arguments = ["memory", "--recipe", "train-24gb-pretrain", *(part for field in fields for part in ("--set", field))]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["tokens"]) == (1, 300)
    assert told["total"] == sum(told[name] for name in ("frozen", "trained", "gradients", "moments", "activations"))


def test_rounded_copies_of_weights_do_not_count_for_each_token(stage_one: Path) -> None:
    """They are as large for one question as for many; counted by the token, they would forbid every step."""
    model, processor = load_model(stage_one)
    learner = Learner(model).train()
    (batch,) = first_step(replace(RECIPE, train=replace(RECIPE.train, batch_size=1)), processor).batches
    full, half = (measure(learner, batch, replace(ALONE, half=rounds)) for rounds in (False, True))
    assert half.saved_per_token < full.saved_per_token
    copied = half.optimizer - full.optimizer
    assert copied == pytest.approx(sum(2 * each.numel() for each in learner.parameters() if each.ndim > 1), rel=0.2)


def test_long_answers_have_the_losses_and_gradients_of_short_ones(stage_one: Path) -> None:
    model, _ = load_model(stage_one)
    torch.manual_seed(0)
    count = 2 * ANSWER_TOKENS + 100
    hidden = torch.randn(count, model.config.text_config.hidden_size, requires_grad=True)
    expected = torch.randint(0, model.config.text_config.vocab_size, (count,))
    ours = Learner(model)._answer_loss(hidden, expected)
    whole = F.cross_entropy(model.lm_head(hidden), expected, reduction="none")
    torch.testing.assert_close(ours, whole)
    gradients = [torch.autograd.grad(loss.mean(), hidden)[0] for loss in (ours, whole)]
    torch.testing.assert_close(*gradients)


def test_a_model_without_content_takes_an_adapter() -> None:
    pytest.importorskip("peft")
    with torch.device("meta"):
        from gapmodel.modeling import GapForConditionalGeneration
        from gapmodel.presets import preset

        model = GapForConditionalGeneration(preset("tiny"))
        add_adapter(model, LoraRecipe(rank=2), 0)
    assert {each.device.type for each in model.parameters()} == {"meta"}
