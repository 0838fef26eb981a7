"""Training and its recipes: the loss goes down, checkpoints load, mistakes are named."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gapdata.errors import UsageError
from gapdata.records.expressions import descriptions
from gapdata.shards.records import RecordList
from gapdata.tasks.questions import left_out
from gapmodel.commands.main import main
from gapmodel.evaluation.run import evaluate, model_data_recipe
from gapmodel.model_directory import load_model
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.processing import GapProcessor
from gapmodel.questions.options import question_options
from gapmodel.questions.recipe import DataRecipe
from gapmodel.training.dense import DenseHead, dense_counts
from gapmodel.training.distributed import Ranks
from gapmodel.training.export import save_model
from gapmodel.training.learner import Learner, as_floats
from gapmodel.training.loading import Step, Steps, blank_batch, lay_out, make_streams
from gapmodel.training.logbook import read_log
from gapmodel.training.loop import TrainingConfig, TrainingError, train, training_step
from gapmodel.training.optimisation import build_optimizer, learning_rate_share, set_learning_rates
from gapmodel.training.outcome import TrainingOutcome
from gapmodel.training.recipe import RunRecipe, TrainingRecipe, TrainRecipe, read_training_recipe
from gapmodel.training.starting_point import class_names, first_model
from gapmodel.training.throughput import Arithmetic
from tests.conftest import REPOSITORY
from tests.support.builds import write_build
from tests.support.evaluations import make_records
from tests.support.training_runs import MIXED, RECIPE, RECORDS


def run(recipe: TrainingRecipe, out: Path, init: Path | None = None, **options: Any) -> TrainingOutcome:
    return train(TrainingConfig(recipe=recipe, builds={"": RECORDS}, out=out, init=init, bar=False, **options))


def first_step(recipe: TrainingRecipe, processor: GapProcessor, labels: list[str] | None = None) -> Step:
    streams, mixture = make_streams(recipe, {"": RECORDS}, processor, labels)
    return next(iter(Steps(streams, mixture, recipe.train)))


@pytest.fixture(scope="module")
def stage_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stage-one")
    recipe = replace(RECIPE, run=replace(RECIPE.run, evaluate_every=30, evaluate_visits=2))
    outcome = run(recipe, out)
    assert outcome.last_loss < 0.6 * outcome.first_loss
    return out


def test_a_run_leaves_a_model_a_log_and_its_recipe(stage_one: Path) -> None:
    lines = [line for line in read_log(stage_one) if "loss" in line]
    assert [line["step"] for line in lines] == list(range(30))
    names = ("loss", "answer", "visual", "asked", "grad_norm", "lr", "records_per_second", "tokens_per_second")
    assert all(np.isfinite([line[name] for name in names]).all() for line in lines)
    files = {"model", "log.jsonl", "samples.jsonl", "run.json", "outcome.json", "checkpoints"}
    assert {path.name for path in stage_one.iterdir()} - {"tensorboard"} == files
    assert isinstance(
        GapForConditionalGeneration.from_pretrained(str(stage_one / "model")), GapForConditionalGeneration
    )
    assert model_data_recipe(stage_one / "model") == RECIPE.data


def test_held_out_questions_are_measured_and_answered(stage_one: Path) -> None:
    (line,) = [line for line in read_log(stage_one) if "held_out.pointmap" in line]
    assert line["step"] == 29
    assert np.isfinite(line["held_out.pointmap"])
    samples = [json.loads(text) for text in (stage_one / "samples.jsonl").read_text().splitlines()]
    assert len(samples) == 2
    assert all(sample["key"].startswith(f"{RECORDS[3].key}/pointmap/") for sample in samples)
    assert all('"pointmap": [' in sample["true"] and sample["model"] for sample in samples)


def test_every_task_is_measured_and_what_is_left_out_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both rooms' scene views; in neither has the detector found the first object."""
    told = {task: {"task": task, "view": "scene"} for task in ("grounding", "grounding_frame", "grounding_box")}
    told |= {"captions": {"task": "captioning", "view": "scene", "caption_point": "proposal"}}
    recipe = replace(
        MIXED,
        mixture={"marked": {}, "boxes": {"task": "detection"}, **told},
        train=replace(MIXED.train, steps=2, token_budget=600),
        run=RunRecipe(threads=1, evaluate_every=2, evaluate_visits=1, samples=7, sample_tokens=4),
    )
    records = make_records()[:4]
    empty = replace(records[0], key="empty-clip-0", prompts=())
    train(TrainingConfig(recipe=recipe, builds={"": RecordList([*records, empty])}, out=tmp_path, bar=False))
    (opening,) = [line["streams"] for line in read_log(tmp_path) if "streams" in line]
    assert set(opening) == set(recipe.mixture)
    assert opening["marked"] == {"records": 2, "outside": 0, "empty": 1, "descriptions": 0, "left_out": {}}
    reasons = opening["captions"]["left_out"]
    expressions = descriptions(records[1])
    assert opening["captions"]["descriptions"] == len(expressions)
    assert reasons == left_out(records[1], "captioning", question_options(recipe.streams[-1].data))
    assert sum(reasons.values()) == 2
    said = capsys.readouterr().err
    assert "marked: 2 records; 1 of them with nothing to ask about\n" in said
    assert re.search(r"captions: frames of \d+x\d+ are seen as 64x32 in 2 tokens each\n", said)
    told_of = f"captions: 1 record; 2 of {len(expressions)} descriptions left out: 2 because the object has no proposal"
    assert f"{told_of}\n" in said

    (losses,) = [line for line in read_log(tmp_path) if "held_out.marked" in line]
    assert np.isfinite([losses[f"held_out.{name}"] for name in recipe.mixture]).all()
    samples = [json.loads(text) for text in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert [sample["key"].split("/")[1] for sample in samples[:6]] == list(recipe.mixture)
    assert all(sample["true"] for sample in samples)


UNANNOTATED = [
    replace(
        record,
        objects=(),
        prompts=(),
        expressions=(),
        members={name: data for name, data in record.members.items() if "instance" not in name},
    )
    for record in RECORDS
]
"""What a build of own scans holds."""


@pytest.mark.parametrize(
    ("data", "records", "message"),
    [
        ({}, UNANNOTATED, "its 3 records have no instance masks (own scans have no annotation)"),
        ({"prompts": "sampled"}, UNANNOTATED, "its 3 records have no instance masks"),
        ({"task": "detection"}, UNANNOTATED, "its 3 records list no object"),
        ({"task": "conversation"}, UNANNOTATED, "its 3 records carry no conversation"),
        ({"task": "grounding"}, UNANNOTATED, "its 3 records carry no description; build with ScanRefer's JSON"),
        ({}, [replace(record, prompts=()) for record in RECORDS], "its 3 records carry no prompt; build with prompts"),
        (
            {"task": "grounding", "view": "scene"},
            [replace(record, axis_alignment=None) for record in make_records()],
            "because the object has no aligned box",
        ),
        (
            {"task": "captioning", "view": "scene", "caption_point": "proposal", "min_visible_pixels": 10**6},
            make_records(),
            "because no frame shows enough of the object; lower min_visible_pixels",
        ),
    ],
)
@pytest.mark.parametrize("mixed", [False, True], ids=["alone", "in a mixture"])
def test_a_stream_that_asks_nothing_is_refused_before_anything_is_written(
    data: dict[str, Any], records: list[Any], message: str, mixed: bool, tmp_path: Path
) -> None:
    mixture = {"taught": {"build": "other"}, "idle": data} if mixed else {"idle": data}
    recipe = replace(MIXED, data=DataRecipe(min_visible_pixels=1), mixture=mixture)
    config = TrainingConfig(
        recipe=recipe, builds={"": RecordList(records), "other": RECORDS}, out=tmp_path / "out", bar=False
    )
    with pytest.raises(UsageError) as caught:
        train(config)
    assert str(caught.value).startswith("stream 'idle' asks nothing: ")
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_records_without_masks_beside_others_are_passed_over_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(RECIPE, train=replace(RECIPE.train, steps=3))
    records = [RECORDS[0], replace(UNANNOTATED[1], key="own-clip-0")]
    outcome = train(TrainingConfig(recipe=recipe, builds={"": RecordList(records)}, out=tmp_path / "out", bar=False))
    assert outcome.questions > 0
    assert "2 records; 1 of them with nothing to ask about" in capsys.readouterr().err


def test_a_run_whose_visits_held_no_question_leaves_no_model(tmp_path: Path) -> None:
    """The records' prompts are all in their second frame, and the recipe takes the first."""
    records = [
        replace(record, prompts=tuple(replace(prompt, frame=1) for prompt in record.prompts)) for record in RECORDS
    ]
    recipe = replace(MIXED, data=DataRecipe(frames=1), mixture={}, run=RunRecipe(threads=1))
    config = TrainingConfig(recipe=recipe, builds={"": RecordList(records)}, out=tmp_path / "out", bar=False)
    with pytest.raises(TrainingError, match=r"none of the 2 visited batches held a question, so there is no model"):
        train(config)
    assert not (tmp_path / "out" / "model").exists()
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_a_run_that_would_ask_nothing_does_not_remove_the_one_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    (out / "model").mkdir(parents=True)
    (out / "run.json").touch()
    build = write_build(tmp_path / "build", UNANNOTATED)
    words = ["train", "--stage", "pretrain", "--shards", str(build), "--out", str(out), "--local", "--overwrite"]
    assert main(words) == 2
    assert "asks nothing: its 3 records have no instance masks" in capsys.readouterr().err
    assert (out / "model").is_dir()


def test_equal_seeds_give_equal_runs(tmp_path: Path) -> None:
    short = replace(RECIPE, train=replace(RECIPE.train, steps=4, warmup=0.0, final_learning_rate=1.0))
    losses = []
    for name in ("one", "two"):
        run(short, tmp_path / name)
        losses.append([line["loss"] for line in read_log(tmp_path / name)])
    assert losses[0] == losses[1]


def test_stage_two_starts_from_stage_one(stage_one: Path, tmp_path: Path) -> None:
    settings = replace(RECIPE.train, steps=2, learning_rate=1e-9, weight_decay=0.0)
    recipe = replace(RECIPE, data=DataRecipe(task="detection"), train=settings)
    run(recipe, tmp_path, init=stage_one)
    before, after = load_model(stage_one)[0].state_dict(), load_model(tmp_path)[0].state_dict()
    assert before.keys() == after.keys()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=1e-6)
    (tmp_path / "checkpoints").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"init was \w+ and is None"):
        run(recipe, tmp_path)


