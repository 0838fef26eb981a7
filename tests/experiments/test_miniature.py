"""The miniature of the paper's claim: equal budgets, a verdict that follows from the figures, and the whole of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gapdata.errors import GapDataError, UsageError
from gapmodel.experiments.miniature.arms import StepCost, arms, budget, stage_recipe, starting_recipe
from gapmodel.experiments.miniature.jobs import Job, run_jobs
from gapmodel.experiments.miniature.plot import BLUE_PALE, ORANGE_PALE, RIGHT_PANEL, draw
from gapmodel.experiments.miniature.recipe import SIZES, read_miniature
from gapmodel.experiments.miniature.summary import as_dict, as_markdown, conclusions, summarise
from gapmodel.experiments.miniature.verdict import Comparison, compare, together
from gapmodel.experiments.miniature.workspace import Workspace
from gapmodel.training.starting_point import first_model
from tests.conftest import REPOSITORY
from tests.support.miniatures import STEADY, pretend, small_recipe
from tests.support.training_runs import RECORDS

SMALL = small_recipe()


@settings(deadline=None)
@given(
    steps=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    costs=st.tuples(st.floats(1e6, 1e12), st.floats(1e6, 1e12)),
)
def test_arms_spend_what_is_claimed(steps: tuple[int, int], costs: tuple[float, float]) -> None:
    recipe = replace(SMALL, stage1=replace(SMALL.stage1, steps=steps[0]), stage2=replace(SMALL.stage2, steps=steps[1]))
    stage1, stage2 = (StepCost(operations=cost, tokens=1.0) for cost in costs)
    spent = {name: budget(arm, recipe, stage1, stage2) for name, arm in arms(recipe.scarce).items()}
    assert {spent[name].stage2_steps for name in ("a", "b", "c", "c-scarce")} == {steps[1]}
    assert {name for name, each in spent.items() if each.stage1_steps} == {"c", "c-scarce"}
    for one, other in (("c", "d"), ("c-scarce", "d-scarce")):
        excess = spent[other].operations - spent[one].operations
        assert -1e-6 * spent[one].operations <= excess <= stage2.operations * (1 + 1e-6)


def test_a_stages_learning_rate_is_that_of_all_its_runs() -> None:
    recipe = replace(SMALL, stage2=replace(SMALL.stage2, learning_rate=3e-4))
    assert stage_recipe(recipe, recipe.stage2, 10, seed=0).train.learning_rate == 3e-4
    assert stage_recipe(recipe, recipe.stage1, 10, seed=0).train.learning_rate == recipe.train.learning_rate


def test_stage_2_runs_of_a_seed_differ_in_nothing_but_their_length() -> None:
    recipe = small_recipe()
    short, long = (stage_recipe(recipe, recipe.stage2, steps, seed=1) for steps in (40, 97))
    assert replace(long, train=replace(long.train, steps=40), run=short.run) == short
    assert short.train.freeze == ("visual", "geometry")
    for run, steps in ((short, 40), (long, 97)):
        assert -(-steps // run.run.export_every) <= recipe.stage2.checkpoints


@pytest.mark.parametrize("size", SIZES)
def test_a_size_can_be_read_and_its_models_be_built(size: str) -> None:
    recipe = read_miniature(size)
    for naive in (False, True):
        with torch.device("meta"):
            model, _ = first_model({"": RECORDS}, starting_recipe(recipe, 0, naive=naive))
        assert len(model.model.fusion) == (1 if naive else len(recipe.model.geometry["levels"]))


def test_a_size_that_leaves_nothing_to_measure_on_is_refused() -> None:
    with pytest.raises(UsageError, match=r"scans\.choosing, 4, must leave two of the 4 held-out scenes"):
        read_miniature("quick", ["scans.choosing=4"])


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ((0.05, 0.06, 0.04), "holds"),
        ((-0.05, -0.06, -0.04), "reversed"),
        ((0.08, 0.01, -0.02), "undecided"),
        ((0.03, 0.03, 0.03), "holds"),
        ((0.0, 0.0, 0.0), "undecided"),
        ((0.5,), "undecided"),
        ((), "undecided"),
    ],
)
def test_a_verdict_follows_from_the_paired_differences(differences: tuple[float, ...], verdict: str) -> None:
    assert Comparison(better="c", worse="b", differences=differences).verdict == verdict


def test_a_chain_holds_with_all_its_links_and_breaks_with_one() -> None:
    holds, open_, reversed_ = (
        Comparison(better="c", worse="b", differences=each) for each in ((0.1, 0.1), (0.1, -0.1), (-0.1, -0.1))
    )
    assert together([holds, holds]) == "holds"
    assert together([holds, open_]) == "undecided"
    assert together([open_, reversed_]) == "reversed"


def test_only_seeds_that_both_arms_have_are_compared() -> None:
    found = compare("c", "b", {"c": {0: 0.3, 1: 0.2, 2: 0.1}, "b": {0: 0.1, 2: 0.2}})
    assert found.differences == pytest.approx((0.2, -0.1))


def test_what_is_said_follows_from_the_figures(tmp_path: Path) -> None:
    steady = {name: [value, value + 0.021, value - 0.013] for name, value in STEADY.items()}
    said = conclusions(summarise(pretend(tmp_path / "holds", steady)))
    assert said[0] == "The paper's ordering c > b > a (F1 at IoU 0.25, equal stage 2) **holds**."
    assert any("spends c's whole arithmetic on stage 2, **holds**" in line for line in said)
    beaten = {**steady, "d": [value + 0.1 for value in steady["d"]], "a": [0.10, 0.19, 0.12]}
    said = conclusions(summarise(pretend(tmp_path / "beaten", beaten)))
    assert said[0].endswith("**cannot be told from chance with these seeds**.")
    assert any("spends c's whole arithmetic on stage 2, **does not hold**" in line for line in said)


def test_the_table_shows_every_arm_and_names_what_is_not_finished(tmp_path: Path) -> None:
    workspace = pretend(tmp_path, {"a": [0.1, 0.12], "b": [0.2]})
    summary = summarise(workspace)
    table = as_markdown(summary, workspace.recipe)
    assert "| F1 at IoU 0.25 | 11.0 ± 1.4 % | 20.0 % | 1.0 % |" in table
    assert "Not finished: seed-2/a, seed-1/b, seed-2/b, seed-0/c" in table
    assert "b > a: undecided, only 1 seed (+10.0)" in table
    assert json.loads(json.dumps(as_dict(summary), allow_nan=False))["comparisons"]["ordering"][1]["better"] == "b"


def test_the_table_says_what_stage_2_leaves_of_stage_1(tmp_path: Path) -> None:
    workspace = pretend(tmp_path, {name: [value] * 3 for name, value in STEADY.items()})
    table = as_markdown(summarise(workspace), workspace.recipe)
    assert "after stage 1: 15.00 nats; with another window's geometry 3.00 more" in table
    assert "after c's stage 2: 20.00 nats; with another window's geometry 0.25 more" in table
    assert "after d's stage 2" not in table


def test_the_plot_has_a_bar_for_every_arm_as_high_as_its_mean(tmp_path: Path) -> None:
    workspace = pretend(tmp_path, {name: [value] * 3 for name, value in STEADY.items()})
    image = cv2.imdecode(np.frombuffer(draw(summarise(workspace)), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    left, top, width, height = RIGHT_PANEL
    panel = image[top : top + height, left : left + width]
    for colour in (ORANGE_PALE, BLUE_PALE):
        covered = (panel == colour).all(axis=-1).sum(axis=0)
        starts = np.flatnonzero((covered[1:] > 0) & (covered[:-1] == 0))
        assert len(starts) == len(STEADY)
        heights = np.array([covered[start + 1 : start + 5].max() for start in starts])
        np.testing.assert_allclose(heights / heights[0], np.array([*STEADY.values()]) / STEADY["a"], rtol=0.05)
    blue = (image[:, :left] == BLUE_PALE).all(axis=-1).sum()
    assert blue > 100


def test_a_table_of_nothing_says_so(tmp_path: Path) -> None:
    workspace = Workspace(out=tmp_path, recipe=small_recipe())
    workspace.claim()
    table = as_markdown(summarise(workspace), workspace.recipe)
    assert "c > b: no seed has finished both" in table
    assert "nan" not in table


def test_a_plot_of_nothing_says_so(tmp_path: Path) -> None:
    workspace = Workspace(out=tmp_path, recipe=small_recipe())
    workspace.claim()
    assert cv2.imdecode(np.frombuffer(draw(summarise(workspace)), np.uint8), cv2.IMREAD_COLOR).shape[2] == 3


def test_another_recipe_is_refused_with_the_difference_and_more_jobs_are_not(tmp_path: Path) -> None:
    recipe = small_recipe()
    Workspace(out=tmp_path, recipe=recipe).claim()
    Workspace(out=tmp_path, recipe=replace(recipe, jobs=7, keep_features=False)).claim()
    Workspace(out=tmp_path, recipe=replace(recipe, geometry=replace(recipe.geometry, workers=3))).claim()
    with pytest.raises(UsageError, match="scarce was 4 and is 2"):
        Workspace(out=tmp_path, recipe=replace(recipe, scarce=2)).claim()


def test_scenes_are_never_for_two_things() -> None:
    scenes = Workspace(out=Path("nowhere"), recipe=read_miniature("full")).scenes
    every = [*scenes.training, *scenes.choosing, *scenes.test]
    assert len(every) == len(set(every)) == read_miniature("full").scans.scenes
    assert set(scenes.scarce) < set(scenes.training)
    assert len(scenes.training) == 4 * len(scenes.scarce)


def note(workspace: Workspace, name: str) -> dict[str, Any]:
    """A task that notes that it was done, and fails while a file says so."""
    if (workspace.out / f"break-{name}").exists():
        raise GapDataError(f"{name} is broken", cure="mend it")
    with (workspace.out / "done").open("a") as file:
        file.write(f"{name}\n")
    return {"name": name}


def test_tasks_follow_their_needs_and_an_interrupted_experiment_repeats_none(tmp_path: Path) -> None:
    workspace = Workspace(out=tmp_path, recipe=small_recipe())
    workspace.claim()
    needs = {"last": ("second",), "first": (), "second": ("first",)}
    todo = [Job(name=name, needs=before, work=note, arguments=(name,)) for name, before in needs.items()]
    (tmp_path / "break-second").touch()
    with pytest.raises(GapDataError, match="second is broken; mend it"):
        run_jobs(workspace, todo, at_once=1, say=lambda line: None)
    assert (tmp_path / "done").read_text().split() == ["first"]
    (tmp_path / "break-second").unlink()
    said: list[str] = []
    run_jobs(workspace, todo, at_once=1, say=said.append)
    assert (tmp_path / "done").read_text().split() == ["first", "second", "last"]
    assert said[0] == "finished already: 1 of 3 jobs"
    assert workspace.result("last") is not None


SMALLEST = (
    "scans.scenes=12 scans.frames=30 scans.color_size=[64,48] scans.depth_size=[32,24] vision.steps=2 geometry.steps=2 "
    "vision.batch_size=2 geometry.batch_size=2 vision.measured=2 geometry.measured=2 train.batch_size=2 "
    "language.steps=2 stage1.steps=2 stage1.checkpoints=2 stage2.steps=2 stage2.checkpoints=2 measure.windows=2 "
    "measure.prompts=2 measure.choosing=2 scarce=3 workers=1"
)


@pytest.mark.slow
def test_the_whole_of_it_from_nothing_to_a_table_and_a_plot_and_again(tmp_path: Path) -> None:
    changes = [part for change in SMALLEST.split() for part in ("--set", change)]
    command = [sys.executable, str(REPOSITORY / "pipelines" / "reproduce.py"), "--size", "quick", *changes]
    command += ["--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert "[14/14]" in done.stdout
    assert "c > b: undecided, only 1 seed" in (tmp_path / "table.md").read_text()
    found = json.loads((tmp_path / "table.json").read_text())
    assert found["missing"] == []
    runs = {name: seeds["0"] for name, seeds in found["results"].items()}
    assert {runs[name]["stage2_steps"] for name in ("a", "b", "c", "c-scarce")} == {2}
    assert runs["d"]["operations"] >= runs["c"]["operations"]
    assert runs["c"]["total_cpu_seconds"] > runs["b"]["total_cpu_seconds"] > 0
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "features").exists()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").iterdir()}
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    assert "finished already: 14 of 14 jobs" in again.stdout
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "results").iterdir()}


def at_work_on(path: Path) -> list[str]:
    """The command lines of the processes that name ``path``."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in lines if str(path) in line]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_killed_experiment_leaves_nothing_at_work_in_its_directory(tmp_path: Path) -> None:
    changes = [part for change in SMALLEST.split() for part in ("--set", change)]
    command = [sys.executable, str(REPOSITORY / "pipelines" / "reproduce.py"), "--size", "quick", *changes]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen([*command, "--out", str(tmp_path)], env=environment, stdout=subprocess.DEVNULL)
    try:
        assert eventually(lambda: any("gapdata synth" in line for line in at_work_on(tmp_path)), seconds=120)
    finally:
        running.kill()
        running.wait()
    assert eventually(lambda: not at_work_on(tmp_path), seconds=30)


def eventually(holds: Callable[[], bool], *, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.2)
    return False
