"""The audit tells a model that needs its geometry from one that ignores it, by the interval of the difference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from gapdata.shards.reader import ShardReader
from gapmodel.commands.main import main
from gapmodel.evaluation.answering import missing
from gapmodel.evaluation.asking import TASKS
from gapmodel.evaluation.predictions import read_answers
from gapmodel.evaluation.question_source import QuestionSource
from gapmodel.evaluation.run import asking_of
from gapmodel.evaluation.workers import EvaluationJob, answer
from gapmodel.inspection.geometry_treatments import CHANGES, Treatment
from tests.support.builds import write_build
from tests.support.geometry_models import known_records, write_knowing_model

EVERYTHING = ("--geometry", "own,zeroed,strange,shuffled,blind")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_build(tmp_path_factory.mktemp("audit") / "shards", known_records())


@pytest.fixture(scope="module")
def needing(build: Path) -> Path:
    return write_knowing_model(build.parent / "needing", known_records(), by_geometry=True)


@pytest.fixture(scope="module")
def ignoring(build: Path) -> Path:
    return write_knowing_model(build.parent / "ignoring", known_records(), by_geometry=False)


def evaluate(build: Path, model: Path, out: Path, *options: str) -> dict[str, Any]:
    words = ["evaluate", "--shards", str(build), "--model", str(model), "--out", str(out), "--task", "pointmap"]
    assert main([*words, *options]) == 0
    found: dict[str, Any] = json.loads((out / "geometry.json").read_text())
    return found


def differences(found: dict[str, Any]) -> dict[str, Any]:
    return {item["treatment"]: item for item in found["tasks"]["pointmap"]["treatments"] if not item["kind"]}


def test_a_model_that_needs_geometry_loses_beyond_chance_without_it(
    build: Path, needing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluate(build, needing, tmp_path, *EVERYTHING)
    by_name = differences(found)
    assert set(by_name) == set(CHANGES)
    for name, item in by_name.items():
        assert item["own"] > 80
        assert item["difference"] > 5
        # What other frames' features take is clear, but not from ten scenes.
        assert name == "shuffled" or (item["decided"] and item["interval"][0] > 20), (name, item)
    sentence = found["tasks"]["pointmap"]["sentence"]
    assert sentence.startswith("Geometry contributes ")
    assert "points to pointmap (mean of max(0, 1 - error / 1 m)" in sentence
    assert sentence in capsys.readouterr().out
    assert {level["moved"] > 0.1 for level in found["levels"]} == {True}


def test_a_model_that_ignores_geometry_cannot_be_told_from_itself_without_it(
    build: Path, ignoring: Path, tmp_path: Path
) -> None:
    found = evaluate(build, ignoring, tmp_path, *EVERYTHING)
    by_name = differences(found)
    for name in ("zeroed", "strange", "shuffled"):
        assert by_name[name]["own"] > 80
        assert not by_name[name]["decided"]
        assert by_name[name]["interval"] == [0.0, 0.0]
    assert by_name["blind"]["decided"]  # it looks, but not by geometry
    assert found["tasks"]["pointmap"]["sentence"].startswith(
        "Geometry contributes nothing to pointmap that can be told"
    )
    assert [level["moved"] for level in found["levels"]] == [0.0] * 4


def test_each_level_is_treated_alone_and_the_picture_shows_all(build: Path, needing: Path, tmp_path: Path) -> None:
    found = evaluate(build, needing, tmp_path, "--geometry", "strange,blind", "--geometry-levels", "--limit", "7")
    names = set(differences(found))
    levels = {f"strange-{stream}" for stream in ("deepstack.0", "deepstack.1", "deepstack.2", "final")}
    assert names == {"strange", "blind"} | levels
    for name in names:
        assert len(read_answers(tmp_path / "geometry" / name)) == 7
    assert any(read_answers(tmp_path / "geometry" / name) != read_answers(tmp_path) for name in levels)
    assert cv2.imread(str(tmp_path / "geometry.png")).shape[2] == 3
    assert "![](geometry.png)" in (tmp_path / "geometry.md").read_text()


def test_an_interrupted_audit_asks_only_what_has_no_answer(build: Path, needing: Path, tmp_path: Path) -> None:
    options = ("--geometry", "strange", "--limit", "6")
    first = evaluate(build, needing, tmp_path, *options)
    part = tmp_path / "geometry" / "strange" / "predictions" / "part-000.jsonl"
    lines = part.read_bytes().splitlines(keepends=True)
    kept = [line.replace(b'"text": "', b'"text": "kept ') for line in lines[:4]]
    part.write_bytes(b"".join(kept) + lines[4][:20])
    own = (tmp_path / "predictions" / "part-000.jsonl").read_bytes()
    again = evaluate(build, needing, tmp_path, *options)
    assert part.read_bytes() == b"".join([*kept, *lines[4:]])
    assert (tmp_path / "predictions" / "part-000.jsonl").read_bytes() == own
    assert again["levels"] == first["levels"]


def test_strange_geometry_of_one_place_is_refused_before_anything_is_asked(
    needing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = write_build(tmp_path / "shards", known_records()[:1])
    words = ["evaluate", "--shards", str(build), "--model", str(needing), "--out", str(tmp_path / "out")]
    assert main([*words, "--task", "pointmap", "--geometry", "all"]) == 2
    said = capsys.readouterr().err
    assert "no view of another place, with frames of its size, can lend room0000-clip-00000 its geometry" in said
    assert not (tmp_path / "out").exists()


def test_workers_share_every_treatment_and_answer_as_one_process(build: Path, needing: Path, tmp_path: Path) -> None:
    reader = ShardReader(build)
    askings = {task: asking_of(needing, task, "val") for task in TASKS}
    job = EvaluationJob(
        model=needing,
        source=QuestionSource(kind="build", place=str(build)),
        out=tmp_path / "two",
        belongs={"model": "m"},
        askings=askings,
        tasks=("pointmap",),
        limit=None,
        batch_size=3,
        treatments=(None, Treatment(change="strange"), Treatment(change="shuffled", stream="final")),
    )
    for rank in range(2):
        answer(job, (rank, 2))
    alone = replace(job, out=tmp_path / "one", batch_size=32)
    answer(alone, (0, 1))
    questions = job.questions(reader)
    for here, there in zip(job.folders, alone.folders, strict=True):
        assert len(list((here / "predictions").iterdir())) == 2
        assert not missing(questions, read_answers(here))
        assert read_answers(here) == read_answers(there)
    assert len({json.dumps(read_answers(folder), sort_keys=True) for folder in job.folders}) == 3


def test_answers_of_another_model_are_refused_with_its_treatment(
    build: Path, needing: Path, ignoring: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(build, needing, tmp_path, "--geometry", "zeroed", "--limit", "2")
    (tmp_path / "asked.json").unlink()
    words = ["evaluate", "--shards", str(build), "--model", str(ignoring), "--out", str(tmp_path)]
    assert main([*words, "--task", "pointmap", "--geometry", "zeroed", "--limit", "2"]) == 2
    assert "belongs to another evaluation: model was" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--geometry", "other"], "geometry 'other' is unknown"), (["--geometry-levels"], "does nothing alone; add")],
)
def test_a_treatment_that_does_not_exist_is_refused(
    build: Path, needing: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "--shards", str(build), "--model", str(needing), "--task", "pointmap"]
    assert main([*words, *options]) == 2
    assert message in capsys.readouterr().err
