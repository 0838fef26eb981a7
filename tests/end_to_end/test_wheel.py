"""What pip installs: a wheel that builds without a warning, has all that commands need, and needs no checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import pytest

from gapdata import __version__
from gapdata.recipes.recipe_files import manifests_folder, recipe_file, recipe_names
from tests.conftest import REPOSITORY

SOURCES = ("gapdata", "gapmodel", "manifests", "pyproject.toml", "README.md", "LICENSE")
BUILD = "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))"
RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); from {0}.commands.main import main; sys.exit(main())"
SMALL = ("--set", "frames.image_size=[128,96]", "--set", "clips.interval=8", "--set", "scene_views.frames=3")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (REPOSITORY / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / name, root / "source" / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(REPOSITORY / name, root / "source" / name)
    command = [sys.executable, "-W", "error::DeprecationWarning:setuptools", "-c", BUILD, str(root)]
    # That bytecode is not compiled where the environment says so is no fault of the wheel.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, cwd=root / "source", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()
    return root / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    target = wheel.parent / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def run(installed: Path, folder: Path, program: str, *arguments: str) -> str:
    """Run an installed program in isolated mode: neither the checkout nor PYTHONPATH can help it."""
    command = [sys.executable, "-I", "-c", RUN.format(program), str(installed), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_a_wheel_holds_all_that_git_holds_of_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = {
        str(path.relative_to(REPOSITORY))
        for package in ("gapdata", "gapmodel")
        for path in (REPOSITORY / package).rglob("*")
        if path.suffix in (".py", ".css", ".js", ".tsv") and "__pycache__" not in path.parts
    }
    files = (path.relative_to(manifests_folder()) for path in manifests_folder().rglob("*"))
    wanted |= {f"gapdata/manifests/{path}" for path in files if path.suffix in (".toml", ".tsv", ".txt")}
    assert wanted <= names
    assert f"gapmllm-{__version__}.dist-info/licenses/LICENSE" in names
    assert not [name for name in names if name.startswith(("tests", "pipelines", "manifests"))]


@pytest.mark.slow
def test_an_installed_wheel_goes_the_whole_way_to_a_report_and_to_a_score(installed: Path, tmp_path: Path) -> None:
    gapdata, gapmodel = (partial(run, installed, tmp_path, program) for program in ("gapdata", "gapmodel"))
    assert gapdata("--version") == f"gapdata {__version__}\n"
    assert gapmodel("--version") == f"gapmodel {__version__}\n"
    made = ("--scenes", "2", "--frames", "24", "--color-size", "162x121", "--depth-size", "80x60", "--workers", "1")
    gapdata("synth", "scannet", *made)
    recipe = ("--recipe", "scannet-pretrain", *SMALL)
    gapdata("build-shards", "--scannet", "scannet", "--executor", "local", *recipe)
    assert "shards: " in gapdata("status", "shards")
    assert "2 records in 2 shards," in gapdata("inspect", "shards")
    gapdata("verify", "shards")
    gapdata("view", "shards", "--save", "view.png")
    gapdata("report", "shards", "--views", "1")
    assert (tmp_path / "view.png").stat().st_size > 10_000
    assert "</html>" in (tmp_path / "report.html").read_text()[-100:]
    train = ("train", "--shards", "shards", "--local", "--steps", "2", "--set", "data.view=scene", "--json")
    for stage, *given in (("pretrain", "--out", "one"), ("finetune", "--init", "one", "--out", "two")):
        assert json.loads(gapmodel(*train, "--stage", stage, *given))["steps"] == 2
    scores = json.loads(gapmodel("evaluate", "--shards", "shards", "--model", "two", "--limit", "1", "--json"))
    assert scores["taught"] == ["detection", "pointmap"]
    assert (scores["pointmap"]["questions"], scores["detection"]["views"]) == (1, 1)


def test_a_recipe_that_comes_along_is_found_by_its_name_and_a_file_of_that_name_counts_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert {"scannet-pretrain", "train-pretrain", "demo"} <= set(recipe_names())
    for name in ("demo", "demo.toml", "manifests/demo.toml"):
        assert recipe_file(Path(name)) == manifests_folder() / "demo.toml"
    (tmp_path / "demo.toml").touch()
    assert recipe_file(Path("demo.toml")) == Path("demo.toml")
