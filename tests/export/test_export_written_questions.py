"""Exports of a file of ``gapdata questions`` hold exactly its questions, so that what leaves is balanced."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gapdata.commands.main import main
from gapdata.records.schema import SceneLabel
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.spatial.question_file import AskedQuestion, read_questions
from tests.support.builds import write_build
from tests.support.showing import room_record


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = room_record(9, (320, 240), aligned=True)
    labels = tuple(SceneLabel(labels=item.labels, count=1) for item in room.objects)
    return write_build(tmp_path_factory.mktemp("written") / "build", [replace(room, scene_objects=labels, split="val")])


@pytest.fixture(scope="module")
def file(build: Path) -> Path:
    """Every second question of the build, of another seed than exports draw with."""
    whole, out = build.parent / "whole.jsonl", build.parent / "questions.jsonl"
    assert main(["questions", str(build), "--out", str(whole), "--seed", "3"]) == 0
    out.write_text("".join(whole.read_text().splitlines(keepends=True)[::2]))
    return out


def export(build: Path, form: str, out: Path, *more: object) -> int:
    return main(["export", str(build), "--format", form, "--out", str(out), *map(str, more)])


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def test_conversations_are_those_of_the_file(build: Path, file: Path, tmp_path: Path) -> None:
    assert export(build, "chat", tmp_path / "written", "--questions", file) == 0
    asked = {item.id: item for item in read_questions(file)}
    found = {item["id"]: item for item in rows(tmp_path / "written") if item["task"] in KINDS}
    assert found.keys() == asked.keys()
    for name, item in found.items():
        assert_same(asked[name], item)


def test_questions_that_are_not_about_space_stay(shards: Path, chats: Path, tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").touch()
    assert export(shards, "chat", tmp_path / "out", "--questions", tmp_path / "none.jsonl") == 0
    assert rows(tmp_path / "out") == [row for row in rows(chats / "swift") if row["task"] not in KINDS]


def assert_same(asked: AskedQuestion, row: dict[str, Any]) -> None:
    about, own = json.loads(row["about"]), asked.question
    assert row["messages"][0]["content"].endswith(own.text)
    assert (row["key"], row["task"], row["solution"], row["value"]) == (asked.key, own.kind, own.answer, own.value)
    assert about["marks"] == [[mark.number, mark.frame, *mark.pixel] for mark in own.marks]
    assert tuple(about.get("options", ())) == own.options


def test_a_task_of_lmms_eval_asks_the_questions_of_the_file(build: Path, file: Path, tmp_path: Path) -> None:
    assert export(build, "lmms-eval", tmp_path / "task", "--questions", file, "--tasks", "size,direction,relation") == 0
    asked = {item.id: item.question for item in read_questions(file)}
    asked = {name: item for name, item in asked.items() if item.kind in ("size", "direction", "relation")}
    found = {item["id"]: (item["question"].lstrip("\n"), item["ground_truth"]) for item in rows(tmp_path / "task")}
    assert found == {name: (item.text, item.answer) for name, item in asked.items()}
    assert asked


def test_an_export_goes_on_with_the_same_questions_alone(
    build: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, moved, other = tmp_path / "task", tmp_path / "moved.jsonl", tmp_path / "other.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    moved.write_text("".join(lines))
    other.write_text("".join(lines[1:]))
    assert export(build, "lmms-eval", out, "--questions", file) == 0
    assert export(build, "lmms-eval", out, "--questions", moved) == 0
    for more in (("--questions", other), ()):
        assert export(build, "lmms-eval", out, *more) == 2
        assert "another questions" in capsys.readouterr().err


def test_a_file_about_another_build_is_refused(
    build: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = tmp_path / "strange.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    strange.write_text("".join(json.dumps(line | {"key": "elsewhere-scene"}) + "\n" for line in lines))
    for form in ("chat", "lmms-eval"):
        assert export(build, form, tmp_path / form, "--questions", strange) == 2
        assert "has a question about elsewhere-scene, which the build does not hold" in capsys.readouterr().err
        assert export(build, form, tmp_path / form, "--questions", tmp_path / "missing.jsonl") == 2
        assert "cannot be read" in capsys.readouterr().err
        assert export(build, form, tmp_path / "many", "--questions", file, "--per-kind", 4) == 2
        assert "--per-kind says nothing of questions that a file holds" in capsys.readouterr().err
