"""The directory of the miniature.

::

OUT/
  run.json               the recipe; another one is refused
  scans/                 synthetic scans in ScanNet's file formats
  shards/                builds: train, scarce (a part of train's scenes), test (scenes that nothing else sees)
  towers/                the weights of the frozen towers
  starts/                the models that a seed's runs start from: gated and naive
  runs/language/         the language model's first lessons, from vision alone
  runs/seed-0/stage1/    a training run (gapmodel/training/loop.py); runs/seed-0/a/ and so on
  features/              features of the frozen towers, while the experiment runs
  results/               a file for each finished job: a job with a file is finished
  table.md  table.json  plot.png
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gapdata.files.atomic import write_atomically
from gapdata.shards.reader import ShardReader
from gapdata.synthetic.scene import scene_name
from gapmodel.experiments.miniature.recipe import MiniatureRecipe
from gapmodel.training.checkpointing import claim

ADMINISTRATIVE = ("jobs", "threads", "workers", "keep_features")
"""Fields of the recipe that do not change what is learnt, so they may change when the experiment goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenes:
    """The scenes by their use; all lists are disjoint except that ``scarce`` is a part of ``training``."""

    training: tuple[str, ...]
    scarce: tuple[str, ...]
    choosing: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """An experiment and its directory."""

    out: Path
    recipe: MiniatureRecipe

    def claim(self) -> None:
        """Make ``out`` the directory of this experiment, unless it is already.

        Raises:
            UsageError: it holds another experiment; the differences are named.
        """
        fields = _without_administration(self.recipe.to_dict())
        claim(self.out, json.loads(json.dumps(fields)), traces=("results",))
        (self.out / "results").mkdir(exist_ok=True)

    @property
    def scenes(self) -> Scenes:
        """Divide the scenes: the generator holds the last quarter out; every ``scarce``-th training scene is scarce."""
        names = tuple(scene_name(index) for index in range(self.recipe.scans.scenes))
        held_out = max(1, len(names) // 4)
        training, rest, choosing = names[:-held_out], names[-held_out:], self.recipe.scans.choosing
        return Scenes(
            training=training,
            scarce=training[:: self.recipe.scarce],
            choosing=rest[:choosing],
            test=rest[choosing:],
        )

    def reader(self, build: str) -> ShardReader:
        """Open one of the builds."""
        return _reader(self.out / "shards" / build)

    def start(self, seed: int, *, naive: bool) -> Path:
        """Return the directory of the model that a seed's runs start from."""
        return self.out / "starts" / f"seed-{seed}-{'naive' if naive else 'gated'}"

    @property
    def language(self) -> Path:
        """Return the directory of the run in which the language model is taught."""
        return self.out / "runs" / "language"

    def run(self, seed: int, name: str) -> Path:
        """Return the directory of a training run."""
        return self.out / "runs" / f"seed-{seed}" / name

    @property
    def features(self) -> Path:
        """Return the folder of kept features (:mod:`gapmodel.experiments.miniature.features`)."""
        return self.out / "features"

    def result(self, job: str) -> dict[str, Any] | None:
        """Return the result of a job, None before it is finished."""
        path = self._result(job)
        return json.loads(path.read_bytes()) if path.is_file() else None

    def keep(self, job: str, result: dict[str, Any]) -> None:
        """Write the result of a job; it is finished then."""
        write_atomically(self._result(job), (json.dumps(result, indent=1) + "\n").encode())

    def _result(self, job: str) -> Path:
        return self.out / "results" / f"{job.replace('/', '-')}.json"


def _without_administration(fields: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in fields.items() if name not in ADMINISTRATIVE}
    return {name: _without_administration(value) if isinstance(value, dict) else value for name, value in kept.items()}


@lru_cache(maxsize=4)
def _reader(build: Path) -> ShardReader:
    return ShardReader(build)
