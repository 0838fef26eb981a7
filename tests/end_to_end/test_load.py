"""A long build, its check, its report and an epoch of training hold no more at their end than at a quarter of the way.

``SCENES`` says how many scenes; ``make load`` takes 300. They are hard links to one scene under other names, because
making scenes is not what is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY

SCENES = int(os.environ.get("SCENES", "72"))
GROWTH = 24 << 20
"""Bytes that a phase may hold more in its last quarter than in its first. After 300 scenes a build holds 15 MiB more,
because index and report are compiled from all commit records; the other phases less than 2."""
FEW_FILES, OPEN_FILES, READING = 16, 80, ("report", "training")
"""A reader of shards keeps 64 of them open; building and checking need the files of one scene or shard."""
PAGE_BYTES = 6_000_000


@pytest.fixture(scope="module")
def measured(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process measured that went through all phases."""
    folder = tmp_path_factory.mktemp("load")
    made = small_dataset / "scans" / "scene0000_00"
    for name, count in (("warm", 3), ("data", SCENES)):
        for number in range(count):
            scene = folder / name / "scans" / f"scene{number:04d}_00"
            scene.mkdir(parents=True)
            for path in made.iterdir():
                os.link(path, scene / path.name.replace(made.name, scene.name))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "tests.support.load_phases", str(folder / "warm"), str(folder / "data"), str(folder)]
    result = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    print(
        f"\n{found['scenes']} scenes, {found['records']} records, {found['shards']} shards, "
        f"page of {found['page']:,} bytes"
    )
    for name, phase in found["phases"].items():
        memory, files = (phase[what] for what in ("memory", "files"))
        print(
            f"  {name}: {phase['cpu']:.1f} s CPU, {memory[0] / 2**20:.0f} MiB in its first quarter and "
            f"{memory[1] / 2**20:.0f} in its last, {files[0]} and {files[1]} open files"
        )
    return found


@pytest.mark.slow
def test_every_scene_goes_through_every_phase(measured: dict[str, Any]) -> None:
    assert (measured["scenes"], measured["quarantined"], measured["defects"]) == (SCENES, 0, [])
    assert measured["visits"] == measured["clips"] > SCENES
    assert measured["page"] < PAGE_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["build", "verify", "report", "training"])
def test_neither_memory_nor_open_files_grow(measured: dict[str, Any], phase: str) -> None:
    quarter, end = measured["phases"][phase]["memory"]
    assert end - quarter < GROWTH
    assert max(measured["phases"][phase]["files"]) < (OPEN_FILES if phase in READING else FEW_FILES)
