"""One build of synthetic rooms that all tests of spatial questions share."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from gapdata.commands.main import main
from gapdata.synthetic.dataset import SynthesisOptions

OPTIONS = SynthesisOptions(scenes=3, frames=150, seed=3, color_size=(324, 242), depth_size=(160, 120), noise=0.0)
SETTINGS = ("frames.image_size=[320,240]", "scene_views.frames=32", "prompts.per_view=0")


def spatial_rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build of clips and views of the whole scan of three furnished rooms, without sensor noise."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "spatial-rooms"
    root.mkdir(exist_ok=True)
    with open(root / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first worker makes it, the others wait
        if not (root / "build" / "report.json").exists():
            (color, depth) = (f"{width}x{height}" for width, height in (OPTIONS.color_size, OPTIONS.depth_size))
            rooms = ["--scenes", str(OPTIONS.scenes), "--frames", str(OPTIONS.frames), "--seed", str(OPTIONS.seed)]
            sizes = ["--color-size", color, "--depth-size", depth, "--noise", str(OPTIONS.noise), "--workers", "1"]
            assert main(["synth", str(root / "scans"), *rooms, *sizes]) == 0
            told = [part for setting in SETTINGS for part in ("--set", setting)]
            scans = ["--scannet", str(root / "scans"), "--out", str(root / "build")]
            assert main(["build-shards", *scans, *told, "--executor", "inline"]) == 0
    return root / "build"
