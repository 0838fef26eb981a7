"""Questions of published benchmarks are asked verbatim and scored by their own rules, as computed by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.errors import UsageError
from gapdata.records.expressions import Conversation
from gapdata.records.schema import Record
from gapdata.shards.records import RecordList
from gapdata.tasks.predictions import BENCHMARKS, Asking
from gapmodel.audit.main_figure import main_figure
from gapmodel.bundle.scores import read_scores
from gapmodel.evaluation.asking import TaskQuestions
from gapmodel.evaluation.benchmark_asking import TOKENS
from gapmodel.evaluation.benchmark_results import BenchmarkResult, best_constant
from gapmodel.evaluation.benchmark_scores import RULES, benchmark_answer, plain
from gapmodel.evaluation.predictions import fingerprint_of_files
from gapmodel.evaluation.published import spar
from gapmodel.evaluation.report import as_dict, as_markdown, as_table, write_report
from gapmodel.evaluation.run import MODEL_FILES, asked_tasks, score
from gapmodel.evaluation.tasks import choose_tasks
from tests.support.evaluations import scene_view

LETTERS = ("A. left", "B. right")
VSI_LETTERS = (
    *("object_rel_direction_easy", "object_rel_direction_medium", "object_rel_direction_hard"),
    *("object_rel_distance", "route_planning", "obj_appearance_order"),
)
VSI_NUMBERS = ("object_abs_distance", "object_counting", "object_size_estimation", "room_size_estimation")
MOVE = "move_right:1,move_forward:2,rotate_left:30"


def item(benchmark: str, kind: str | None, answer: str, index: int = 0, **changes: Any) -> Conversation:
    fields: dict[str, Any] = {
        "task": "benchmark",
        "question": f"Question {index}?",
        "answer": answer,
        "mark": None,
        "source": f"{benchmark}.jsonl",
        "index": index,
        "benchmark": benchmark,
        "question_type": kind,
        "answers": (answer,),
        "options": LETTERS if kind in VSI_LETTERS else (),
        "id": str(index),
    }
    return Conversation(**{**fields, **changes})


def every_question(scene: int) -> list[Conversation]:
    """Two questions of each type of each benchmark, numbered apart from those of other scenes."""
    made = [("vsi-bench", kind, "A") for kind in VSI_LETTERS] + [("vsi-bench", kind, "2.5") for kind in VSI_NUMBERS]
    for task in (task for tasks in spar.LEVELS.values() for task in tasks):
        answer = MOVE if task == spar.VIEW_CHANGE else "1.5" if spar.is_number(task) else "B"
        made.append(("spar-bench", task, answer))
    made += [("sqa3d", kind, "brown") for kind in ("what", "is", "others")]
    questions = [item(*parts, index=100 * scene + place) for place, parts in enumerate(made)]
    several = ("two brown chairs", "2 chairs")
    return [*questions, item("scanqa", None, several[0], index=100 * scene + 90, answers=several)]


def view(scene: int, said: list[Conversation], split: str = "val", number: int = 0) -> Record:
    record = scene_view(scene, split)
    return replace(
        record, key=f"{record.scene_id}-scene-{number}", expressions=tuple(question.to_fields() for question in said)
    )


RECORDS = RecordList([view(scene, every_question(scene)) for scene in (1, 2, 3)])


def ask(records: RecordList = RECORDS, names: str = "benchmarks", limit: int | None = None) -> list[TaskQuestions]:
    return asked_tasks(records, lambda task: Asking(), names.split(","), limit)


def right_answers(asked: list[TaskQuestions]) -> dict[str, str]:
    return {question.id: question.question.answer for task in asked for question in task.asked}


def results(said: list[Conversation], texts: list[str]) -> BenchmarkResult:
    """The result of one benchmark's questions in one scene."""
    (asked,) = ask(RecordList([view(1, said)]), said[0].benchmark or "")
    found = score(RECORDS, [asked], dict(zip((question.id for question in asked.asked), texts, strict=True)))
    return found.benchmarks[asked.task]


def test_a_perfect_answerer_scores_everything_by_every_rule() -> None:
    asked = ask()
    assert [task.task for task in asked] == list(BENCHMARKS)
    found = score(RECORDS, asked, right_answers(asked)).benchmarks
    assert list(found) == list(BENCHMARKS)
    for result in found.values():
        for scores in result.types.values():
            assert scores.ours == 1.0
            assert set(scores.published.values()) == {1.0}
            assert scores.interval == (1.0, 1.0)
            assert scores.unparsable == 0
        for title, figure in result.overall.items():
            assert figure.ours.value == 1.0, title
            assert all(theirs.value == 1.0 for theirs in figure.published.values()), title
    assert list(found["spar-bench"].overall) == [
        "Low",
        "Middle",
        "High",
        "mean of twenty",
        "Middle as lmms-eval has it",
    ]
    assert found["scanqa"].captions["BLEU-1"] == pytest.approx(1.0)


