"""One step of training: losses, gradients and learning rates are the same however a step is laid out."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gapmodel.model_directory import load_model
from gapmodel.training.dense import DenseHead, dense_counts
from gapmodel.training.learner import Learner, as_floats
from gapmodel.training.loading import Step, blank_batch, lay_out
from gapmodel.training.optimisation import build_optimizer, learning_rate_share, set_learning_rates
from gapmodel.training.recipe import TrainRecipe
from gapmodel.training.starting_point import class_names, first_model
from gapmodel.training.step import training_step
from gapmodel.training.throughput import Arithmetic
from tests.support.training_runs import MIXED, RECIPE, RECORDS
from tests.support.training_steps import first_step


def test_answer_only_losses_equal_those_of_the_whole_sequence(stage_one: Path) -> None:
    model, processor = load_model(stage_one)
    (batch,) = first_step(RECIPE, processor).batches
    with torch.no_grad():
        ours = Learner(model)(batch).answer.mean()
        logits = model(**as_floats(batch.inputs, 1)).logits[:, :-1]
        whole = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=-100
        )
    torch.testing.assert_close(ours, whole, rtol=0, atol=1e-5)


def test_micro_batches_and_blank_ones_have_the_gradient_of_the_whole_step(stage_one: Path) -> None:
    """Answers of unequal lengths: the mean is over tokens, not over micro-batches."""
    model, processor = load_model(stage_one)
    learner, gradients = Learner(model.train()), []
    recipe = replace(RECIPE, mixture=MIXED.mixture, train=TrainRecipe(batch_size=9, clip=1e9))
    for rows, packed in ((0, 0), (1, 0), (2, 480)):
        step = first_step(
            replace(recipe, train=replace(recipe.train, micro_batch=rows, token_budget=packed)), processor
        )
        if rows == 1:
            step = replace(step, batches=(*step.batches, blank_batch(processor)))
        optimizer = torch.optim.SGD(learner.parameters(), lr=0.0)
        figures = training_step(learner, step, optimizer, recipe)
        gradients.append([p.grad.clone() for p in learner.parameters() if p.grad is not None])
        assert len(step.batches) > 1 or not rows
        assert figures["loss"] == pytest.approx(figures["answer"])
    for other_gradients in gradients[1:]:
        for one, two in zip(gradients[0], other_gradients, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


def test_the_dense_losses_have_the_gradient_of_the_whole_step_in_micro_batches_too(stage_one: Path) -> None:
    """Micro-batches of unequally many known points, marks and classes, and a blank one."""
    model, processor = load_model(stage_one)
    torch.manual_seed(0)
    labels = class_names({"": RECORDS}, RECIPE)
    learner = Learner(model.train(), DenseHead(model.config.text_config.hidden_size, len(labels)))
    gradients, losses = [], []
    for rows in (0, 1, 3):
        settings = replace(RECIPE.train, batch_size=4, clip=1e9, micro_batch=rows)
        step = first_step(replace(RECIPE, train=settings), processor, labels)
        if rows == 1:
            step = replace(step, batches=(*step.batches, blank_batch(processor)))
        figures = training_step(learner, step, torch.optim.SGD(learner.parameters(), lr=0.0), RECIPE)
        losses.append([figures[name] for name in ("answer", "visual", "asked")])
        gradients.append([p.grad.clone() for p in learner.parameters() if p.grad is not None])
        assert len(step.batches) > 1 or not rows
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], rel=1e-5)
    for other_gradients in gradients[1:]:
        for one, two in zip(gradients[0], other_gradients, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


def test_the_mean_over_questions_is_the_same_however_they_are_laid_out(stage_one: Path) -> None:
    """Rows alone, in micro-batches, packed with shared prefixes, and as two ranks would sum them: one gradient."""
    model, processor = load_model(stage_one)
    learner = Learner(model.train())
    settings = TrainRecipe(batch_size=5, clip=1e9, mean_over="questions")
    recipe = replace(RECIPE, mixture=MIXED.mixture, train=settings)
    found = []
    for rows, packed in ((0, 0), (1, 0), (2, 480)):
        step = first_step(replace(recipe, train=replace(settings, micro_batch=rows, token_budget=packed)), processor)
        if rows == 1:
            step = replace(step, batches=(*step.batches, blank_batch(processor)))
        figures = training_step(learner, step, torch.optim.SGD(learner.parameters(), lr=0.0), recipe)
        found.append((figures["loss"], [p.grad.clone() for p in learner.parameters() if p.grad is not None]))
    alone = first_step(replace(recipe, train=replace(settings, micro_batch=1)), processor)
    learner.zero_grad()
    means = [learner(batch).answer.mean() for batch in alone.batches]
    loss = sum(each.item() for each in means) / len(means)
    assert len(means) == alone.asked > 3
    (sum(means) / len(means)).backward()
    expected = [p.grad.clone() for p in learner.parameters() if p.grad is not None]
    halves = [alone.batches[:2], alone.batches[2:]]  # ranks: each sums its own, divided by all questions
    learner.zero_grad()
    for part in halves:
        (sum(learner(batch).answer_sum("questions") for batch in part) / alone.asked).backward()
    found.append((loss, [p.grad.clone() for p in learner.parameters() if p.grad is not None]))
    for told, gradients in found:
        assert told == pytest.approx(loss, abs=1e-5)
        for one, two in zip(gradients, expected, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)
    lengths = {int((batch.labels != -100).sum()) for batch in alone.batches}
    assert len(lengths) > 1  # else tokens and questions would give the same mean


def test_recomputed_activations_change_no_gradient(stage_one: Path) -> None:
    model, processor = load_model(stage_one)
    (batch,) = first_step(RECIPE, processor).batches
    gradients = []
    for recomputed in (False, True):
        if recomputed:
            model.model.language_model.activation_checkpointing_enable()
        model.zero_grad()
        Learner(model).train()(batch).answer.mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(layer.gradient_checkpointing for layer in model.model.language_model.layers)
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def test_a_step_without_any_question_is_harmless(stage_one: Path) -> None:
    model, processor = load_model(stage_one)
    learner = Learner(model, DenseHead(64, 3)).train()
    step = Step(batches=(blank_batch(processor),), visits=0, answered=0, tokens=0)
    optimizer = build_optimizer(learner, RECIPE.train)
    assert training_step(learner, step, optimizer, RECIPE)["loss"] == 0.0
    assert learner.head is not None
    assert all(p.grad is not None and not p.grad.any() for p in learner.head.parameters())
    assert lay_out([], processor, RECIPE.train, visits=2).batches == ()


def test_frozen_parts_have_no_optimizer_state_and_fusion_its_own_learning_rate() -> None:
    settings = replace(RECIPE.train, freeze=("visual", "geometry"), learning_rate=0.5, fusion_learning_rate=2.0)
    model, _ = first_model({"": RECORDS}, RECIPE)
    model.model.freeze(settings.freeze)
    optimizer = build_optimizer(Learner(model), settings)
    set_learning_rates(optimizer, 0.1)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    frozen = {id(p) for part in ("visual", "geometry") for p in model.model.get_submodule(part).parameters()}
    assert not rates.keys() & frozen
    assert rates.keys() | frozen == {id(p) for p in model.parameters()}
    fusion = {id(p) for p in model.model.fusion.parameters()}
    assert {rates[each] for each in fusion} == {0.2}
    assert {rates[each] for each in rates.keys() - fusion} == {0.05}


def test_gates_learn_like_the_language_model_and_norms_decay_as_the_authors_have_it() -> None:
    rates: dict[str, Any] = {"learning_rate": 0.5, "fusion_learning_rate": 2.0, "gate_learning_rate": 0.5}
    settings = replace(RECIPE.train, **rates, decay_norms=True)
    model, _ = first_model({"": RECORDS}, RECIPE)
    learner = Learner(model)
    groups = build_optimizer(learner, settings).param_groups
    told = {id(p): (group["peak"], group["weight_decay"]) for group in groups for p in group["params"]}
    named = {name: told[id(p)] for name, p in learner.named_parameters()}
    norms = {name for name in named if "norm" in name and name.endswith("weight")}
    assert any(".merger.norm." in name for name in norms)
    for name, (rate, decay) in named.items():
        assert rate == (2.0 if "fusion." in name and ".merger." in name else 0.5), name
        layer_norm = isinstance(learner.get_submodule(name.rpartition(".")[0]), torch.nn.LayerNorm)
        assert decay == (0.0 if "bias" in name or layer_norm else settings.weight_decay), name
    assert {
        named[name][1] for name in norms if "language_model" in name or ("fusion." in name and ".merger." in name)
    } == {0.01}
    assert {named[name][1] for name in norms if ".fuse." in name} == {0.0}


def test_the_arithmetic_of_a_step_counts_trained_weights_three_times(stage_one: Path) -> None:
    model, processor = load_model(stage_one)
    step = first_step(RECIPE, processor)
    trained = Arithmetic(model)(step)
    model.model.freeze(("visual", "geometry", "language_model", "fusion"))
    model.lm_head.requires_grad_(False)
    assert trained == pytest.approx(3 * Arithmetic(model)(step))


def test_the_dense_loss_ignores_what_is_not_known() -> None:
    torch.manual_seed(0)
    head = DenseHead(8, 3)
    tokens = torch.randn(6, 8)
    known = {"point": torch.randn(6, 3), "label": torch.tensor([0, 1, 2, -1, -1, 0]), "mark": torch.eye(6)[2]}
    unknown = known | {"point": known["point"].clone().index_fill(0, torch.tensor([1]), float("nan"))}
    other = tokens.clone().requires_grad_()
    bare = {**unknown, "label": torch.full((6,), -1), "mark": torch.zeros(6), "asked": torch.full((1, 3), np.nan)}
    rows = torch.zeros(6, dtype=torch.long)
    counts = dense_counts(bare, rows)
    loss = head.visual_loss(other, bare, counts)
    loss.backward()
    assert other.grad is not None
    assert other.grad[1].abs().sum() == 0
    assert other.grad[0].abs().sum() > 0
    assert torch.isfinite(head.visual_loss(tokens, unknown, dense_counts(bare | unknown, rows)))
    assert head.asked_loss(tokens, rows, bare, counts) == 0


def test_the_learning_rate_rises_and_falls() -> None:
    settings = replace(RECIPE.train, warmup=0.1, final_learning_rate=0.1)
    shares = [learning_rate_share(step, 100, settings) for step in range(100)]
    assert shares[:10] == pytest.approx(np.linspace(0.1, 1.0, 10))
    assert all(a >= b for a, b in itertools.pairwise(shares[10:]))
    assert shares[-1] == pytest.approx(0.1, abs=1e-3)


def test_the_learning_rate_of_the_authors_is_hugging_faces() -> None:
    from transformers import get_cosine_schedule_with_warmup

    settings = replace(RECIPE.train, warmup=0.03, warmup_from_zero=True, final_learning_rate=0.0)
    for steps in (1, 10, 34, 100):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        theirs = get_cosine_schedule_with_warmup(optimizer, math.ceil(0.03 * steps), steps)
        for step in range(steps):
            assert learning_rate_share(step, steps, settings) == pytest.approx(
                optimizer.param_groups[0]["lr"], abs=1e-12
            )
            optimizer.step()
            theirs.step()
    assert learning_rate_share(0, 100, settings) == 0.0


def test_class_names_are_those_of_the_chosen_split() -> None:
    names = class_names({"": RECORDS}, RECIPE)
    assert names == sorted({item.label for record in list(RECORDS)[:3] for item in record.objects})
