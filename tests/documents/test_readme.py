"""The commands and the code of all README pages work as written, in their order, on data that lies where they say."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import pytest

from gapdata.recipes.recipe_files import recipe_names
from gapdata.synthetic.dataset import SynthesisOptions, synthesise_dataset
from gapmodel.commands.main import main
from tests.conftest import REPOSITORY
from tests.documents.recipe_tables import PAGE, page_with_tables
from tests.support.phones import write_twin
from tests.support.weights import (
    SMALL_DEPTH_ANYTHING,
    SMALL_VGGT,
    write_depth_anything,
    write_qwen,
    write_vggt,
)

PAGES = {
    name: (REPOSITORY / name).read_text()
    for name in ("README.md", "gapdata/README.md", "manifests/README.md", "gapmodel/README.md")
}
EXPERIMENT = "gapmodel/experiments/miniature/README.md"
"""A page about one long command: its links are checked, its command is not run."""
MADE = re.compile(r"(?:--out|--save|--local-dir|gapdata synth) (?!/)(\S+)")
"""Where a command puts what it makes."""
ELSEWHERE = ("make ", "pip ", "ray ", "hf ", "python download-scannet.py ", "python -m lmms_eval ", "transformers ")
"""CI itself runs `make`, which installs; test_ray.py submits jobs to a real head; nothing is downloaded in a test.

lmms-eval's commands are held by tests/harness, where that package is installed; `transformers serve` by tests/bundle.
"""
SMALLER = {
    "build-shards": ["frames.image_size=[256,192]", "clips.interval=12", "scene_views.frames=4"],
    "train": ["train.steps=2"],
    "memory": ["train.token_budget=600", "model.text={num_hidden_layers=2}"],
    "pretrain.py": ["train.steps=2"],
    "finetune.py": ["train.steps=2"],
}
"""What makes a command quick enough for a test, as recipe fields."""
FULL_SIZE = ["processor.image_size=[128,96]", "train.steps=1", "train.batch_size=2", "run.workers=0"]
FULL_SIZE += ["run.evaluate_every=0"]
"""And what makes the recipes for public weights quick."""
SMALLER_FIELDS = {
    name: ast.literal_eval(value) for name, _, value in (f.partition("=") for f in SMALLER["build-shards"])
}
BUILT = 'recipe="scannet-pretrain"'
"""In the code of the first page. With the same fields it finds what the command has built before it."""
QUICK = {
    "synth": ["--scenes", "1", "--frames", "2", "--color-size", "64x48", "--depth-size", "64x48"],
    "evaluate": ["--limit", "1"],
    "evaluate.py": ["--limit", "1"],
    "report": ["--views", "2"],
}
"""The same as options; the last value of an option counts."""


def commands(page: str) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", page, flags=re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in lines if not line.startswith(ELSEWHERE)]


def quick(line: str) -> list[str]:
    """A command as it stands, and after it what makes it quick."""
    words = shlex.split(line)
    name = words[1] if words[0] in ("gapdata", "gapmodel") else Path(words[1]).name
    fields = [*SMALLER.get(name, []), *(FULL_SIZE if "train-" in line else [])]
    if "train-" in line:
        fields += SMALL_DEPTH_ANYTHING if "depth-anything" in line else [SMALL_VGGT]
    if "clips.max_shift" in line:  # which must be less than half of the interval
        fields = [field for field in fields if not field.startswith("clips.interval")]
    # The build of the first walk runs on Ray, as written; starting one for each further build takes minutes.
    in_place = ["--executor", "inline"] if name == "build-shards" and "shards" not in words else []
    # A model that has learnt nothing talks until it is cut off, so it is asked for what is cut off first.
    short = ["--task", "captioning"] if name == "evaluate" and "runs/full2" in words else []
    # The small data set holds out one place, and another one has to lend its geometry.
    short += ["--split", "train"] if "--geometry" in words else []
    return [*words, *QUICK.get(name, []), *short, *(part for field in fields for part in ("--set", field)), *in_place]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set named ``scannet``, public weights in small, and what a clone of the repository holds."""
    folder = tmp_path_factory.mktemp("readme")
    options = SynthesisOptions(scenes=3, frames=91, color_size=(162, 121), depth_size=(80, 60), annotations=True)
    synthesise_dataset(folder / "scannet", options, workers=1)
    write_qwen(folder / "weights" / "Qwen3-VL-2B-Instruct")
    write_vggt(folder / "weights" / "VGGT-1B")
    write_depth_anything(folder / "weights" / "DA3-BASE")
    write_twin("polycam", folder / "captures").capture.rename(folder / "my-room")
    for name in ("pipelines", "manifests"):
        (folder / name).symlink_to(REPOSITORY / name)
    return folder


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


