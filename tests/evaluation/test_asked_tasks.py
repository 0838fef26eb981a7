"""An evaluation asks what the model was taught, and says what it does not ask and why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gapdata.errors import UsageError
from gapdata.shards.records import RecordList
from gapmodel.evaluation.asking import TASKS
from gapmodel.evaluation.report import as_markdown, as_table, class_table, summary
from gapmodel.evaluation.run import asked_tasks
from gapmodel.evaluation.run import score as score_all
from gapmodel.evaluation.tables import NONE
from gapmodel.evaluation.tasks import choose_tasks, not_asked, untaught_note
from gapmodel.model_directory import load_model
from gapmodel.questions.recipe import DataRecipe
from gapmodel.questions.taught import taught_after, taught_tasks
from gapmodel.training.export import save_model
from gapmodel.training.recipe import read_training_recipe
from tests.conftest import REPOSITORY
from tests.evaluation.test_evaluating import RECORDS, all_questions, right_answers
from tests.support.builds import write_build
from tests.support.evaluations import make_records, write_model

SECOND = """
[mixture.boxes]
task = "detection"
[mixture.frames]
task = "grounding_frame"
view = "scene"
[mixture.second]
task = "grounding_box"
view = "around"
"""


def test_a_model_keeps_what_each_stage_taught_it(tmp_path: Path) -> None:
    model, processor = load_model(write_model(tmp_path / "start", {}))
    first = read_training_recipe(None, ["data.task=pointmap"])
    save_model(model, processor, first, tmp_path / "first")
    assert taught_tasks(tmp_path / "first") == ("pointmap",)
    again, processor = load_model(tmp_path / "first")
    (tmp_path / "second.toml").write_text(SECOND)
    second = read_training_recipe(tmp_path / "second.toml")
    for _ in range(2):
        save_model(again, processor, second, tmp_path / "second")
        assert taught_tasks(tmp_path / "second") == ("detection", "grounding_box", "grounding_frame", "pointmap")
    assert load_model(tmp_path / "second")[0].config.taught == list(taught_tasks(tmp_path / "second") or ())


def test_the_place_in_the_image_is_another_task_than_the_place_in_metres() -> None:
    assert taught_after([DataRecipe(task="detection", space="image")], None) == ["detection in the image"]


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({"data": {"task": "captioning"}}, ("captioning",)),
        ({"data": {}, "mixture": {"a": {"task": "detection"}, "b": {"weight": 2}}}, ("detection", "pointmap")),
        ({}, None),
    ],
)
def test_a_model_of_an_earlier_version_says_it_by_its_recipe(
    tmp_path: Path, recipe: dict[str, object], expected: tuple[str, ...] | None
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    assert taught_tasks(tmp_path) == expected


@pytest.mark.parametrize(
    ("taught", "tasks"),
    [
        (("detection",), ("detection",)),
        (("pointmap", "grounding_frame"), ("pointmap",)),
        (("grounding_box", "grounding_frame"), ("grounding_two_stage",)),
        (("conversation", "detection"), TASKS),
        (None, TASKS),
    ],
)
def test_by_default_what_was_taught_is_asked(taught: tuple[str, ...] | None, tasks: tuple[str, ...]) -> None:
    choice = choose_tasks(None, taught)
    assert choice.tasks == tasks
    assert set(choice.tasks) | set(choice.untaught) == set(TASKS)


def test_a_model_that_was_taught_nothing_of_it_is_refused_with_the_way_out() -> None:
    with pytest.raises(
        UsageError, match=r"none .* was taught can be evaluated: detection in the image; name a task .* --task: po"
    ):
        choose_tasks(None, ("detection in the image",))


def test_what_is_not_asked_is_one_line_with_its_reasons() -> None:
    clips = RecordList([record for record in RECORDS if record.view == "clip"])
    choice = choose_tasks(None, ("pointmap", "captioning"))
    found = asked_tasks(clips, lambda task: all_questions()[0].asking, choice.tasks, optional=choice.optional)
    asked = [task.task for task in found]
    assert asked == ["pointmap"]
    assert not_asked(choice, asked, "val") == (
        "not asked: detection, grounding, grounding_two_stage (not taught; --task detection asks anyway); captioning "
        "(split val has no such questions)"
    )
    assert not_asked(choose_tasks("all", ("pointmap",)), list(TASKS), "val") == ""
    anyway = choose_tasks("detection", ("pointmap",))
    assert not_asked(anyway, ["detection"], "val") == ""
    assert untaught_note(anyway, ["detection"]) == "asked though not taught: detection (taught: pointmap)"
    assert untaught_note(choose_tasks(None, None), list(TASKS)) == ""
    with pytest.raises(UsageError, match="no questions for captioning"):
        asked_tasks(clips, lambda task: all_questions()[0].asking, ["captioning"])


def test_a_column_that_says_nothing_is_left_out() -> None:
    questions = [task for task in all_questions() if task.task == "captioning"]
    results = score_all(RECORDS, questions, right_answers(questions))
    assert "constant answer" not in as_table(results).splitlines()[0]
    assert "constant answer" not in as_markdown(results)
    everything = score_all(RECORDS, all_questions(), right_answers(all_questions()))
    assert "constant answer" in as_table(everything).splitlines()[0]
    for table in (summary(results), summary(everything), class_table(everything.tasks["detection"])):
        for at in range(1, len(table.header)):
            assert any(row[at] not in ("", NONE) for row in table.rows if len(row) > at), table.header[at]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught")
    write_build(folder / "shards", make_records())
    write_model(folder / "model", {"task": "detection", "min_visible_pixels": 50, "max_objects": 2})
    return folder


@pytest.mark.slow
def test_the_command_asks_what_was_taught_and_says_so(place: Path) -> None:
    script = str(REPOSITORY / "pipelines" / "evaluate.py")
    words = [sys.executable, script, "--shards", str(place / "shards"), "--model", str(place / "model"), "--limit", "1"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    (line,) = [row for row in done.stdout.splitlines() if row.startswith("not asked: ")]
    assert line == (
        "not asked: pointmap, grounding, grounding_two_stage, captioning (not taught; --task pointmap asks anyway)"
    )
    (report,) = place.glob("evaluation/*/report.json")
    facts = json.loads(report.read_text())
    assert facts["taught"] == ["detection"]
    assert facts["remarks"] == [line]
    assert "detection" in facts
    assert "pointmap" not in facts