def test_models_of_several_steps_are_exported(tmp_path: Path) -> None:
    settings = replace(MIXED.train, steps=3)
    run(replace(MIXED, train=settings, run=replace(MIXED.run, export_every=2)), tmp_path)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["step-000002"]
    assert isinstance(load_model(tmp_path / "models" / "step-000002")[0], GapForConditionalGeneration)


def test_what_a_killed_export_left_goes_with_the_next_one(stage_one: Path, tmp_path: Path) -> None:
    model, processor = load_model(stage_one)
    place = tmp_path / "run" / "model"
    for leftover in (".model.tmp", ".model.old"):
        (place.parent / leftover).mkdir(parents=True)
        (place.parent / leftover / "model.safetensors").write_bytes(b"half")
    for _ in range(2):
        save_model(model, processor, read_training_recipe(None), place)
        assert [path.name for path in place.parent.iterdir()] == ["model"]
    load_model(place)


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


def test_a_loss_that_is_not_finite_names_the_records_that_caused_it(stage_one: Path) -> None:
    model, processor = load_model(stage_one)
    settings = replace(RECIPE.train, micro_batch=1, visual_weight=0.0, asked_weight=0.0)
    step = first_step(replace(RECIPE, train=settings), processor)
    step.batches[2].inputs.update(pixel_values=as_floats(step.batches[2].inputs, 1)["pixel_values"] * np.nan)
    learner = Learner(model.train())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(TrainingError, match=rf"the loss is nan on records {step.batches[2].keys[0]}; look at"):
        training_step(learner, step, build_optimizer(learner, settings), RECIPE)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_run_that_diverges_ends(tmp_path: Path) -> None:
    recipe = replace(RECIPE, train=replace(RECIPE.train, learning_rate=1e30, clip=1e30, warmup=0.0, steps=20))
    with pytest.raises(TrainingError, match=r"is (nan|inf) on records room\d{4}-clip-00000/pointmap/\d"):
        run(recipe, tmp_path)
    assert not (tmp_path / "model").exists()


def test_the_arithmetic_of_a_step_counts_trained_weights_three_times(stage_one: Path) -> None:
    model, processor = load_model(stage_one)
    step = first_step(RECIPE, processor)
    trained = Arithmetic(model)(step)
    model.model.freeze(("visual", "geometry", "language_model", "fusion"))
    model.lm_head.requires_grad_(False)
    assert trained == pytest.approx(3 * Arithmetic(model)(step))


def test_fewer_visits_than_ranks_are_refused(tmp_path: Path) -> None:
    config = TrainingConfig(recipe=RECIPE, builds={"": RECORDS}, out=tmp_path)
    with pytest.raises(UsageError, match=r"train\.batch_size 4 is less than a visit for each of 5 ranks"):
        train(config, Ranks(world_size=5))


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


@pytest.mark.parametrize(
    "name", ["tiny-pretrain.toml", "tiny-finetune.toml", "train-pretrain.toml", "train-finetune.toml"]
)
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
