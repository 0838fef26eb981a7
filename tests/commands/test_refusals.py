"""A command that is refused leaves every file and folder as it was; one that has nothing to do says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gapdata.commands.main import main
from gapdata.errors import UsageError
from gapmodel.commands.main import main as gapmodel
from gapmodel.training import memory
from gapmodel.training.loading import refuse_unmatched_builds
from gapmodel.training.logbook import read_log
from gapmodel.training.loop import train
from gapmodel.training.recipe import TrainingRecipe
from gapmodel.training.replacing import stamp_of
from gapmodel.training.run import TrainingConfig
from gapmodel.training.starting_point import as_started
from tests.support.builds import build
from tests.support.training_runs import RECIPE, RECORDS


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder; ``None`` for folders."""
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def scans(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans that a mistaken command may write into."""
    return shutil.copytree(small_dataset, tmp_path_factory.mktemp("scans") / "scannet")


@pytest.mark.parametrize(
    ("out", "options"),
    [
        (".", ()),
        (".", ("--overwrite",)),
        ("scans", ("--overwrite",)),
        ("new/build", ("--set", "clips.interval=1")),
        ("new/build", ("--scenes", "scene9999_99")),
        ("new/build", ("--split", "trian")),
        ("new/build", ("--annotations", "missing.json")),
        ("new/build", ("--recipe", "no-such-recipe")),
    ],
)
def test_a_refused_build_leaves_the_scans_and_what_is_beside_them(
    scans: Path, out: str, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(scans.parent)
    assert build(scans, scans / out, *options) == 2
    assert capsys.readouterr().err.startswith("gapdata: ")
    assert tree(scans.parent) == before


def test_a_refused_build_leaves_another_build_and_a_finished_one_says_so(
    small_dataset: Path, inline_build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(inline_build, tmp_path / "out")
    (out / ".lock").unlink(missing_ok=True)
    before = tree(out)
    assert build(small_dataset, out, "--set", "clips.step=1") == 2
    assert tree(out) == before
    assert build(small_dataset, out) == 0
    assert f"gapdata: {out}: already complete, nothing to build\n" in capsys.readouterr().err


@pytest.mark.slow
def test_a_cluster_that_cannot_be_reached_leaves_nothing(
    small_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    assert build(small_dataset, tmp_path / "new" / "out", "--executor", "ray") == 2
    assert tree(tmp_path) == {}


@pytest.mark.slow
def test_a_build_that_was_to_be_replaced_is_whole_after_the_cluster_could_not_be_reached(
    small_dataset: Path, inline_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    out = shutil.copytree(inline_build, tmp_path / "out")
    before = tree(out)
    changed = ("--set", "clips.step=1", "--executor", "ray", "--overwrite")
    assert build(small_dataset, out, *changed) == 2
    assert tree(out) == before


@pytest.mark.parametrize(
    "command",
    [
        ["view", "{build}", "--key", "nowhere", "--save", "{out}/new/x.png"],
        ["report", "{build}/nothing", "--out", "{out}/new/report.html"],
        ["export", "{build}", "--format", "gap-json", "--out", "{build}"],
        ["synth", "{build}", "--scenes", "0"],
        ["verify", "{out}"],
        ["status", "{out}"],
    ],
    ids=lambda command: command[0],
)
def test_other_commands_that_are_refused_leave_nothing(inline_build: Path, tmp_path: Path, command: list[str]) -> None:
    place = shutil.copytree(inline_build, tmp_path / "build")
    (tmp_path / "out").mkdir()
    before = tree(tmp_path)
    try:
        status = main([word.format(build=place, out=tmp_path / "out") for word in command])
    except SystemExit as stopped:  # argparse's own refusal
        status = int(stopped.code or 0)
    assert status == 2
    assert tree(tmp_path) == before


def config(out: Path, recipe: TrainingRecipe = RECIPE, **options: object) -> TrainingConfig:
    return TrainingConfig(**{"recipe": recipe, "builds": {"": RECORDS}, "out": out, "bar": False, **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    train(config(out, replace(RECIPE, train=replace(RECIPE.train, steps=1))))
    return out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda out: config(out, builds={"more": RECORDS}),
            "uses the build '', which --shards does not give; given: 'more'",
        ),
        (lambda out: config(out, replace(RECIPE, data=replace(RECIPE.data, split="test"))), "no clip records of split"),
        (lambda out: config(out, init=out / "nowhere"), "no model here"),
    ],
)
def test_a_refused_training_run_makes_no_folder(
    tmp_path: Path, change: Callable[[Path], TrainingConfig], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(change(tmp_path / "new" / "out"))
    assert tree(tmp_path) == {}


def test_a_build_that_no_stream_draws_on_is_refused() -> None:
    refuse_unmatched_builds(RECIPE, {"": RECORDS})
    with pytest.raises(UsageError, match=r"build named .more., which no stream of the recipe uses"):
        refuse_unmatched_builds(RECIPE, {"": RECORDS, "more": RECORDS})


def test_a_step_that_does_not_fit_is_refused_with_the_field_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = memory.estimate

    def tight(*given: Any) -> memory.Estimate:
        found = whole(*given)
        return replace(found, free=found.wanted - found.activations // 2)

    monkeypatch.setattr(memory, "estimate", tight)
    named = r"a step: 4 rows .* are free; set run\.micro_tokens to at most \d+"
    with pytest.raises(UsageError, match=named) as refused:
        train(config(tmp_path / "out", replace(RECIPE, run=replace(RECIPE.run, micro_tokens=0))))
    assert tree(tmp_path) == {}
    monkeypatch.undo()
    most = int(str(refused.value).rpartition(" ")[2])
    fitting = replace(RECIPE, train=replace(RECIPE.train, steps=1), run=replace(RECIPE.run, micro_tokens=most))
    train(config(tmp_path / "out", fitting))


def test_a_run_is_replaced_by_one_that_starts_and_never_by_one_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(RECIPE, train=replace(RECIPE.train, steps=1), run=replace(RECIPE.run, micro_tokens=0))
    out = tmp_path / "out"
    train(config(out, short))
    (out / "evaluation").mkdir()
    before, old = tree(out), stamp_of(out)
    whole = memory.estimate
    monkeypatch.setattr(memory, "estimate", lambda *given: replace(whole(*given), free=1))
    longer = replace(short, train=replace(short.train, steps=2))
    for recipe in (short, longer):
        with pytest.raises(UsageError, match="a step: 4 rows"):
            train(config(out, recipe, replaces=old))
        assert tree(out) == before
    monkeypatch.undo()
    train(config(out, longer, replaces=old))
    assert not (out / "evaluation").exists()
    assert [line["step"] for line in read_log(out)] == [0, 1]
    replaced = tree(out)
    train(config(out, longer, replaces=old))  # a rank that is started again
    assert tree(out) == replaced


def test_what_a_run_starts_from_is_not_removed_for_it(
    trained: Path, inline_build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(trained)
    words = ["train", "--stage", "finetune", "--shards", str(inline_build), "--init", str(trained)]
    assert gapmodel([*words, "--out", str(trained), "--local", "--overwrite"]) == 2
    assert "--init lies in the run that --overwrite removes" in capsys.readouterr().err
    assert tree(trained) == before


def test_stage_two_asks_for_the_model_that_it_starts_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gapmodel(["train", "--stage", "finetune", "--shards", str(tmp_path), "--out", str(tmp_path / "two")]) == 2
    assert "gapmodel: --stage finetune needs a model to start from; give --init DIR" in capsys.readouterr().err


def test_a_run_from_a_model_has_its_processor_and_refuses_another(trained: Path, tmp_path: Path) -> None:
    plain = replace(TrainingRecipe(), data=RECIPE.data, train=RECIPE.train)
    assert as_started(plain, trained).processor == RECIPE.processor
    for given in (
        {"processor": {"image_size": [512, 384]}},
        {"model": {"fusion": "add"}},
        {"model": {"text": {"a": 1}}},
    ):
        with pytest.raises(UsageError, match=r"contradicts --init: the model there has .*; leave (proc|model)"):
            as_started(plain, trained, given)
    same = {"processor": {"image_size": [64, 32]}, "model": {"text": {"hidden_size": 64}}, "train": {"steps": 3}}
    assert as_started(plain, trained, same).model == RECIPE.model
    other = replace(RECIPE, processor=replace(RECIPE.processor, image_size=(128, 64)))
    with pytest.raises(UsageError, match=r"processor\.image_size = \[128, 64\] contradicts --init"):
        train(config(tmp_path / "out", other, init=trained))
    assert tree(tmp_path) == {}


def test_a_finished_run_is_left_as_it_is(trained: Path) -> None:
    before = tree(trained)
    train(config(trained, replace(RECIPE, train=replace(RECIPE.train, steps=1))))
    assert tree(trained) == before
