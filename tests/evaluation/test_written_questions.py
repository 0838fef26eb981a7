"""An evaluation of a file of ``gapdata questions`` asks exactly its questions, and keeps their answers apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gapdata.commands.main import main
from gapdata.errors import UsageError
from gapdata.shards.reader import ShardReader
from gapdata.tasks.predictions import Asking
from gapdata.tasks.spatial.question_file import read_questions
from gapmodel.commands.main import main as gapmodel
from gapmodel.evaluation.run import asked_tasks
from tests.support.evaluations import write_model


@pytest.fixture(scope="module")
def file(spatial_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions of another seed than those that an evaluation draws, about all splits."""
    out = tmp_path_factory.mktemp("written") / "questions.jsonl"
    kinds = ("size", "camera_motion", "direction")
    assert main(["questions", str(spatial_build), "--out", str(out), "--seed", "5", "--kinds", *kinds]) == 0
    return out


def test_the_questions_of_the_split_are_asked_each_with_its_own_id(spatial_build: Path, file: Path) -> None:
    reader = ShardReader(spatial_build)
    for split in ("train", "val"):
        found = asked_tasks(reader, lambda _, split=split: Asking(split=split), ["spatial"], written=file)  # type: ignore[misc]
        asked = {item.id: item.spatial for task in found for item in task.asked}
        assert asked == {item.id: item.question for item in read_questions(file) if item.split == split}
        assert asked
        for task in found:
            for item in task.asked:
                assert task.records[item.index].key == item.key
                assert item.spatial is not None
                assert item.question.text.endswith(item.spatial.text)
                assert item.question.text.count("<image>") == len(task.records[item.index])


def test_a_limit_and_other_tasks_hold_as_ever(spatial_build: Path, file: Path) -> None:
    reader, asking = ShardReader(spatial_build), Asking(split="train")
    (few,) = asked_tasks(reader, lambda _: asking, ["size"], 2, written=file)
    assert len(few.asked) == 2
    with pytest.raises(UsageError, match=r"no questions for distance: .*questions.jsonl has none"):
        asked_tasks(reader, lambda _: asking, ["distance"], written=file)


def test_a_file_of_another_build_is_refused(spatial_build: Path, file: Path, tmp_path: Path) -> None:
    strange = tmp_path / "strange.jsonl"
    lines = [json.loads(line) | {"key": "elsewhere"} for line in file.read_text().splitlines()]
    strange.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UsageError, match="has a question about elsewhere, which the build does not hold"):
        asked_tasks(ShardReader(spatial_build), lambda _: Asking(split="train"), ["size"], written=strange)


def test_the_command_keeps_the_answers_to_each_file_apart(
    spatial_build: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, few, other = (
        write_model(tmp_path / "model", {"task": "size", "view": "clip"}),
        tmp_path / "few.jsonl",
        tmp_path / "other.jsonl",
    )
    of_clips = [item.to_line() for item in read_questions(file) if item.split == "val" and "-clip-" in item.key]
    few.write_text("".join(of_clips[:2]))
    other.write_text("".join(of_clips[:1]))
    command = ["evaluate", "--shards", str(spatial_build), "--model", str(model), "--out", str(tmp_path / "out")]
    assert gapmodel([*command, "--task", "spatial", "--questions", str(few)]) == 0
    parts = (tmp_path / "out" / "predictions").glob("*.jsonl")
    said = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    assert {item["id"] for item in said if "id" in item} == {item.id for item in read_questions(few)}
    assert gapmodel([*command, "--task", "spatial", "--questions", str(other)]) == 2
    assert "belongs to another evaluation: questions was" in capsys.readouterr().err
    assert gapmodel([*command, "--task", "detection", "--questions", str(few)]) == 2
    assert "--questions is a file of spatial questions, which no task asks" in capsys.readouterr().err