def test_questions_are_put_verbatim_after_the_frames_and_once_for_a_scene() -> None:
    said = [item("vsi-bench", "object_counting", "3", index=7), item("scanqa", None, "desk", index=8)]
    twice = RecordList([view(1, said), view(1, said, number=1), view(2, said[1:], split="train")])
    (asked,) = ask(twice, "vsi-bench")
    (question,) = asked.asked
    assert question.id == f"vsi-bench/{twice.keys[0]}/0"
    assert question.question.text == "<image>" * 4 + "Question 7?"
    assert question.tokens == TOKENS["vsi-bench"]
    assert set(TOKENS) == set(RULES) == set(BENCHMARKS)
    with pytest.raises(UsageError, match="split val has no questions for spar-bench: the build holds no question of"):
        ask(twice, "spar-bench")
    assert [task.task for task in ask(twice)] == ["vsi-bench", "scanqa"]
    assert [len(task.asked) for task in ask(limit=2)] == [2] * 4
    assert choose_tasks("benchmarks", ("conversation",)).tasks == BENCHMARKS
    assert set(BENCHMARKS).isdisjoint(choose_tasks(None, ("conversation",)).tasks)


def test_vsi_bench_is_scored_by_its_own_program_and_by_the_others() -> None:
    said = [
        item("vsi-bench", "object_counting", "4", index=0),
        item("vsi-bench", "object_counting", "4", index=1),
        item("vsi-bench", "object_counting", "4", index=2),
        item("vsi-bench", "object_rel_distance", "A", index=3),
        item("vsi-bench", "object_rel_distance", "B", index=4),
    ]
    found = results(said, ["5", "about four", "6 chairs", "(A)", "b."])
    counts, nearest = found.types["object_counting"], found.types["object_rel_distance"]
    assert counts.published == pytest.approx({"VSI-Bench": 0.7 / 3, "lmms-eval": 1.7 / 3, "VLMEvalKit": 1.7 / 3})
    assert counts.ours == pytest.approx((0.6 + 0.0 + 0.1) / 3)
    assert counts.reasons == {"no number": 1}
    assert counts.constant == 1.0
    assert nearest.published == {"VSI-Bench": 0.5, "lmms-eval": 0.5, "VLMEvalKit": 1.0}
    assert (nearest.ours, nearest.constant) == (1.0, 0.5)
    overall = found.overall["mean of eight"]
    assert math.isnan(overall.ours.value)
    assert len(overall.ours.missing) == 8  # of ten types
    assert overall.published["VSI-Bench"].of_asked == pytest.approx((0.7 / 3 + 0.5) / 2)
    assert overall.published["VSI-Bench"].interval is None  # one scene


def test_vsi_benchs_direction_types_count_as_one_of_eight() -> None:
    made = [(kind, "A") for kind in VSI_LETTERS] + [(kind, "2.5") for kind in VSI_NUMBERS]
    said = [item("vsi-bench", kind, answer, index=place) for place, (kind, answer) in enumerate(made)]
    texts = ["A" if "hard" in kind or "distance" in kind else "9" for kind, _ in made]
    overall = results(said, texts).overall["mean of eight"]
    assert overall.ours.value == pytest.approx((1 / 3 + 1) / 8)  # one of three directions, and the relative distance


def test_spar_bench_is_scored_with_its_defects_and_ours_without_them() -> None:
    said = [
        item("spar-bench", "position_matching", "A", index=0),
        item("spar-bench", "camera_motion_infer", "A", index=1),
        item("spar-bench", "view_change_infer", MOVE, index=2),
        item("spar-bench", "depth_prediction_oo", "4", index=3),
        item("spar-bench", "depth_prediction_oo_mv", "4", index=4),
    ]
    found = results(said, ["", "B", MOVE.replace("right:1", "right:2"), "3 or 4", "3 or 4"])
    theirs = {kind: scores.published["SPAR-Bench"] for kind, scores in found.types.items()}
    assert theirs == pytest.approx(
        {
            "depth_prediction_oo": 0.6,  # the first number
            "depth_prediction_oo_mv": 1.0,  # the last one
            "position_matching": 1.0,  # the empty text
            "camera_motion_infer": 0.0,
            "view_change_infer": (4 + 0.1) / 5,  # |1 - 2| / 2
        }
    )
    assert list(theirs) == [
        *("depth_prediction_oo", "depth_prediction_oo_mv"),
        *("position_matching", "camera_motion_infer", "view_change_infer"),
    ]
    ours = {kind: scores.ours for kind, scores in found.types.items()}
    assert ours == pytest.approx(
        {
            "depth_prediction_oo": 0.6,
            "depth_prediction_oo_mv": 0.6,
            "position_matching": 0.0,
            "camera_motion_infer": 0.0,
            "view_change_infer": 4 / 5,
        }
    )
    middle, lost = found.overall["Middle"], found.overall["Middle as lmms-eval has it"]
    assert middle.published["SPAR-Bench"].value == pytest.approx((1.0 + 0.0 + 0.82) / 3)
    assert lost.published["SPAR-Bench"].value == pytest.approx((1.0 + 0.0) / 2)
    assert found.overall["Low"].ours.of_asked == pytest.approx(0.6)
    assert len(found.overall["mean of twenty"].ours.missing) == 15
    assert math.isnan(found.types["view_change_infer"].constant)


