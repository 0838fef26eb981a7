"""A run of the first stage, which several files look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.training_runs import RECIPE
from tests.support.training_steps import run


@pytest.fixture(scope="session")
def stage_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stage-one")
    recipe = replace(RECIPE, run=replace(RECIPE.run, evaluate_every=30, evaluate_visits=2))
    outcome = run(recipe, out)
    assert outcome.last_loss < 0.6 * outcome.first_loss
    return out
