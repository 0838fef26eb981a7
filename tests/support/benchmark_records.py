"""Small files of published benchmarks and referring expressions, written from their description alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VSI_NUMBER = "object_abs_distance"
VSI_LETTER = "object_rel_direction_easy"
NR3D_COLUMNS = (
    *("assignmentid", "stimulus_id", "utterance", "correct_guess", "speaker_id", "listener_id", "scan_id"),
    *("instance_type", "target_id", "tokens", "dataset", "mentions_target_class", "uses_object_lang"),
)
SR3D_COLUMNS = (
    *("scan_id", "target_id", "distractor_ids", "utterance", "stimulus_id", "coarse_reference_type"),
    *("reference_type", "instance_type", "anchors_types", "anchor_ids", "tokens", "dataset"),
    *("mentions_target_class", "correct_guess"),
)


def vsi_row(number: int = 0, scene: str = "scene0000_00", **changes: Any) -> dict[str, Any]:
    """A row of VSI-Bench that is answered by a number."""
    row = {
        "id": number,
        "dataset": "scannet",
        "scene_name": scene,
        "question_type": VSI_NUMBER,
        "question": "What is the distance between the table and the sofa (in meters)?",
        "ground_truth": "1.4",
        "options": None,
    }
    return {**row, **changes}


def vsi_choice(number: int = 1, scene: str = "scene0000_00", **changes: Any) -> dict[str, Any]:
    """A row of VSI-Bench that is answered by a letter."""
    asked = "If I am standing by the table and facing the sofa, is the lamp to my left or my right?"
    choice = {"question_type": VSI_LETTER, "question": asked, "ground_truth": "B", "options": ["A. left", "B. right"]}
    return vsi_row(number, scene, **{**choice, **changes})


def scanqa_row(number: int = 0, scene: str = "scene0000_00", **changes: Any) -> dict[str, Any]:
    """An item of ScanQA."""
    row = {
        "scene_id": scene,
        "question_id": f"train-{scene[:9]}-{number}",
        "question": "What is in the right corner of room by curtains?",
        "answers": ["brown cabinet with tv sitting in it", "cabinet"],
        "object_ids": [8],
        "object_names": ["cabinet"],
    }
    return {**row, **changes}


def situation(number: int = 220602000000, scene: str = "scene0000_00", **changes: Any) -> dict[str, Any]:
    """An entry of SQA3D's questions."""
    row = {
        "scene_id": scene,
        "situation": "I am facing a window and there is a desk on my right.",
        "alternative_situation": ["I stand looking out of the window.", "I am behind the desk."],
        "question": "What color is the desk to my right?",
        "question_id": number,
    }
    return {**row, **changes}


def situated_answer(number: int = 220602000000, scene: str = "scene0000_00", **changes: Any) -> dict[str, Any]:
    """An entry of SQA3D's annotations."""
    row = {
        "scene_id": scene,
        "question_type": "N/A",
        "answer_type": "other",
        "question_id": number,
        "answers": [{"answer": "brown", "answer_confidence": "yes", "answer_id": 1}],
        "rotation": {"_x": 0, "_y": 0, "_z": 0.0998, "_w": 0.995},
        "position": {"x": -0.965, "y": -1.2417, "z": 0},
    }
    return {**row, **changes}


def sqa3d_release(questions: Sequence[Any], answers: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content of the two files of SQA3D's release."""
    about = {"info": {"version": "1.0"}, "license": {"name": "CC BY 4.0"}, "data_type": "scannetv2"}
    return {**about, "task_type": "Open-Ended", "questions": list(questions)}, {**about, "annotations": list(answers)}


def spar_line(frames: Sequence[int] = (0, 30), scene: str = "scene0000_00", **changes: Any) -> dict[str, Any]:
    """A line of SPAR-7M without marks."""
    row = {
        "id": f"{scene}_16",
        "conversations": [
            {"from": "human", "value": "How does the camera move from the first image to the second?"},
            {"from": "gpt", "value": "move_right:0.3,move_forward:0.5,rotate_left:10"},
        ],
        "image": [f"{scene}/image_color/{frame}.jpg" for frame in frames],
        "type": "view_change_infer",
        "depth": [f"{scene}/image_depth/{frame}.png" for frame in frames],
    }
    return {**row, **changes}


def several(object_ids: Sequence[Any] = (3,), ann_id: Any = 0, **changes: Any) -> dict[str, Any]:
    """An item of Multi3DRefer."""
    row = {
        "scene_id": "scene0000_00",
        "object_ids": list(object_ids),
        "object_name": "office_chair",
        "ann_id": ann_id,
        "description": "this is a black chair. it is left of the table.",
        "eval_type": "st_w_d",
        "spatial": True,
        "color": True,
        "texture": False,
        "shape": False,
    }
    return {**row, **changes}


def nr3d_row(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A row of Nr3D."""
    row = {
        "assignmentid": number,
        "stimulus_id": "scene0000_00-office_chair-2-3-7",
        "utterance": 'The chair, closest to the "big" door',
        "correct_guess": True,
        "speaker_id": 4,
        "listener_id": 9,
        "scan_id": "scene0000_00",
        "instance_type": "office chair",
        "target_id": 3,
        "tokens": "['the', 'chair', 'closest']",
        "dataset": "nr3d",
        "mentions_target_class": True,
        "uses_object_lang": False,
    }
    return {**row, **changes}


def sr3d_row(**changes: Any) -> dict[str, Any]:
    """A row of Sr3D."""
    row = {
        "scan_id": "scene0000_00",
        "target_id": 3,
        "distractor_ids": "[7]",
        "utterance": "the chair that is far from the door",
        "stimulus_id": "scene0000_00-chair-2-3-7",
        "coarse_reference_type": "horizontal_proximity",
        "reference_type": "farthest",
        "instance_type": "chair",
        "anchors_types": "['door']",
        "anchor_ids": "[5]",
        "tokens": "['the', 'chair']",
        "dataset": "sr3d",
        "mentions_target_class": True,
        "correct_guess": True,
    }
    return {**row, **changes}


def write_lines(path: Path, rows: Sequence[Any]) -> Path:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_csv(
    path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = NR3D_COLUMNS, encoding: str = "utf-8"
) -> Path:
    """A CSV as pandas writes it."""
    with open(path, "w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]], **options: Any) -> Path:
    """A Parquet file as the Hub's converter writes it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(rows)), path, **options)
    return path
