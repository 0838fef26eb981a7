"""What geometry contributes, from texts alone: every task's figure, its paired interval, and its sentence."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from gapdata.shards.records import RecordList
from gapdata.tasks.predictions import Asking
from gapdata.tasks.spatial.question import SpatialQuestion
from gapmodel.audit.contribution import FEWEST_SCENES, Contribution, TaskAudit, audit_tasks
from gapmodel.audit.main_figure import main_figure, mean_of
from gapmodel.audit.plot import draw
from gapmodel.audit.results import GeometryAudit, as_dict, as_markdown, as_table, sentences, task_sentence
from gapmodel.audit.run import named_treatments
from gapmodel.evaluation.asking import Asked, TaskQuestions, second_id
from gapmodel.evaluation.confidence import difference_interval, expanded_tail, mean_interval
from gapmodel.evaluation.run import score
from gapmodel.evaluation.scoring import f1_of
from gapmodel.inspection.geometry_treatments import Treatment
from tests.evaluation.test_evaluating import all_questions, right_answers
from tests.support.evaluations import clip, scene_view

STRANGE = Treatment(change="strange")
RECORDS = RecordList([view(seed, "val") for seed in range(8) for view in (clip, scene_view)])
QUESTIONS = all_questions(records=RECORDS)
RIGHT = right_answers(QUESTIONS)
UNREAD = {second_id(item, 0): "?" for task in QUESTIONS for item in task.asked if item.kind == "grounding_frame"}
"""What answers the second stage where no frame can be read from the first."""


def spatial(kind: str, answers: dict[int, str], forms: tuple[str, ...] = ("",)) -> TaskQuestions:
    """One question of a type about each scene, answered by these texts."""
    asked = []
    for number, answer in answers.items():
        form = forms[number % len(forms)]
        options = ("left", "right") if answer in "AB" else ()
        item = SpatialQuestion(kind=kind, form=form, text="?", answer=answer, value=1.0, margin=0.5, options=options)
        key = RECORDS.keys[number]
        asked.append(
            Asked(
                id=f"{kind}/{key}/0",
                kind=kind,
                index=number,
                key=key,
                number=0,
                question=item.to_question(1),
                tokens=4,
                spatial=item,
            )
        )
    records = {item.index: RECORDS.without_images(item.index) for item in asked}
    return TaskQuestions(task=kind, asking=Asking(), asked=tuple(asked), records=records, left_out={})


def audit(questions: list[TaskQuestions], own: dict[str, str], other: dict[str, str]) -> dict[str, TaskAudit]:
    return {item.task: item for item in audit_tasks(questions, own, {STRANGE: other})}


def test_each_task_has_the_figure_that_its_report_shows() -> None:
    texts = UNREAD | {name: text if place % 3 else "?" for place, (name, text) in enumerate(RIGHT.items())}
    found = score(RECORDS, QUESTIONS, texts).tasks
    figures = {task.task: main_figure(task, texts) for task in QUESTIONS}
    assert figures["pointmap"].value() == pytest.approx(found["pointmap"].ours.closeness)  # type: ignore[union-attr]
    detection = found["detection"].ours
    assert figures["detection"].value() == pytest.approx(detection.overall["0.25"].f1)  # type: ignore[union-attr]
    for task in ("grounding", "grounding_two_stage"):
        assert figures[task].value() == pytest.approx(found[task].ours.accuracy["0.25"])  # type: ignore[union-attr]
    captions = found["captioning"].ours
    assert figures["captioning"].value() == pytest.approx(captions.scores["0.50"]["CIDEr"])  # type: ignore[union-attr]


def test_a_model_that_loses_everything_is_told_in_every_task_and_an_equal_one_in_none() -> None:
    wrong = UNREAD | dict.fromkeys(RIGHT, "?")
    lost, equal = audit(QUESTIONS, RIGHT, wrong), audit(QUESTIONS, RIGHT, dict(RIGHT))
    assert set(lost) == {task.task for task in QUESTIONS}
    for task, found in lost.items():
        whole = found.whole("strange")
        assert whole is not None
        assert whole.other == 0.0
        assert whole.decided, task
        assert task_sentence(found).startswith(f"Geometry contributes {whole.own:.1f} ± ")
        same = equal[task].whole("strange")
        assert same is not None
        assert (same.difference, same.interval, same.decided) == (0.0, (0.0, 0.0), False)


def test_kinds_of_questions_stand_below_their_task() -> None:
    found = audit(QUESTIONS, RIGHT, RIGHT)
    assert {item.kind for item in found["grounding"].contributions} == {"", "unique", "multiple"}
    assert {item.kind for item in found["detection"].contributions} == {""}
    marked = found["pointmap"].contributions
    assert {item.kind for item in marked} == {"", "mark in the first frame", "mark in a later frame"}
    whole, *parts = (item.questions for item in marked)
    assert whole == sum(parts)


def test_questions_about_space_are_compared_by_type_by_form_and_together() -> None:
    distance = spatial("distance", dict.fromkeys(range(8), "2.00"))
    direction = spatial("direction", dict.fromkeys(range(16), "A"), ("sides", "quarters"))
    own = {item.id: item.question.answer for task in (distance, direction) for item in task.asked}
    other = {name: "B" if name.startswith("direction") else text for name, text in own.items()}
    found = audit([distance, direction], own, other)
    assert list(found) == ["distance", "direction", "spatial"]
    assert {item.kind: item.difference for item in found["direction"].contributions} == {
        "": 100.0,
        "quarters": 100.0,
        "sides": 100.0,
    }
    (whole,) = found["spatial"].contributions
    assert (whole.questions, whole.scenes) == (24, 8)
    assert whole.difference == pytest.approx(100 * 16 / 24)
    assert "points to direction questions (accuracy: 100.0" in task_sentence(found["direction"])
    assert "points to all questions about space together" in task_sentence(found["spatial"])


def contribution(difference: float, interval: tuple[float, float] | None, scenes: int = 20) -> Contribution:
    return Contribution(
        treatment=STRANGE, kind="", questions=50, scenes=scenes, own=40 + difference, other=40.0, interval=interval
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            contribution(5.0, (3.0, 7.0)),
            "Geometry contributes 5.0 ± 2.0 points to detection (F1: 45.0 with its own",
        ),
        (contribution(-2.0, (-3.0, -1.0)), "Geometry costs 2.0 ± 1.0 points of detection (F1"),
        (contribution(1.0, (-1.0, 3.0)), "Geometry contributes nothing to detection that can be told from chance (F1"),
        (contribution(9.0, (8.0, 10.0), 5), "What geometry contributes to detection cannot be told from 5 scenes (F1"),
        (contribution(9.0, None, 1), "What geometry contributes to detection cannot be told from 1 scene (F1"),
    ],
)
def test_a_task_has_one_sentence(found: Contribution, said: str) -> None:
    assert task_sentence(TaskAudit(task="detection", figure="F1", contributions=(found,))).startswith(said)


def test_a_figure_of_zero_says_nothing_about_geometry() -> None:
    found = replace(contribution(0.0, (0.0, 0.0)), own=0.0, other=0.0)
    said = task_sentence(TaskAudit(task="detection", figure="F1", contributions=(found,)))
    assert (
        said
        == "What geometry contributes to detection cannot be told: F1 is 0 with it and with another place's geometry."
    )


def test_the_sentence_is_about_another_places_geometry_where_that_was_asked() -> None:
    zeroed = replace(contribution(5.0, (3.0, 7.0)), treatment=Treatment(change="zeroed"))
    level = replace(contribution(5.0, (3.0, 7.0)), treatment=Treatment(change="strange", stream="final"))
    task = TaskAudit(task="detection", figure="F1", contributions=(level, zeroed))
    assert "with no geometry" in task_sentence(task)
    assert "another place's" in task_sentence(replace(task, contributions=(zeroed, contribution(1.0, (0.5, 1.5)))))
    assert task_sentence(replace(task, contributions=(level,))) == ""


def test_everything_is_written_in_every_form() -> None:
    tasks = (TaskAudit(task="captioning", figure="CIDEr", contributions=(contribution(1.0, (-1.0, 3.0)),)),)
    found = GeometryAudit(split="val", tasks=tasks)
    (sentence,) = sentences(found)
    assert sentence in as_table(found)
    assert f"- {sentence}" in as_markdown(found, "x.png")
    assert as_dict(found)["tasks"]["captioning"]["sentence"] == sentence
    assert draw(found).startswith(b"\x89PNG")
    assert draw(GeometryAudit(split="val", tasks=())).startswith(b"\x89PNG")


def test_names_become_treatments_in_a_fixed_order_and_blind_has_no_levels() -> None:
    assert named_treatments("own", ()) == ()
    names = [item.name for item in named_treatments("blind, strange,own,strange", ("deepstack.0", "final"))]
    assert names == ["blind", "strange", "strange-deepstack.0", "strange-final"]
    assert len(named_treatments("all", ())) == 4


@pytest.mark.parametrize("scenes", [FEWEST_SCENES, 30])
def test_without_an_effect_few_differences_are_told_from_chance(scenes: int) -> None:
    """Whether an answer is right depends on the scene; the treatment only draws anew."""
    rng = np.random.default_rng(scenes)
    told = 0
    for trial in range(300):
        chance = np.repeat(rng.uniform(0.1, 0.9, scenes), 20)
        own, other = ((rng.random(len(chance)) < chance).astype(float) for _ in range(2))
        names = [str(number) for number in np.repeat(np.arange(scenes), 20)]
        first, second = (np.column_stack([values, np.ones(len(values))]) for values in (own, other))
        span = difference_interval(first, second, names, 0, f"trial {trial}", mean_of)
        assert span is not None
        told += span[0] > 0 or span[1] < 0
    assert 0.01 < told / 300 < 0.09


@pytest.mark.parametrize(("scenes", "t"), [(6, 2.571), (8, 2.365), (11, 2.228), (31, 2.042), (10_000, 1.960)])
def test_the_interval_of_few_scenes_is_as_wide_as_students_t(scenes: int, t: float) -> None:
    expected = NormalDist().cdf(-((scenes / (scenes - 1)) ** 0.5) * t)
    assert expanded_tail(scenes) == pytest.approx(expected, rel=0.02)


def test_pairing_takes_out_what_makes_a_scene_hard() -> None:
    rng = np.random.default_rng(0)
    scenes = [str(number) for number in np.repeat(np.arange(20), 10)]
    hard = np.repeat(rng.uniform(0, 1, 20), 10)
    own, other = (np.column_stack([values, np.ones(200)]) for values in (hard + 0.1, hard))
    span = difference_interval(own, other, scenes, 0, "mean", mean_of)
    assert span == pytest.approx((0.1, 0.1))
    alone = mean_interval((hard + 0.1).tolist(), scenes, 0, "mean")
    assert alone is not None
    assert alone[1] - alone[0] > 0.1


def test_a_ratio_of_sums_is_compared_on_the_same_scenes_too() -> None:
    counts = np.array([[1, 1, 0], [0, 2, 3], [4, 0, 1]], dtype=np.float64)
    span = difference_interval(counts, counts[:, [0, 2, 1]], ["a", "b", "c"], 0, "F1", f1_of)
    assert span == (0.0, 0.0)  # F1 has false alarms and misses in the same place
    assert difference_interval(counts, counts, ["a"] * 3, 0, "F1", f1_of) is None
