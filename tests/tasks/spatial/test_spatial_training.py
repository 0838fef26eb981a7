"""Questions about space in training: right for the view that is shown, and the same whoever makes them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from gapdata.errors import UsageError
from gapdata.shards.reader import ShardReader
from gapdata.tasks.chat import IMAGE
from gapdata.tasks.spatial.kinds import KINDS, spatial_questions
from gapdata.tasks.spatial.view_facts import ViewFacts
from gapdata.tasks.task import QuestionOptions
from gapmodel.model_directory import load_model
from gapmodel.packing import IGNORED
from gapmodel.questions.options import question_options
from gapmodel.questions.recipe import DataRecipe, check_data_recipe, spatial_types
from gapmodel.questions.spatial import draw_questions
from gapmodel.questions.taught import task_names, taught_tasks
from gapmodel.training.census import census, refuse_unasked
from gapmodel.training.loading import Steps, load, make_streams
from gapmodel.training.logbook import read_log
from gapmodel.training.loop import train
from gapmodel.training.mixture import Visit
from gapmodel.training.recipe import RunRecipe, Stream, TrainingRecipe, TrainRecipe
from gapmodel.training.run import TrainingConfig
from gapmodel.training.stream_questions import StreamQuestions
from tests.model.test_processing import make_processor
from tests.support.spatial_truth import Variation, answer_of
from tests.support.training_runs import RECIPE

SCENES = DataRecipe(task="spatial", view="scene", questions_per_view=64, per_kind=3)
CLIPS = replace(SCENES, view="clip")


def asking(build: Path, data: DataRecipe, seed: int = 0) -> StreamQuestions:
    stream = Stream(name="space", weight=1.0, build="", data=data)
    return StreamQuestions(stream, ShardReader(build), make_processor(), seed)


def visits(asked: StreamQuestions, epochs: int, most: int = 99) -> list[Visit]:
    order = asked.order()
    each = order.shares * len(order.records)
    return [order.visit(0, epoch * each + number) for epoch in range(epochs) for number in range(min(each, most))]


@pytest.mark.parametrize(
    ("data", "never"),
    [
        (replace(SCENES, mirror=True), set()),
        (replace(SCENES, mirror=True, reframe=True, frames=24), {"order", "room", "route"}),
        (replace(CLIPS, mirror=True, reframe=True), {"order"}),
    ],
    ids=["mirrored", "some frames in another order, mirrored", "a clip in another order, mirrored"],
)
def test_answers_are_right_for_the_frames_that_the_loader_shows(
    spatial_build: Path, data: DataRecipe, never: set[str]
) -> None:
    asked, reader = asking(spatial_build, data), ShardReader(spatial_build)
    seen: Counter[tuple[str, bool]] = Counter()
    for visit in visits(asked, epochs=3, most=4):
        view = asked.view(visit)
        facts = ViewFacts(view.record, question_options(data), depth=view.depth, instances=view.instances)
        shown = Variation.of(reader[visit.record], view.record)
        for _, item in draw_questions(facts, data, 0, visit.epoch):
            truth, answer = shown.truth(item), answer_of(item)
            assert answer == (truth if isinstance(truth, str) else pytest.approx(truth, abs=1e-6)), (item, shown.frames)
            seen[item.kind, shown.mirrored] += 1
    possible = {name for name, kind in KINDS.items() if data.view in kind.views} - never
    assert possible - {"count"} <= {kind for kind, _ in seen} <= possible  # few rooms have several of a kind in sight
    assert {mirrored for _, mirrored in seen} == {True, False}


def test_the_model_reads_the_questions_of_the_view_that_it_is_shown(spatial_build: Path) -> None:
    data = replace(CLIPS, mirror=True, frames=3, questions_per_view=9)
    asked = asking(spatial_build, data)
    for visit in visits(asked, epochs=1, most=2):
        view = asked.view(visit)
        facts = ViewFacts(view.record, question_options(data), depth=view.depth, instances=view.instances)
        drawn = draw_questions(facts, data, 0, visit.epoch)
        examples = asked.examples(visit)
        assert [example.key for example in examples] == [f"{view.record.key}/space/{name}" for name, _ in drawn]
        for example, (_, item) in zip(examples, drawn, strict=True):
            assert item.text in asked.processor.decode(example.input_ids.tolist())
            assert asked.processor.decode(example.input_ids[example.labels != IGNORED].tolist()) == item.answer
            assert item.to_question(3).text.count(IMAGE) == len(view.record) == 3
        marked = [example for example, (_, item) in zip(examples, drawn, strict=True) if item.marks]
        plain = [example for example, (_, item) in zip(examples, drawn, strict=True) if not item.marks]
        assert len({id(example.frames) for example in plain}) == 1
        assert len({id(example.frames) for example in marked}) == len(marked)  # the marks are in the pixels


def test_the_first_epoch_asks_what_the_command_writes_and_the_next_asks_anew(spatial_build: Path) -> None:
    asked, reader = asking(spatial_build, SCENES, seed=5), ShardReader(spatial_build)
    per_epoch: dict[int, set[str]] = {0: set(), 1: set()}
    for visit in visits(asked, epochs=2):
        facts = ViewFacts(reader[visit.record], question_options(SCENES))
        per_epoch[visit.epoch] |= {item.text for _, item in draw_questions(facts, SCENES, 5, visit.epoch)}
    written = {
        item.text
        for index in reader.select(view="scene", split="train")
        for _, found, _ in spatial_questions(reader[index], QuestionOptions(per_kind=3), 5)
        for item in found
    }
    assert per_epoch[0] == written
    assert len(per_epoch[1] - written) > len(written) / 3


@pytest.mark.parametrize("count", [0, 1, 3])
def test_visits_share_out_the_questions_of_an_epoch(spatial_build: Path, count: int) -> None:
    data = DataRecipe(task="spatial", view="scene", visits=count, questions_per_view=7)
    asked = asking(spatial_build, data)
    keys = [example.key for visit in visits(asked, epochs=1) for example in asked.examples(visit)]
    assert len(set(keys)) == len(keys) == 7 * len(ShardReader(spatial_build).select(view="scene", split="train"))
    if count == 0:
        assert len(asked.order().records) == len(keys)


def test_weights_decide_how_often_a_type_is_drawn(spatial_build: Path) -> None:
    reader = ShardReader(spatial_build)
    (index, *_) = reader.select(view="scene")
    data = DataRecipe(
        task="spatial",
        view="scene",
        types=("distance", "size", "direction"),
        type_weights={"distance": 4, "direction": 0},
        questions_per_view=10,
        per_kind=10,
    )
    assert spatial_types(data) == {"distance": 4, "size": 1}
    facts = ViewFacts(reader.without_images(index), QuestionOptions())
    drawn = Counter(item.kind for epoch in range(40) for _, item in draw_questions(facts, data, 0, epoch))
    assert drawn["distance"] > 2.5 * drawn["size"] > 0
    assert drawn.total() == 400


MIXED = TrainingRecipe(
    model=RECIPE.model,
    processor=RECIPE.processor,
    mixture={
        "room": {"task": "spatial", "view": "scene", "frames": 8, "questions_per_view": 6},
        "clips": {"task": "spatial", "visits": 0, "questions_per_view": 4, "mirror": True, "reframe": True},
        "sizes": {"task": "size", "view": "scene", "visits": 0},
        "boxes": {"task": "detection", "max_objects": 3},
    },
    train=TrainRecipe(steps=4, batch_size=4, token_budget=900, mean_over="questions"),
    run=RunRecipe(threads=1, evaluate_every=4, evaluate_visits=1, evaluate_split="train", name_questions=True),
)


def test_workers_and_ranks_change_nothing(spatial_build: Path) -> None:
    def keys(workers: int = 0, **place: int) -> list[tuple[str, ...]]:
        streams, mixture = make_streams(MIXED, {"": ShardReader(spatial_build)}, make_processor())
        steps = Steps(streams, mixture, MIXED.train, **place)
        return [step.keys for step in islice(load(steps, workers=workers), 3)]

    alone = keys()
    assert keys(workers=2) == alone
    parts = [keys(rank=rank, world_size=2) for rank in range(2)]
    assert [Counter(one + two) for one, two in zip(*parts, strict=True)] == [Counter(step) for step in alone]


def test_a_mixture_of_types_and_detection_trains_and_says_what_it_asks(
    spatial_build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builds = {"": ShardReader(spatial_build)}
    outcome = train(TrainingConfig(recipe=MIXED, builds=builds, out=tmp_path / "run", bar=False))
    assert {line.split(":")[0] for line in outcome.geometry if "cannot be told" in line} <= set(MIXED.mixture)
    told = capsys.readouterr().err
    assert "room: 2 records; of 2 records looked at, so many can be asked each type: " in told
    assert "size 2" in told
    assert "never room, because the scan has no labelled floor" in told
    log = read_log(tmp_path / "run")
    assert {key.split("/")[1] for line in log for key in line.get("keys", ())} == set(MIXED.mixture)
    held = next(line for line in log if "held_out.room" in line)
    assert {"held_out.clips", "held_out.sizes", "held_out.boxes"} <= held.keys()
    assert {name for name in held if name.startswith("held_out.room/")} <= {f"held_out.room/{name}" for name in KINDS}
    assert sum(name.startswith("held_out.room/") for name in held) > 1
    taught = taught_tasks(tmp_path / "run" / "model")
    assert {"detection", "count", "pixel_depth", "camera_motion"} <= set(taught or ())
    assert load_model(tmp_path / "run")[1].tokenizer("nearest")["input_ids"]


def test_what_cannot_be_asked_is_counted_and_a_stream_of_it_refused(spatial_build: Path) -> None:
    builds = {"": ShardReader(spatial_build)}
    streams = replace(MIXED, mixture={"far": {"task": "spatial", "types": ["order"], "view": "clip"}}).streams
    found = census(streams, builds)
    assert (found["far"].looked, found["far"].empty) == (found["far"].records,) * 2
    with pytest.raises(UsageError, match=r"stream 'far' has no question: none of .* order \(the view has too few fram"):
        refuse_unasked(streams, builds, found)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "spatial", "types": ("room",)}, r"data asks room about views of kind clip, but .* only about scene"),
        ({"task": "room"}, "data asks room about views of kind clip"),
        ({"types": ("size",)}, r"data\.types and \.type_weights are for data\.task = spatial, not pointmap"),
        ({"task": "spatial", "type_weights": {"size": -1}}, r"data\.type_weights\.size is -1, expected a number"),
        ({"task": "spatial", "type_weights": {"sise": 1}}, r"type in data\.type_weights 'sise' is unknown"),
        ({"task": "spatial", "types": ("size",), "type_weights": {"size": 0}}, "leaves out all types"),
    ],
)
def test_types_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_data_recipe(DataRecipe(**fields), "data", None)


def test_each_type_is_taught_under_its_own_name() -> None:
    assert set(task_names(SCENES)) == {name for name, kind in KINDS.items() if "scene" in kind.views}
    assert task_names(DataRecipe(task="room", view="scene")) == ("room",)
    assert task_names(DataRecipe(task="detection", space="image")) == ("detection in the image",)