# Of six seconds that a process of gapmodel takes here, five are imports: its commands share this process.
@pytest.mark.slow
def test_every_command_and_all_code_of_the_pages_run(workplace: Path) -> None:
    done: set[str] = set()
    (workplace / "elsewhere").mkdir()
    for name, page in PAGES.items():
        assert len(commands(page)) >= 4, name
        for line in commands(page):
            if line not in done:
                done.add(line)
                where = workplace / "elsewhere" if line.startswith("gapdata synth") else workplace
                words = quick(line)
                if words[0] == "gapmodel":
                    with contextlib.chdir(where):
                        assert main(words[1:]) == 0, f"{name}: $ {line}"
                else:
                    result = run(words, where)
                    assert result.returncode == 0, f"{name}: $ {line}\n{result.stdout}\n{result.stderr}"
        blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
        if blocks:
            code = "\n\n".join(blocks).replace(BUILT, f"{BUILT}, set={SMALLER_FIELDS!r}")
            result = run([sys.executable, "-c", code], workplace)
            assert result.returncode == 0, f"{name}: {result.stderr}"
    assert (workplace / "view.png").stat().st_size > 10_000
    for folder, page in (("shards", "gapdata/README.md"), ("runs/stage1", "gapmodel/README.md")):
        assert drawn(page, folder) - {"failed"} <= {path.name for path in (workplace / folder).iterdir()}


def uploaded(folder: Path, to: Path) -> set[str]:
    """What lies at the top of what `ray job submit --working-dir .` would send from a folder; small it has to be."""
    from ray._private.runtime_env.packaging import create_package

    create_package(str(folder), to, include_gitignore=True)
    assert to.stat().st_size < 20 * 2**20
    return {name.split("/")[0] for name in zipfile.ZipFile(to).namelist()}


def test_a_job_takes_along_the_code_and_nothing_that_commands_made(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    folder = tmp_path / "checkout"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    names = [name for name in tracked.stdout.split("\0") if name and (REPOSITORY / name).is_file()]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(REPOSITORY / name)
    lines = [line for page in PAGES.values() for line in commands(page)]
    places = {word for line in lines for word in MADE.findall(line)} | {"an own name", "gapmodel/model.safetensors"}
    assert {"shards", "runs/stage1", "report.html", "room.glb"} <= places
    for place in places:
        made = folder / place if Path(place).suffix else folder / place / "anything.json"
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(os.urandom(4 * 2**20))
    (folder / "mine.toml").touch()
    sent = uploaded(folder, tmp_path / "sent.zip")
    assert sent == {"gapdata", "gapmodel", "pipelines", "manifests", "pyproject.toml", "mine.toml"}
    code = {name for name in names if name.split("/")[0] in sent}
    assert code <= set(zipfile.ZipFile(tmp_path / "sent.zip").namelist())


def drawn(page: str, folder: str) -> set[str]:
    """The names in a page's drawing of a folder."""
    tree = PAGES[page].split(f"```\n{folder}/\n")[1].split("```")[0]
    return {name.rstrip("/") for name in re.findall(r"^  (\S+) {2,}", tree, flags=re.MULTILINE)}


def test_recipes_paths_and_links_of_the_pages_exist() -> None:
    for name, page in {**PAGES, EXPERIMENT: (REPOSITORY / EXPERIMENT).read_text()}.items():
        folder = (REPOSITORY / name).parent
        for path in re.findall(r"\]\(([^)#:]+)\)", page):
            assert (folder / path).exists(), f"{name}: {path}"
        for path in re.findall(r"(?:manifests|pipelines|tests|gapdata|gapmodel)/[\w/-]+\.(?:toml|py)", page):
            assert (REPOSITORY / path).is_file(), f"{name}: {path}"
    for recipe in (REPOSITORY / "manifests").glob("*.toml"):
        for path in re.findall(r"manifests/[\w-]+\.toml", recipe.read_text()):
            assert (REPOSITORY / path).is_file(), f"{recipe.name}: {path}"


def test_the_page_of_the_recipes_names_each_of_them() -> None:
    assert [name for name in recipe_names() if f"`{name}`" not in PAGES["manifests/README.md"]] == []


def test_the_tables_of_recipe_fields_say_what_the_code_says() -> None:
    page = PAGE.read_text()
    assert page == page_with_tables(page), "run `python -m tests.documents.recipe_tables`"
    assert "|  |" not in page, "a field has no docstring"


def test_the_picture_is_a_picture_and_small_enough_for_a_page() -> None:
    path = REPOSITORY / "gapdata" / "README.jpg"
    assert path.stat().st_size < 200_000
    assert cv2.imread(str(path)).shape[1] >= 800
