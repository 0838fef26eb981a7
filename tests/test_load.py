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
from conftest import REPOSITORY

SCENES = int(os.environ.get("SCENES", "72"))
GROWTH = 24 << 20
"""Bytes that a phase may hold more at its end than at a quarter of the way: what allocators keep, and, of 300 scenes,
the few kilobytes that are kept of each for index and report."""
OPEN_FILES = 80
"""A reader of shards keeps 64 of them open."""
PAGE_BYTES = 6_000_000

MEASURE = """
import json, os, sys, threading, time
from pathlib import Path
root, out = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, sys.argv[3])

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def opened():
    return len(os.listdir("/proc/self/fd"))

class Phase:
    # Samples while a phase runs; its progress tells quarter from end.
    def __init__(self, name):
        self.name, self.samples, self.done = name, [], threading.Event()
    def _watch(self):
        while not self.done.wait(0.01):
            self.samples.append((resident(), opened()))
    def __enter__(self):
        self.started, self.thread = time.process_time(), threading.Thread(target=self._watch)
        self.thread.start()
        return self
    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        self.samples.append((resident(), opened()))
        count = len(self.samples)
        quarter, end = self.samples[: count // 4 + 1], self.samples[-(count // 4 + 1) :]
        found[self.name] = {
            "cpu": time.process_time() - self.started,
            "memory": [max(sample[0] for sample in part) for part in (quarter, end)],
            "files": [max(sample[1] for sample in part) for part in (quarter, end)],
        }

found = {}
from executor_fixtures import request_for
from gapdata.engine.driver import run_build
from gapdata.engine.executors import InlineExecutor
from gapdata.engine.verify import verify_build
from gapdata.report.command import write_page
from gapdata.shards.reader import ShardReader

request = request_for(root, out)
with Phase("build"):
    report = run_build(request, InlineExecutor())
with Phase("verify"):
    verdict = verify_build(out)
with Phase("report"):
    page = write_page(out, out.parent / "report.html", 12)

import gapmodel.data
from gapmodel.loading import Steps, load, make_streams
from gapmodel.processing import ProcessorConfig
from gapmodel.recipe import DataRecipe, TrainingRecipe, TrainRecipe
from test_processing import make_processor

gapmodel.data.CACHE_BYTES = 1 << 20
config = ProcessorConfig(image_size=(128, 96), temporal_patch_size=1, mark_native_width=256.0)
data = DataRecipe(split="unknown", view="clip", visits=1, questions_per_view=2, min_visible_pixels=1)
train = TrainRecipe(steps=0, epochs=1, batch_size=8)
recipe = TrainingRecipe(data=data, processor=config, train=train)
reader = ShardReader(out)
streams, mixture = make_streams(recipe, {"": reader}, make_processor(config))
visits = 0
with Phase("training"):
    for step in load(Steps(streams, mixture, train), workers=0):
        visits += step.visits
print(json.dumps({"phases": found, "scenes": report["scenes"], "records": report["records"], "shards": report["shards"],
    "quarantined": len(report["quarantined"]), "defects": [str(item) for item in verdict.defects],
    "page": page["bytes"], "visits": visits, "clips": len(reader.select(view="clip"))}))
"""


@pytest.fixture(scope="module")
def measured(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process measured that went through all phases."""
    folder = tmp_path_factory.mktemp("load")
    made = small_dataset / "scans" / "scene0000_00"
    for number in range(SCENES):
        scene = folder / "data" / "scans" / f"scene{number:04d}_00"
        scene.mkdir(parents=True)
        for path in made.iterdir():
            os.link(path, scene / path.name.replace(made.name, scene.name))
    words = [sys.executable, "-c", MEASURE, str(folder / "data"), str(folder / "shards"), str(REPOSITORY / "tests")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    print(f"\n{found['scenes']} scenes, {found['records']} records, {found['shards']} shards, page {found['page']:,} bytes")
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
    assert max(measured["phases"][phase]["files"]) < OPEN_FILES
    if phase != "training":
        assert measured["phases"][phase]["files"][1] - measured["phases"][phase]["files"][0] <= 2