def test_short_answers_are_compared_with_all_accepted_ones() -> None:
    chairs = ("two brown chairs", "2 chairs")
    said = [item("scanqa", None, chairs[0], index=place, answers=chairs) for place in range(4)]
    found = results(said, ["Two chairs.", "the two brown chairs", "chairs", ""])
    scores = found.types["all"]
    assert scores.published == {"EM@1": 0.5, "EM-R": 1.0}  # the empty answer is a part of an accepted one
    assert (scores.ours, scores.constant) == (0.5, 1.0)
    assert scores.reasons == {"empty answer": 1}
    assert set(found.captions) >= {"CIDEr", "BLEU-1", "BLEU-4", "ROUGE-L"}
    assert found.captions["ROUGE-L"] == pytest.approx((1 + 1 + 2 * 0.5 * 1 / 1.5 + 0) / 4, abs=0.05)


def test_sqa3d_is_divided_by_the_first_word_and_averaged_over_all_questions() -> None:
    said = [item("sqa3d", kind, "left", index=place) for place, kind in enumerate(("what", "what", "can"))]
    found = results(said, ["left", "right", "letf"])
    assert {kind: scores.published["EM@1"] for kind, scores in found.types.items()} == {"what": 0.5, "can": 1.0}
    assert found.types["can"].ours == 0.0  # we do not correct the model's spelling
    assert found.overall["all questions"].published["EM@1"].value == pytest.approx(2 / 3)


def test_the_best_constant_of_some_questions_is_found() -> None:
    counts = [item("vsi-bench", "object_counting", answer) for answer in ("2", "2", "2", "3", "4")]
    # "2" is off by a third and a half: (3 * 1 + 0.4 + 0.1) / 5. "3" is off by a half, thrice, and a quarter.
    assert best_constant(counts) == pytest.approx(3.5 / 5)
    letters = [item("vsi-bench", "route_planning", answer) for answer in "AABC"]
    assert best_constant(letters) == 0.5
    assert best_constant([item("sqa3d", "what", answer) for answer in ("Two", "2", "desk")]) == pytest.approx(2 / 3)


@given(st.text())
def test_no_text_makes_a_benchmarks_score_fail(text: str) -> None:
    for question in every_question(0):
        found = benchmark_answer(question, text, "scene")
        assert 0 <= found.score <= 1
        assert all(0 <= value <= 1 for value in found.published.values())
    assert plain(plain(text)) == plain(text)


def test_tables_and_json_show_each_benchmark_and_what_it_lacks(tmp_path: Path) -> None:
    asked = ask()
    texts = dict.fromkeys(right_answers(asked), "A")
    found = score(RECORDS, asked, texts)
    table, document = as_table(found), as_markdown(found)
    for title in ("VSI-Bench", "SPAR-Bench", "ScanQA", "SQA3D"):
        assert f"Questions of {title}\n" in table
        assert f"## Questions of {title}" in document
    assert "| object_rel_direction_hard | 3 | 0 | 100.0 | 100.0 .. 100.0 |" in document
    assert "mean of eight" in table
    assert "Middle as lmms-eval has it" in table
    assert "SQA3D: unreadable" not in table
    assert "no number" in table
    write_report(found, tmp_path)
    kept = json.loads((tmp_path / "report.json").read_text())
    assert kept == json.loads(json.dumps(as_dict(found)))
    assert kept["vsi-bench"]["overall"]["mean of eight"]["published"]["VSI-Bench"]["value"] == pytest.approx(4 / 8)
    (tmp_path / "asked.json").write_text(json.dumps({"model": fingerprint_of_files(tmp_path, MODEL_FILES)}))
    card = {(item.task, item.figure.name): item for item in read_scores(tmp_path, tmp_path).figures}
    assert card["VSI-Bench questions", "mean of eight"].figure.value == pytest.approx(4 / 8)
    assert " .. " in card["VSI-Bench questions", "mean of eight"].range_text()
    assert "SQA3D questions" in {task for task, _ in card}
    partial = score(RECORDS, ask(limit=3), texts)
    assert "others' figure has them" in as_table(partial)


def test_a_geometry_audit_compares_benchmarks_by_their_own_score() -> None:
    asked = ask(names="spar-bench,vsi-bench")
    for task in asked:
        figure = main_figure(task, right_answers(asked))
        assert figure.name == RULES[task.task]
        assert figure.value() == 1.0
        assert len(set(figure.kinds)) > 5
        assert len(set(figure.scenes)) == 3
