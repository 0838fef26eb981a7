"""The gallery of a model's answers: the first answered view of each scene, with what the model should have said."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader
from gapdata.show.scene.palette import PREDICTED
from gapdata.show.sheet.gallery import TRUE, answer_gallery
from gapdata.tasks import detection
from gapdata.tasks.predictions import read_predictions
from gapdata.tasks.task import QuestionOptions
from tests.support.builds import write_build
from tests.support.showing import room_record

SCENES = 3


@pytest.fixture(scope="module")
def records() -> list[Record]:
    one = room_record(3, (96, 72), aligned=True)
    names = [f"scene000{number}_00" for number in range(SCENES)]
    return [dataclasses.replace(one, key=f"{name}-clip-00000", scene_id=name) for name in names]


@pytest.fixture(scope="module")
def build(records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gallery") / "build"
    write_build(out, records)
    return out


def point(record: Record, shift: float) -> dict[str, str]:
    prompt = record.prompts[0]
    place = [prompt.point[0] + shift, *prompt.point[1:]]
    text = json.dumps({"label": prompt.label, "pointmap": place})
    return {"id": f"pointmap/{record.key}/{prompt.index}", "key": record.key, "text": text}


def boxes(record: Record, shift: float) -> dict[str, str]:
    found = [detection.text_box(item, QuestionOptions()) for item in detection.targets(record)]
    moved = [dataclasses.replace(box, values=(box.values[0] + shift, *box.values[1:])) for box in found]
    return {"id": f"detection/{record.key}", "key": record.key, "text": detection.answer_text(moved)}


def write(path: Path, lines: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def pixels_of(picture: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((picture == color).all(axis=-1).sum())


def test_each_scene_shows_its_first_answer_with_the_model_s_boxes_and_the_true_ones(
    records: list[Record], build: Path, tmp_path: Path
) -> None:
    reader = ShardReader(build)
    points = write(tmp_path / "points.jsonl", [point(record, 0.5) for record in records])
    right, far = (
        write(tmp_path / f"boxes-{shift}.jsonl", [boxes(record, shift) for record in records]) for shift in (0.0, 90.0)
    )
    marked = answer_gallery(reader, [read_predictions(points)])
    both = answer_gallery(reader, [read_predictions(points), read_predictions(right)])
    assert both.shape[1] == marked.shape[1]
    assert len(both) > 1.5 * len(marked)
    assert pixels_of(marked, PREDICTED) > 100
    near, lost = (answer_gallery(reader, [read_predictions(path)]) for path in (right, far))
    assert pixels_of(near, TRUE) > 100
    assert pixels_of(near, PREDICTED) > 2 * pixels_of(lost, PREDICTED)


def test_the_command_writes_a_picture_and_refuses_what_a_gallery_cannot_show(
    records: list[Record], build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = write(tmp_path / "points.jsonl", [point(records[1], 0.1)])
    found = write(tmp_path / "boxes.jsonl", [boxes(records[0], 0.1)])
    asked = ["view", str(build), "--predictions", str(points), "--predictions", str(found)]
    saved = tmp_path / "gallery.png"
    assert main([*asked, "--gallery", "--save", str(saved)]) == 0
    picture = cv2.imread(str(saved))
    assert f"{picture.shape[1]} x {picture.shape[0]} pixels" in capsys.readouterr().out
    for words, said in (
        ([*asked, "--save", str(saved)], "several --predictions are only for a gallery"),
        ([*asked, "--gallery"], "a gallery is a picture"),
        (["view", str(build), "--gallery", "--save", str(saved)], "a gallery shows the answers of --predictions"),
    ):
        assert main(words) == 2
        assert said in capsys.readouterr().err
