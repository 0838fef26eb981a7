"""Training runs: the loss goes down, a model is left, and a run that would learn nothing is refused."""

from __future__ import annotations

import json
import re
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
from gapmodel.evaluation.answering import Answerer
from gapmodel.evaluation.detection import DetectionScores
from gapmodel.evaluation.pointmap import PointmapScores
from gapmodel.evaluation.results import TaskResult
from gapmodel.evaluation.run import asked_tasks, asking_as_trained, model_data_recipe, score
from gapmodel.model_directory import load_model
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.questions.options import question_options
from gapmodel.questions.recipe import DataRecipe
from gapmodel.training.distributed import Ranks
from gapmodel.training.export import save_model
from gapmodel.training.learner import Learner, as_floats
from gapmodel.training.logbook import read_log
from gapmodel.training.loop import train
from gapmodel.training.optimisation import build_optimizer
from gapmodel.training.recipe import RunRecipe, read_training_recipe
from gapmodel.training.run import TrainingConfig
from gapmodel.training.step import TrainingError, training_step
from tests.support.builds import write_build
from tests.support.evaluations import make_records
from tests.support.training_runs import MIXED, RECIPE, RECORDS
from tests.support.training_steps import first_step, run


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
    assert "marked: 2 records; 1 without anything to ask about\n" in said
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
        ({}, UNANNOTATED, "its 3 records have no instance masks (scans of your own have none)"),
        ({"prompts": "sampled"}, UNANNOTATED, "its 3 records have no instance masks"),
        ({"task": "detection"}, UNANNOTATED, "its 3 records have no objects to detect"),
        ({"task": "conversation"}, UNANNOTATED, "its 3 records have no conversations"),
        ({"task": "grounding"}, UNANNOTATED, "its 3 records have no descriptions; build with ScanRefer's JSON"),
        ({}, [replace(record, prompts=()) for record in RECORDS], "its 3 records have no prompts; build with prompts"),
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
    assert str(caught.value).startswith("stream 'idle' has no question: ")
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_records_without_masks_beside_others_are_passed_over_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(RECIPE, train=replace(RECIPE.train, steps=3))
    records = [RECORDS[0], replace(UNANNOTATED[1], key="own-clip-0")]
    outcome = train(TrainingConfig(recipe=recipe, builds={"": RecordList(records)}, out=tmp_path / "out", bar=False))
    assert outcome.questions > 0
    assert "2 records; 1 without anything to ask about" in capsys.readouterr().err


def test_a_run_whose_visits_held_no_question_leaves_no_model(tmp_path: Path) -> None:
    """The records' prompts are all in their second frame, and the recipe takes the first."""
    records = [
        replace(record, prompts=tuple(replace(prompt, frame=1) for prompt in record.prompts)) for record in RECORDS
    ]
    recipe = replace(MIXED, data=DataRecipe(frames=1), mixture={}, run=RunRecipe(threads=1))
    config = TrainingConfig(recipe=recipe, builds={"": RecordList(records)}, out=tmp_path / "out", bar=False)
    with pytest.raises(TrainingError, match=r"none of the 2 visited batches held a question, so no model is written"):
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
    assert "has no question: its 3 records have no instance masks" in capsys.readouterr().err
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


def scores(stage: Path, data: DataRecipe, task: str, limit: int) -> TaskResult:
    model, processor = load_model(stage)
    (asked,) = asked_tasks(RECORDS, lambda task: asking_as_trained(data, "val"), [task], limit)
    answerer = Answerer(model=model.eval(), processor=processor, reader=RECORDS, batch_size=3, bar=False)
    answerer.answer(asked)
    return score(RECORDS, [asked], answerer.texts).tasks[task]


def test_a_trained_model_can_be_evaluated_on_held_out_scenes(stage_one: Path) -> None:
    points = scores(stage_one, RECIPE.data, "pointmap", limit=4)
    assert isinstance(points.ours, PointmapScores)
    assert points.ours.questions == 4
    assert isinstance(points.baseline, PointmapScores)
    assert points.baseline.unparsable == 0
    boxes = scores(stage_one, DataRecipe(max_objects=1), "detection", limit=1).ours
    assert isinstance(boxes, DetectionScores)
    assert boxes.views == 1
    assert boxes.true == 1


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


def test_fewer_visits_than_ranks_are_refused(tmp_path: Path) -> None:
    config = TrainingConfig(recipe=RECIPE, builds={"": RECORDS}, out=tmp_path)
    with pytest.raises(UsageError, match=r"train\.batch_size 4 is less than a visit for each of 5 ranks"):
        train(config, Ranks(world_size=5))
