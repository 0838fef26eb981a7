"""Builds with published benchmarks: questions come with the frames that they are about, and every one is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.prompts.marks import draw_marks
from gapdata.records.expressions import conversations, descriptions
from gapdata.shards.reader import ShardReader
from gapdata.tasks.predictions import Asking
from gapdata.tasks.questions import questions
from gapdata.tasks.task import QuestionOptions
from gapmodel.evaluation.run import asked_tasks
from tests.support.annotation_records import sentence, write_json
from tests.support.benchmark_records import (
    nr3d_row,
    scanqa_row,
    several,
    situated_answer,
    situation,
    spar_line,
    sqa3d_release,
    vsi_choice,
    vsi_row,
    write_csv,
    write_lines,
    write_parquet,
)
from tests.support.builds import build
from tests.support.scannet_scenes import write_scene

SCENE, FRAMES, SHOWN = "scene0000_00", 40, 6
SETTINGS = (
    *("--set", "frames.image_size=[128,96]", "--set", "clips.enabled=false", "--set", f"scene_views.frames={SHOWN}"),
    *("--set", "annotations.conversations=true", "--set", "prompts.per_view=0"),
)


def questions_of(folder: Path) -> list[str]:
    """Write a file of each benchmark, with a question about a scene that the data set lacks in each."""
    other = "scene0500_00"
    asked, answered = sqa3d_release([situation(1), situation(2, other)], [situated_answer(1), situated_answer(2)])
    files = [
        write_parquet(folder / "vsi.parquet", [vsi_row(0), vsi_choice(1), vsi_row(2, other)]),
        write_json(folder / "ScanQA_v1.0_train.json", [scanqa_row(0, object_ids=[1]), scanqa_row(1, other)]),
        write_json(folder / "v1_balanced_questions_train.json", asked),
        write_json(folder / "v1_balanced_sqa_annotations_train.json", answered),
        write_lines(folder / "fill_3.jsonl", [spar_line((30, 3)), spar_line((3, FRAMES)), spar_line(scene=other)]),
    ]
    return list(map(str, files))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dataset")
    write_scene(root / "scans" / SCENE, frames=FRAMES)
    (root / "scannetv2_train.txt").write_text(f"{SCENE}\n")
    return root


@pytest.fixture(scope="module")
def told(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    assert build(dataset, folder / "out", "--annotations", *questions_of(folder), *SETTINGS) == 0
    return folder / "out"


def report_of(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "report.json").read_text())
    return content


def test_an_evaluation_asks_them_about_the_frames_of_the_view(told: Path) -> None:
    asked = asked_tasks(ShardReader(told), lambda task: Asking(split="train"), ["benchmarks"])
    assert {task.task: len(task.asked) for task in asked} == {"vsi-bench": 2, "scanqa": 1, "sqa3d": 1}
    for task in asked:
        for item in task.asked:
            assert item.question.text.startswith("<image>" * SHOWN)
            assert item.question.text.count("<image>") == SHOWN


def test_questions_about_a_scan_are_put_to_its_scene_view(told: Path) -> None:
    (view,) = [record for record in ShardReader(told) if record.view == "scene"]
    assert len(view) == SHOWN
    found = conversations(view)
    assert [(item.benchmark, item.question_type, item.answer, item.id) for item in found] == [
        ("vsi-bench", "object_abs_distance", "1.4", "0"),
        ("vsi-bench", "object_rel_direction_easy", "B", "1"),
        ("scanqa", None, "brown cabinet with tv sitting in it", "train-scene0000-0"),
        ("sqa3d", "what", "brown", "1"),
    ]
    assert found[1].options == ("A. left", "B. right")
    assert found[2].answers == ("brown cabinet with tv sitting in it", "cabinet")
    assert found[2].object_ids == (1,)
    for item, asked in zip(found, ask(view), strict=True):
        assert asked.text == "<image>" * SHOWN + item.question
        assert (asked.answer, asked.marks) == (item.answer, ())


def ask(record: Any) -> list[Any]:
    return questions(record, "conversation", QuestionOptions(), np.random.default_rng(0))


def test_a_question_that_names_frames_comes_with_exactly_these(told: Path) -> None:
    (clip,) = [record for record in ShardReader(told) if record.view == "clip"]
    assert clip.frame_ids == (30, 3)
    (asked,) = ask(clip)
    assert asked.text == "<image>\n<image>\nHow does the camera move from the first image to the second?"
    (item,) = conversations(clip)
    assert (item.benchmark, item.question_type) == ("spar-7m", "view_change_infer")


def test_marks_are_carried_to_the_same_place_of_a_smaller_image_and_drawn(dataset: Path, tmp_path: Path) -> None:
    """Native images have 128x96 pixels, stored ones 64x48."""
    marks = {"red_point": [[250, 500]], "blue_bbox": [[500, 250, 750, 750]]}
    line = {**spar_line((3, 30)), "type": "obj_spatial_relation_oo_mv", "red_bbox": marks["blue_bbox"]}
    line |= {"green_bbox": [[0, 0, 1000, 1000]], "bbox_img_idx": [[1, 0]]}
    disc = {**spar_line((5,)), "type": "distance_prediction_oc", "red_point": marks["red_point"]}
    file = write_lines(tmp_path / "fill_2.jsonl", [line, disc])
    settings = (*SETTINGS, "--set", "frames.image_size=[64,48]", "--set", "scene_views.enabled=false")
    assert build(dataset, tmp_path / "out", "--annotations", str(file), *settings) == 0
    pair, single = ShardReader(tmp_path / "out")
    ((asked,), (alone,)) = ask(pair), ask(single)
    assert [(mark.frame, mark.number, mark.pixel) for mark in asked.marks] == [
        (1, 21, (32, 12)),
        (1, 31, (48, 36)),
        (0, 22, (0, 0)),
        (0, 32, (63, 47)),
    ]
    assert [(mark.frame, mark.number, mark.pixel) for mark in alone.marks] == [(0, 11, (16, 24))]
    seen = draw_marks(single.image(0), {mark.number: mark.pixel for mark in alone.marks}, native_width=128)
    assert (seen[24, 16] == (255, 0, 0)).all()
    assert (seen[24, 40] == single.image(0)[24, 40]).all()
    assert main(["verify", str(tmp_path / "out"), "--workers", "1"]) == 0


def test_every_question_is_in_the_report(told: Path) -> None:
    report = report_of(told)
    assert (report["conversations"], report["conversations_used"]) == (6, 5)
    assert report["dropped_conversations"] == {"its view could not be built": 1}
    files = {file["kind"]: (file["taken"], file["ignored"]) for file in report["annotations"]["files"]}
    elsewhere = {"scene_not_in_data_set": 1}
    assert files == {
        "VSI-Bench": (2, elsewhere),
        "ScanQA": (1, elsewhere),
        "SPAR-7M": (2, elsewhere),
        "SQA3D": (1, elsewhere),
        "SQA3D's answers": (1, {"answer_without_a_question_that_is_taken": 1}),
    }


def test_without_a_view_of_the_whole_scan_its_questions_are_dropped_with_the_reason(
    dataset: Path, tmp_path: Path
) -> None:
    files = questions_of(tmp_path)
    assert (
        build(dataset, tmp_path / "out", "--annotations", *files, *SETTINGS, "--set", "scene_views.enabled=false") == 0
    )
    reason = "asks about the whole scan, of which the recipe makes no shared view (scene_views)"
    assert report_of(tmp_path / "out")["dropped_conversations"] == {reason: 4, "its view could not be built": 1}


def test_a_recipe_without_conversations_counts_them(dataset: Path, tmp_path: Path) -> None:
    files = questions_of(tmp_path)
    off = ("--set", "annotations.conversations=false")
    assert build(dataset, tmp_path / "out", "--annotations", *files, *SETTINGS, *off) == 0
    assert report_of(tmp_path / "out")["dropped_conversations"] == {"the recipe does not use conversations": 6}


def test_expressions_of_all_data_sets_are_asked_and_each_counts_unique_within_its_own(
    dataset: Path, tmp_path: Path
) -> None:
    """Both chairs are described by Nr3D, one by ScanRefer: it is unique there alone."""
    files = [
        write_json(tmp_path / "ScanRefer_filtered_train.json", [sentence(SCENE, "1", "0"), sentence(SCENE, "1", "1")]),
        write_json(tmp_path / "multi3drefer_train.json", [several([1], 0), several([1, 2], 1), several([], 2)]),
        write_csv(
            tmp_path / "nr3d.csv", [nr3d_row(1, target_id=1), nr3d_row(2, target_id=2), nr3d_row(3, target_id=9)]
        ),
    ]
    off = ("--set", "annotations.conversations=false")
    assert build(dataset, tmp_path / "out", "--annotations", *map(str, files), *SETTINGS, *off) == 0
    (view,) = ShardReader(tmp_path / "out")
    assert [(item.object_id, item.ann_id, item.unique) for item in descriptions(view)] == [
        (1, "0", True),
        (1, "1", True),
        (1, "multi3drefer-0", True),
        (1, "nr3d-1", False),
        (2, "nr3d-2", False),
    ]
    report = report_of(tmp_path / "out")
    assert report["descriptions"] == 6
    assert report["dropped_descriptions"] == {"describes an object that the scene does not have": 1}
    ignored = {file["kind"]: file["ignored"] for file in report["annotations"]["files"]}
    assert ignored["Multi3DRefer"] == {"describes_no_object": 1, "describes_several_objects": 1}
