"""A name that does not exist is refused with the one that was probably meant, whoever asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.commands.main import main
from gapdata.engine.executors.choose import make_executor
from gapdata.engine.recipe import read_recipe
from gapdata.errors import UsageError
from gapdata.recipes.recipe_files import recipe_file
from gapdata.runtime.choices import check_choice, near_names
from gapdata.shards.reader import ShardReader
from gapdata.tasks.wordings import convention_of
from gapmodel.evaluation.tasks import choose_tasks
from gapmodel.fusion import fusion_streams
from gapmodel.presets import preset
from gapmodel.questions.recipe import DataRecipe
from gapmodel.questions.records import chosen_records
from gapmodel.training.recipe import read_training_recipe
from tests.conftest import REPOSITORY
from tests.support.builds import write_build
from tests.support.evaluations import make_records, write_model

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_build(tmp_path_factory.mktemp("choices") / "build", make_records())


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("valid", "val"), ("validation", "val"), ("Val", "val"), ("training", "train"), ("tset", "test"), ("eval", "val")],
)
def test_a_slip_finds_the_name_that_was_meant(wrong: str, meant: str) -> None:
    assert near_names(wrong, SPLITS)[0] == meant
    with pytest.raises(UsageError, match=f"split '{wrong}' is unknown; did you mean {meant}\\? choose from train, val"):
        check_choice("split", wrong, SPLITS)


@pytest.mark.parametrize("wrong", ["", "x", "holdout", "日本", "v" * 10_000_000])
def test_what_is_near_to_nothing_gets_the_list_alone(wrong: str) -> None:
    with pytest.raises(UsageError, match=r"is unknown; choose from train, val, test$"):
        check_choice("split", wrong, SPLITS)


@given(st.text(), st.lists(st.text(), max_size=6))
def test_whatever_is_asked_near_names_are_known_ones(wrong: str, known: list[str]) -> None:
    assert set(near_names(wrong, known)) <= set(known)


REFUSED: list[tuple[Callable[[Path], Any], str]] = [
    (lambda build: ShardReader(build).select(split="valid"), "split 'valid' is unknown; did you mean val"),
    (lambda build: ShardReader(build).select(view="clips"), "view 'clips' is unknown; did you mean clip"),
    (lambda build: ShardReader(build).order(seed=0, split="training"), "did you mean train"),
    (lambda build: ShardReader(build).order(seed=0, view="scenes"), "did you mean scene"),
    (lambda build: chosen_records(ShardReader(build), DataRecipe(view=cast(Any, "scenes"))), "did you mean scene"),
    (lambda build: make_executor("lokal"), "executor 'lokal' is unknown; did you mean local"),
    (lambda build: recipe_file(Path("scannet-pretrian")), "did you mean scannet-pretrain"),
    (lambda build: read_recipe(None, ["clips.stepp=3"]), "did you mean clips.step"),
    (
        lambda build: read_training_recipe(None, ["data.task=detect"]),
        "data.task 'detect' is unknown; did you",
    ),
    (lambda build: read_training_recipe(None, ["data.wording=vgllm2"]), "did you mean vgllm_v2"),
    (lambda build: read_training_recipe(None, ["data.view=clips"]), "data.view 'clips' is unknown; did you mean clip"),
    (lambda build: read_recipe(None, ["instances.route=render"]), "did you mean rendered"),
    (lambda build: read_recipe(None, ["objects.source=meshes"]), "did you mean mesh"),
    (lambda build: convention_of("gapp"), "did you mean gap"),  # type: ignore[arg-type]
    (lambda build: preset("2B"), "did you mean 2b"),
    (lambda build: fusion_streams({"finale": "add"}, 1, 3), "did you mean final"),
]


@pytest.mark.parametrize(("ask", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_every_choice_is_refused_with_the_near_name(build: Path, ask: Callable[[Path], Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ask(build)
    assert message in str(caught.value)


def test_a_split_that_a_build_has_none_of_is_empty_and_no_mistake(build: Path, tmp_path: Path) -> None:
    assert ShardReader(build).select(split="test") == []
    odd = write_build(tmp_path / "odd", [replace(make_records()[0], split="mine")])
    assert len(ShardReader(odd).select(split="mine")) == 1


def test_a_task_of_an_export_is_refused_with_the_near_name_of_that_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "build", "--format", "gap-json", "--out", "x", "--tasks", "recon"]) == 2
    assert "task 'recon' is unknown; did you mean recons? choose from recons, det" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["veryfy"], "'veryfy' (did you mean verify? choose from"),
        (["view", "build", "--color", "instances"], "did you mean instance? choose from"),
        (["export", "build", "--format", "gapjson", "--out", "x"], "did you mean gap-json?"),
        (["export", "build", "--format", "gap-json", "--out", "x", "--split", "valid"], "did you mean val?"),
        (["completion", "bsh"], "did you mean bash?"),
    ],
)
def test_the_command_line_says_what_was_meant(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_no_other_place_compares_names_on_its_own() -> None:
    found = [
        path
        for package in ("gapdata", "gapmodel", "pipelines")
        for path in (REPOSITORY / package).rglob("*.py")
        if "difflib" in path.read_text() and path.name != "choices.py"
    ]
    assert found == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "valid"], "split 'valid' is unknown; did you mean val?"),
        (["--task", "grounding_box"], "task 'grounding_box' can be trained, but has no score of its own; choose from"),
        (["--task", "conversation"], "it has no rows; build shards with --recipe gap-json --annotations FILE"),
    ],
)
def test_an_evaluation_of_what_does_not_exist_is_one_line(build: Path, options: list[str], message: str) -> None:
    model = build.parent / "model"
    if not model.exists():
        write_model(model, {"task": "detection"})
    words = [sys.executable, str(REPOSITORY / "pipelines" / "evaluate.py"), "--shards", str(build)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([*words, "--model", str(model), *options], capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("evaluate.py: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (build.parent / "evaluation").exists()


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (
            "foo",
            "task 'foo' is unknown; choose from pointmap, detection, grounding, grounding_two_stage, captioning, all",
        ),
        ("pointmap,detektion", "task 'detektion' is unknown; did you mean detection?"),
        ("grounding_box", "task 'grounding_box' can be trained, but has no score of its own"),
        (" , ", "task '' is unknown"),
    ],
)
def test_a_task_that_cannot_be_evaluated_is_named_with_those_that_can(named: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose_tasks(named, None)
    assert message in str(caught.value)
