"""Make the scans and shards of the miniature by the commands that a user would type."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from gapdata.errors import GapDataError
from gapdata.recipes.recipe_files import manifests_folder
from gapmodel.experiments.miniature.jobs import end_with
from gapmodel.experiments.miniature.workspace import Workspace

QUARANTINED = 3


def make_scans(workspace: Workspace) -> dict[str, Any]:
    """Make the synthetic scans."""
    scans, out = workspace.recipe.scans, workspace.out / "scans"
    width = {name: "x".join(map(str, getattr(scans, name))) for name in ("color_size", "depth_size")}
    _gapdata(
        *("synth", out, "--scenes", scans.scenes, "--frames", scans.frames, "--seed", workspace.recipe.scan_seed),
        *("--color-size", width["color_size"], "--depth-size", width["depth_size"]),
        *("--workers", workspace.recipe.jobs, "--overwrite"),
    )
    return {"scenes": scans.scenes, "frames": scans.scenes * scans.frames}


def make_shards(workspace: Workspace) -> dict[str, Any]:
    """Make three builds of the same scans: to train on, a scarce part of that, and scenes that no model has seen."""
    scenes = workspace.scenes
    recipe = manifests_folder() / workspace.recipe.scans.build
    members = {
        "train": (*scenes.training, *scenes.choosing),
        "scarce": (*scenes.scarce, *scenes.choosing),
        "test": scenes.test,
    }
    found = {}
    for build, names in members.items():
        out = workspace.out / "shards" / build
        _gapdata(
            *("build-shards", "--scannet", workspace.out / "scans", "--out", out, "--recipe", recipe),
            *("--scenes", ",".join(names), "--executor", "local", "--workers", workspace.recipe.jobs),
        )
        reader = workspace.reader(build)
        found[build] = {"scenes": len(names), "windows": {s: len(reader.select(split=s)) for s in ("train", "val")}}
    return {"builds": found}


def _gapdata(*words: object) -> None:
    """Run a ``gapdata`` command; it may set views aside (status 3), which its report names."""
    command = [sys.executable, "-m", "gapdata", *map(str, words)]
    root = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    # A command ends with its worker, else the next run would find it at work in the same directory.
    ending = partial(end_with, os.getpid(), signal.SIGTERM)
    environment = {**os.environ, "PYTHONPATH": path}
    status = subprocess.run(command, check=False, env=environment, preexec_fn=ending).returncode
    if status not in (0, QUARANTINED):
        raise GapDataError(f"`gapdata {words[0]}` ended with status {status}", cure="see what it said above")
