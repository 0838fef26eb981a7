"""Whole evaluations of spatial questions: asked as `gapdata questions` asks, kept, shared out and reported."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.audit.spatial_survey import survey_questions
from gapdata.errors import UsageError
from gapdata.shards.reader import ShardReader
from gapdata.tasks.predictions import Asking, read_predictions
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.task import QuestionOptions
from gapmodel.bundle.scores import read_scores
from gapmodel.evaluation.answering import Answerer, missing
from gapmodel.evaluation.asking import TaskQuestions
from gapmodel.evaluation.predictions import fingerprint_of_files, read_answers, settle
from gapmodel.evaluation.report import as_dict, as_markdown, as_table, write_report
from gapmodel.evaluation.run import (
    MODEL_FILES,
    answer_share,
    asked_tasks,
    asking_of,
    belongings,
    score,
    score_directory,
)
from gapmodel.evaluation.spatial_asking import spatial_view, spread_order
from gapmodel.evaluation.tasks import choose_tasks, not_asked
from gapmodel.model_directory import load_model
from tests.support.evaluations import write_model

FEW = 6
OPTIONS = QuestionOptions(per_kind=4)


def asking(kind: str, split: str = "val") -> Asking:
    return Asking(split=split, language_view=spatial_view(KINDS[kind]), options=OPTIONS)


@pytest.fixture(scope="module")
def reader(spatial_build: Path) -> ShardReader:
    return ShardReader(spatial_build)


@pytest.fixture(scope="module")
def asked(reader: ShardReader) -> list[TaskQuestions]:
    return asked_tasks(reader, asking, ["spatial"], FEW)


def right_answers(asked: list[TaskQuestions]) -> dict[str, str]:
    return {item.id: item.question.answer for task in asked for item in task.asked}


def test_a_perfect_answerer_scores_everything_everywhere(reader: ShardReader, asked: list[TaskQuestions]) -> None:
    assert len(asked) > 10  # one room need not have a question of each type
    found = score(reader, asked, right_answers(asked)).spatial
    assert found is not None
    for name, result in found.types.items():
        for part in (result.ours, *result.ours.by_form.values()):
            assert part.score == part.exact == 1.0, name
            assert part.unparsable == 0
            assert set(part.published.values()) <= {1.0}, name
            assert part.metric == "number" or part.caa == 1.0
    assert found.overall.vsi.of_asked == 1.0
    assert all(figure.of_asked == 1.0 for figure in found.overall.spar.values())
    table = as_table(score(reader, asked, right_answers(asked)))
    assert "published" not in table
    assert "blank-separated" not in table


def test_a_constant_answerer_scores_the_share_of_its_letter(reader: ShardReader, asked: list[TaskQuestions]) -> None:
    texts = dict.fromkeys(right_answers(asked), "A")
    found = score(reader, asked, texts).spatial
    assert found is not None
    for task in asked:
        scores = found.types[task.task].ours
        if scores.metric == "letter":
            share = Counter(item.question.answer for item in task.asked)["A"] / len(task.asked)
            assert scores.score == pytest.approx(share)
            assert scores.unparsable == 0
        else:
            assert scores.score == 0.0
            assert scores.reasons == {"no number": len(task.asked)}


def test_blind_answers_are_fitted_on_training_scenes_and_scored_as_ours(
    reader: ShardReader, asked: list[TaskQuestions]
) -> None:
    found = score(reader, asked, right_answers(asked)).spatial
    assert found is not None
    blind = [result for result in found.types.values() if result.constant is not None]
    assert len(blind) > 5
    for result in blind:
        for part in (result.constant, result.by_category):
            assert part is not None
            assert part.questions == result.ours.questions
            assert part.unparsable == 0
            assert 0 <= part.score <= 1
    assert any(result.constant is not None and result.constant.score < 1 for result in blind)


def test_questions_are_those_of_gapdata_questions(spatial_build: Path, asked: list[TaskQuestions]) -> None:
    found = survey_questions(spatial_build, OPTIONS, split="val", balanced=False)
    listed = {item.id: item.question for item in found.questions}
    for task in asked:
        for item in task.asked:
            assert item.spatial == listed[item.id]
            assert item.question.text.endswith(listed[item.id].text)


def test_questions_whose_text_tells_the_answer_are_left_out(reader: ShardReader, spatial_build: Path) -> None:
    asked = asked_tasks(reader, asking, ["spatial"])
    kept = {item.id for task in asked for item in task.asked}
    balanced = survey_questions(spatial_build, OPTIONS, split="val")
    assert kept <= {item.id for item in survey_questions(spatial_build, OPTIONS, split="val", balanced=False).questions}
    scenes = {item.id for item in balanced.questions if "-scene-" in item.key}
    assert {name for name in kept if name.startswith("count/")} <= scenes


def test_a_limit_keeps_so_many_questions_and_every_type_has_its_views(
    reader: ShardReader, asked: list[TaskQuestions]
) -> None:
    fewer = asked_tasks(reader, asking, ["spatial"], 2)
    assert all(len(task.asked) <= 2 for task in fewer)
    for task in asked:
        assert len({item.id for item in task.asked}) == len(task.asked) <= FEW
        assert {record.view for record in task.records.values()} == {task.asking.language_view}
        assert not any(record.members for record in task.records.values())
    views = {name: spatial_view(kind) for name, kind in KINDS.items()}
    assert all(views[name] in kind.views for name, kind in KINDS.items())
    assert {views[name] for name, kind in KINDS.items() if kind.of_frames} == {"clip"}
    assert {views[name] for name in ("count", "direction", "distance", "room", "route")} == {"scene"}
    assert spatial_view(KINDS["distance"], "clip") == "clip"
    assert spatial_view(KINDS["room"], "clip") == "scene"


def test_a_view_that_the_split_lacks_is_replaced_by_another_one(reader: ShardReader) -> None:
    (task,) = asked_tasks(reader, lambda kind: replace(asking(kind), language_view="around"), ["distance"], 2)
    assert {record.view for record in task.records.values()} == {"scene"}


def test_a_type_without_questions_is_refused_where_it_is_named_and_left_out_of_the_group(reader: ShardReader) -> None:
    with pytest.raises(UsageError, match="split test has no questions for distance: no record of it has any"):
        asked_tasks(reader, lambda kind: asking(kind, "test"), ["distance"])
    with pytest.raises(UsageError, match="split test has no questions"):
        asked_tasks(reader, lambda kind: asking(kind, "test"), ["spatial"])


@given(st.integers(0, 300))
def test_every_beginning_of_the_order_is_spread_evenly(count: int) -> None:
    order = spread_order(count)
    assert sorted(order) == list(range(count))
    half = sorted(order[: count // 2])
    assert max(np.diff(half), default=0) <= 4


def test_types_are_asked_by_name_and_where_they_were_taught() -> None:
    assert choose_tasks("spatial", None).tasks == tuple(KINDS)
    assert choose_tasks("spatial", None).optional
    assert choose_tasks("count,detection", None).tasks == ("count", "detection")
    assert not choose_tasks("count", None).optional
    assert set(KINDS).isdisjoint(choose_tasks("all", None).tasks)
    assert set(KINDS).isdisjoint(choose_tasks(None, ("conversation",)).tasks)
    assert choose_tasks(None, ("detection", "size")).tasks == ("detection", "size")
    assert choose_tasks("all,spatial", None).tasks[-1] == "route"
    assert not_asked(choose_tasks("spatial", ("size",)), list(KINDS), "val") == ""


def test_the_report_shows_types_forms_overall_figures_and_what_is_missing(
    reader: ShardReader, asked: list[TaskQuestions], tmp_path: Path
) -> None:
    some = [task for task in asked if task.task in ("relation", "distance", "direction")]
    texts = right_answers(some)
    texts |= {item.id: f"About {item.question.answer}" for item in some[0].asked}
    results = score(reader, some, texts)
    table, document = as_table(results), as_markdown(results)
    missing_parts = as_dict(results)["spatial"]["overall"]["vsi"]["missing"]
    assert f"VSI-Bench's mean without {len(missing_parts)} of its parts" in table
    assert "without count, nearest" in table
    assert "unreadable answers" not in table
    assert "VSI-Bench reads the first blank-separated word alone" in table
    assert "## Spatial questions" in document
    forms = {item.spatial.form for item in some[1].asked if item.spatial is not None}
    assert forms
    assert all(f"| direction, {form} |" in document for form in forms)
    write_report(results, tmp_path)
    kept = json.loads((tmp_path / "report.json").read_text())["spatial"]
    assert kept == as_dict(results)["spatial"]
    assert kept["types"]["distance"]["ours"]["published"]["VSI-Bench"] == 0.0
    assert kept["overall"]["vsi"]["value"] is None
    assert "count" in kept["overall"]["vsi"]["missing"]


def test_a_card_shows_the_score_of_every_type_without_an_interval_of_one_scene(
    reader: ShardReader, asked: list[TaskQuestions], tmp_path: Path
) -> None:
    results = score(reader, asked, right_answers(asked))
    write_report(results, tmp_path)
    (tmp_path / "asked.json").write_text(json.dumps({"model": fingerprint_of_files(tmp_path, MODEL_FILES)}))
    found = read_scores(tmp_path, tmp_path)
    assert results.spatial is not None
    assert [item.task for item in found.figures] == [
        f"{name.replace('_', ' ')} questions" for name in results.spatial.types
    ]
    assert {item.figure.text() for item in found.figures} == {"100.0 %"}
    assert {item.range_text() for item in found.figures} == {""}


def test_an_evaluation_is_extended_by_further_tasks_and_not_by_the_same_ones_asked_otherwise(tmp_path: Path) -> None:
    first = {"model": "a", "asking": {"detection": {"frames": 0}}}
    settle(tmp_path, first)
    settle(tmp_path, {"model": "a", "asking": {"size": {"frames": 4}}})
    assert json.loads((tmp_path / "asked.json").read_text())["asking"] == {
        "detection": {"frames": 0},
        "size": {"frames": 4},
    }
    with pytest.raises(UsageError, match="belongs to another evaluation: asking was"):
        settle(tmp_path, {"model": "a", "asking": {"size": {"frames": 8}}})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("spatial") / "model", {"task": "depth_order", "view": "clip"})


def test_two_workers_give_the_answers_of_one_and_an_interrupted_one_goes_on(
    reader: ShardReader, model: Path, tmp_path: Path
) -> None:
    def of_model(task: str) -> Asking:
        return asking_of(model, task, "val")

    some = asked_tasks(reader, of_model, ["depth_order", "camera_distance"], 3)
    assert {record.view for task in some for record in task.records.values()} == {"clip"}
    belongs = belongings(model, reader, of_model)
    for workers in (1, 2):
        for rank in range(workers):
            out = tmp_path / str(workers)
            answer_share(model, reader, some, out, belongs=belongs, share=(rank, workers), batch_size=2)
        assert missing(some, read_answers(out)) == 0
    alone, together = (score_directory(reader, some, tmp_path / name) for name in "12")
    assert as_dict(alone) == as_dict(together)
    part = tmp_path / "1" / "predictions" / "part-000.jsonl"
    whole = part.read_bytes()
    part.write_bytes(whole[: whole.index(b"\n", 200) + 1] + b'{"id": "depth_or')
    assert missing(some, read_answers(tmp_path / "1")) > 0
    answer_share(model, reader, some, tmp_path / "1", belongs=belongs, batch_size=2)
    assert part.read_bytes() == whole
    replies = read_predictions(tmp_path / "1").replies
    assert {reply.kind for items in replies.values() for reply in items} == {"depth_order", "camera_distance"}


def test_marks_are_drawn_on_the_frames_that_the_model_sees(reader: ShardReader, model: Path) -> None:
    (task,) = asked_tasks(reader, asking, ["depth_order"], 2)
    loaded, processor = load_model(model)
    answerer = Answerer(model=loaded, processor=processor, reader=reader)
    item = task.asked[0]
    assert item.question.marks
    marked = answerer.example(item)
    plain = answerer.example(replace(item, question=replace(item.question, marks=())))
    assert not np.array_equal(marked.frames.pixel_values, plain.frames.pixel_values)
