"""The README's commands work as written, in its order, on a data set that lies where it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

from gapdata.sources.synthetic import SynthesisOptions, synthesise_dataset

README = (REPOSITORY / "README.md").read_text()
SMALLER = {
    "build-shards": [
        "--set",
        "frames.image_size=[256,192]",
        "--set",
        "clips.interval=12",
        "--set",
        "scene_views.frames=4",
    ],
    "synth": ["--scenes", "1", "--frames", "2", "--color-size", "64x48", "--depth-size", "64x48"],
    "pretrain.py": ["--steps", "2"],
    "finetune.py": ["--steps", "2"],
    "evaluate.py": ["--limit", "2"],
}
"""What makes a command quick enough for a test; the last value of an option counts."""


def commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    # CI itself runs `make`, which installs; a job on a real Ray head is submitted in test_ray.py.
    return [line for line in lines if not line.startswith(("make ", "pip ", "ray "))]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set named ``scannet`` and what a clone of the repository holds."""
    folder = tmp_path_factory.mktemp("readme")
    options = SynthesisOptions(scenes=3, frames=91, color_size=(162, 121), depth_size=(80, 60), annotations=True)
    synthesise_dataset(folder / "scannet", options, workers=1)
    for name in ("pipelines", "manifests"):
        (folder / name).symlink_to(REPOSITORY / name)
    return folder


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_every_command_of_the_readme_runs(workplace: Path) -> None:
    assert len(commands()) >= 9
    for line in commands():
        words = shlex.split(line)
        name = words[1] if words[0] == "gapdata" else Path(words[1]).name
        where = workplace
        if name == "synth":
            where = workplace / "elsewhere"
            where.mkdir()
        # The build of the first walk runs on Ray, as written; starting one for each further build takes minutes.
        in_place = ["--executor", "inline"] if "--recipe" in words and "shards" not in words else []
        result = run([*words, *SMALLER.get(name, []), *in_place], where)
        assert result.returncode == 0, f"$ {line}\n{result.stdout}\n{result.stderr}"
    assert (workplace / "view.png").stat().st_size > 10_000
    reading, *others = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    for code in (f"{reading}\nassert points.shape[1:] == (*image.shape[:2], 3)", *others):
        result = run([sys.executable, "-c", code], workplace)
        assert result.returncode == 0, result.stderr


def test_the_readme_shows_a_build_as_it_is(workplace: Path) -> None:
    shown = re.findall(r"^  (\S+) {2,}", README.split("A build looks like this")[1].split("```")[1], flags=re.MULTILINE)
    out = workplace / "tree"
    overrides = ["--set", "frames.image_size=[64,48]", "--set", "clips.enabled=false", "--set", "scene_views.frames=2"]
    (workplace / "scannet" / "scans" / "scene0099_00").mkdir()
    result = run(
        ["gapdata", "build-shards", "--scannet", "scannet", "--out", str(out), *overrides, "--executor", "inline"],
        workplace,
    )
    (workplace / "scannet" / "scans" / "scene0099_00").rmdir()
    assert result.returncode == 3, result.stderr
    assert {name.rstrip("/") for name in shown} <= {path.name for path in out.iterdir()}


def test_recipes_and_paths_named_in_the_readme_exist() -> None:
    for path in re.findall(r"`((?:manifests|pipelines)/[\w.-]+)`", README):
        assert (REPOSITORY / path).exists(), path
