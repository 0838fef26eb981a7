"""A run that ignores its geometry is seen on its first day: by held-out losses with another place's geometry."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gapdata.shards.records import RecordList
from gapmodel.questions.recipe import DataRecipe
from gapmodel.training.distributed import ALONE
from gapmodel.training.geometry_use import HeldOutLoss, held_out_loss, losses_of_line
from gapmodel.training.held_out import HeldOutQuestions
from gapmodel.training.learner import Learner
from gapmodel.training.logbook import read_log
from gapmodel.training.loop import train
from gapmodel.training.outcome import read_outcome
from gapmodel.training.recipe import RunRecipe
from gapmodel.training.run import TrainingConfig
from tests.support.geometry_models import knowing_model, known_records
from tests.support.models import make_record
from tests.support.training_runs import RECIPE

Sums = dict[str, tuple[float, float]]


def drawn(rng: np.random.Generator, scenes: int, effect: float) -> HeldOutLoss:
    """Scenes of 20 to 200 tokens, each with an effect of its own around ``effect`` nats a token."""
    counts = rng.integers(20, 200, scenes)
    own: Sums = {str(scene): (2.0 * count, float(count)) for scene, count in enumerate(counts)}
    more = rng.normal(effect, 0.1, scenes) * counts
    strange = {scene: (own[scene][0] + extra, own[scene][1]) for scene, extra in zip(own, more, strict=True)}
    found = held_out_loss(own, strange)
    assert found is not None
    return found


@pytest.mark.parametrize("scenes", [3, 8, 40])
def test_without_an_effect_one_in_twenty_is_told_from_chance(scenes: int) -> None:
    rng = np.random.default_rng(scenes)
    told = np.mean([drawn(rng, scenes, 0.0).told for _ in range(1000)])
    assert 0.01 < told < 0.09


def test_the_interval_holds_the_true_effect_and_a_large_one_is_told() -> None:
    rng = np.random.default_rng(0)
    found = [drawn(rng, 12, 0.3) for _ in range(500)]
    assert np.mean([abs(loss.difference - 0.3) < (loss.plus_minus or 0.0) for loss in found]) > 0.9
    assert all(loss.told for loss in found)


def test_the_difference_is_that_of_the_mean_losses_of_a_token() -> None:
    found = held_out_loss({"a": (3.0, 2.0), "b": (5.0, 2.0)}, {"a": (4.0, 2.0), "b": (9.0, 2.0)})
    assert found is not None
    assert (found.own, found.strange, found.difference, found.scenes) == (2.0, 3.25, 1.25, 2)


def test_what_is_not_known_is_not_said() -> None:
    assert held_out_loss({}, {}) is None
    alone = held_out_loss({"a": (3.0, 2.0)}, None)
    assert alone is not None
    assert math.isnan(alone.difference)
    assert alone.sentence("marks") == ""
    one = held_out_loss({"a": (3.0, 2.0)}, {"a": (9.0, 2.0)})
    assert one is not None
    assert one.plus_minus is None
    assert "cannot be told" in one.sentence("marks")


def test_equal_losses_are_not_told_apart_whatever_the_rounding() -> None:
    own: Sums = {str(scene): (10.0, 10.0) for scene in range(9)}
    found = held_out_loss(own, {scene: (total + 1e-9, count) for scene, (total, count) in own.items()})
    assert found is not None
    assert not found.told


@pytest.mark.parametrize("by_geometry", [True, False])
def test_a_model_that_needs_geometry_is_told_from_one_that_ignores_it(by_geometry: bool) -> None:
    records = known_records()
    model, processor = knowing_model(records, by_geometry=by_geometry, steps=45 if by_geometry else 1)
    run = RunRecipe(threads=1, evaluate_visits=len(records))
    recipe = replace(RECIPE, data=DataRecipe(task="pointmap", visits=1), processor=processor.config, run=run)
    held_out = HeldOutQuestions(recipe, {"": RecordList(records)}, processor)
    loss = held_out.losses(Learner(model).eval(), ALONE)["pointmap"]
    assert loss.scenes == len(records)
    assert loss.told == by_geometry
    if by_geometry:
        assert loss.sentence("marks").startswith("marks: another place's geometry raises the held-out loss by ")
    else:
        assert (loss.difference, loss.plus_minus) == (0.0, 0.0)
        assert "(+0.000 ± 0.000): the run ignores geometry, or 10 held-out scenes do not show it" in loss.sentence(
            "marks"
        )


def test_a_run_logs_both_losses_and_says_at_its_end_what_they_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = RecordList([make_record(0), *(make_record(seed, split="val") for seed in (8, 9))])
    settings = replace(RECIPE.train, steps=2, batch_size=2)
    recipe = replace(RECIPE, train=settings, run=RunRecipe(threads=1, evaluate_every=1, evaluate_visits=4, samples=0))
    outcome = train(TrainingConfig(recipe=recipe, builds={"": records}, out=tmp_path, bar=False))
    lines = [line for line in read_log(tmp_path) if "strange.pointmap" in line]
    assert [line["step"] for line in lines] == [0, 1]
    for line in lines:
        more = line["strange.pointmap"] - line["held_out.pointmap"]
        assert line["geometry.pointmap"] == pytest.approx(more, abs=1e-5)
        assert line["geometry.pointmap.scenes"] == 2
    (said,) = outcome.geometry
    assert said == losses_of_line(lines[-1])["pointmap"].sentence("pointmap")
    assert said in str(outcome)
    assert read_outcome(tmp_path) == outcome
    assert "with another place's geometry)" in capsys.readouterr().err
