"""One build of synthetic rooms that all tests of spatial questions share."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from gapdata.commands.main import main

ROOMS, FRAMES, SEED = 3, 150, 3
COLOR, DEPTH = "324x242", "160x120"
SETTINGS = ("frames.image_size=[320,240]", "scene_views.frames=32", "prompts.per_view=0")


@pytest.fixture(scope="session")
def spatial_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips and views of the whole scan of three furnished rooms, without sensor noise."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "spatial-rooms"
    root.mkdir(exist_ok=True)
    with open(root / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first worker makes it, the others wait
        if not (root / "build" / "report.json").exists():
            sizes = ["--color-size", COLOR, "--depth-size", DEPTH]
            rooms = ["--scenes", str(ROOMS), "--frames", str(FRAMES), "--seed", str(SEED), "--noise", "0"]
            assert main(["synth", str(root / "scans"), *rooms, *sizes, "--workers", "1"]) == 0
            told = [part for setting in SETTINGS for part in ("--set", setting)]
            scans = ["--scannet", str(root / "scans"), "--out", str(root / "build")]
            assert main(["build-shards", *scans, *told, "--executor", "inline"]) == 0
    return root / "build"
