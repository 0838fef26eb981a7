"""What a newcomer gets wrong in the first hour is answered with one line that says what to do instead."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gapdata.commands.main import main
from gapmodel.commands.main import main as gapmodel
from tests.conftest import REPOSITORY
from tests.support.scannet_scenes import write_scene

SCENE = "scene0000_00"
PLAN = ["--set", "frames.image_size=[64,48]", "--set", "scene_views.frames=2", "--executor", "inline", "--dry-run"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set, one without split files and label map, and something that looks like a build."""
    root = tmp_path_factory.mktemp("place")
    write_scene(root / "scannet" / "scans" / SCENE, frames=6)
    shutil.copytree(root / "scannet", root / "unlisted")
    (root / "scannet" / "scannetv2_train.txt").write_text(f"{SCENE}\n")
    header = "id\traw_category\tcategory\tcount\tnyu40id\teigen13id\tnyuClass\tnyu40class\n"
    (root / "scannet" / "scannetv2-labels.combined.tsv").write_text(f"{header}2\tchair\tchair\t1\t5\t4\tchair\tchair\n")
    (root / "shards").mkdir()
    (root / "shards" / "plan.json").touch()
    (root / "file").touch()
    return root


@pytest.mark.parametrize("script", ["build_shards.py", "pretrain.py", "finetune.py", "evaluate.py"])
def test_an_entry_point_without_arguments_says_what_it_takes_and_how_it_is_run(script: str) -> None:
    result = subprocess.run([sys.executable, f"pipelines/{script}"], cwd=REPOSITORY, capture_output=True, text=True)
    assert result.returncode == 2
    text = result.stdout + result.stderr
    assert "--out" in text
    assert f"examples:\n  python pipelines/{script} --" in text
    assert f"  ray job submit --working-dir . -- python pipelines/{script} --" in text


def test_more_ranks_than_this_machine_has_cores_are_refused_at_once(place: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "pipelines/pretrain.py", "--shards", str(place), "--out", str(place / "out")]
    command += ["--ranks", "999"]
    result = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert result.returncode == 2
    assert "pretrain.py: --ranks needs 999 CPUs, one for each rank, but this machine has " in result.stderr
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scannet", f"scannet/scans/{SCENE}"], "it is a scene itself: give the folder that holds it, with --scenes"),
        (["--scannet", "."], "holds no ScanNet scene; did you mean {place}/scannet?"),
        (["--scannet", "shards"], "holds no ScanNet scene; it is a build: give the folder of the scans"),
        (["--scannet", "file"], "file: is a file; give the folder of the ScanNet download"),
        (["--scannet", "scannet", "--scenes", "scene0000_01"], f"among its 1 scene: {SCENE}"),
        (["--scannet", "scannet", "--set", "clip.step=10"], "has no field 'clip'; did you mean clips? known here: "),
        (["--scannet", "scannet", "--set", "clips.enabled=yes"], "'clips.enabled' is 'yes', expected true or false"),
        (["--scannet", "scannet", "--set", "clips.interval=6"], "shift, 3, must be below half of clips.interval, 6"),
        (["--scannet", "scannet", "--recipe", "train-pretrain"], "; or is this a recipe for another command?"),
        (["--scannet", "scannet", "--recipe", "manifest/demo.toml"], "or a recipe of this package: demo, gap-json, "),
        (["--scannet", "scannet", "--annotations", "no.json"], "no.json: does not exist; check the name"),
    ],
)
def test_a_wrong_argument_is_answered_with_the_right_one(
    arguments: list[str],
    message: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    assert main(["build-shards", "--out", "out", *PLAN, *arguments]) == 2
    said = capsys.readouterr().err
    assert message.format(place=place) in said
    assert said.count("\n") == 1


def test_scenes_may_be_named_with_blanks_after_the_comma(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scannet = str(place / "scannet")
    assert main(["build-shards", "--scannet", scannet, "--out", "out", *PLAN, "--scenes", f" {SCENE}, "]) == 0
    assert capsys.readouterr().out.startswith("1 scene with")


def test_what_records_will_lack_is_said_before_the_build(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["build-shards", "--out", str(place / "out"), *PLAN, "--set", "around.enabled=true"]
    assert main([*arguments, "--scannet", str(place / "unlisted")]) == 0
    said = capsys.readouterr().err
    assert "so their split is 'unknown'; training and evaluation look for train and val" in said
    assert "note: scannetv2-labels.combined.tsv is not in or above" in said
    assert "there will be no `around` views and nothing to ground; name ScanRefer's files with --annotations" in said
    assert main([*arguments[:-2], "--scannet", str(place / "scannet")]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_may_not_be_written_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "forbidden").mkdir(mode=0o555)
    arguments = ["--scannet", str(place / "scannet"), "--out", str(place / "forbidden" / "x"), *PLAN[:-1]]
    assert main(["build-shards", *arguments]) == 1
    assert "Permission denied; name a place where you may read and write" in capsys.readouterr().err


PRETRAIN = ("train", "--stage", "pretrain")
Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs ``gapmodel`` in this process, which has torch already, and returns the line with which it refuses."""

    def run(*arguments: str | Path) -> str:
        assert gapmodel([str(word) for word in arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run


@pytest.mark.slow
def test_a_corrected_command_trains_where_the_wrong_one_was_refused(
    inline_build: Path, tmp_path: Path, refused: Refused
) -> None:
    run = tmp_path / "run"
    full = ("--shards", inline_build, "--out", run, "--recipe", "train-pretrain", "--set", "data.split=unknown")
    weights = ("--set", "model.geometry_weights=none.safetensors", "--set")
    assert "give --set model.qwen=DIR (Qwen3-VL)" in refused(*PRETRAIN, *full)
    said = refused(*PRETRAIN, *full, *weights, "model.qwen=Qwen/Qwen3-VL-2B-Instruct")
    assert "Qwen/Qwen3-VL-2B-Instruct: is not a directory with Qwen3-VL in it; download it first: `hf download" in said
    assert not run.exists()
    run.mkdir()
    (run / "run.json").write_text("{}")
    said = refused("evaluate", "--shards", inline_build, "--model", run)
    assert "this run has not written its model yet" in said
    said = refused(*PRETRAIN, "--shards", inline_build, "--out", tmp_path / "other")
    assert "the build has no clip records of split train; it has" in said
    assert "clip (unknown)" in said


@pytest.mark.slow
def test_training_never_writes_into_a_build(inline_build: Path, refused: Refused) -> None:
    before = sorted(inline_build.iterdir())
    said = refused(*PRETRAIN, "--shards", inline_build, "--out", inline_build)
    assert f"{inline_build}: does not hold a run, but " in said
    assert sorted(inline_build.iterdir()) == before


def test_a_missing_training_extra_is_named_with_what_installs_it(tmp_path: Path) -> None:
    """In an interpreter whose torch cannot be found."""
    code = (
        "import importlib.util, sys\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'torch' else found(name, *rest)\n"
        "from gapmodel.commands.main import main\n"
        "sys.exit(main(['inspect', 'model', '--build', 'shards', '--save', 'x.png']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        2,
        "gapmodel: torch is not installed; run `pip install 'gapmllm[train]'`\n",
    )


@pytest.mark.parametrize("kilobytes", [150_000, 500_000])
def test_too_little_address_space_is_one_line_with_the_cure(
    small_dataset: Path, tmp_path: Path, kilobytes: int
) -> None:
    limit = kilobytes * 1024
    words = ["build-shards", "--scannet", str(small_dataset), "--out", str(tmp_path / "out"), "--executor", "inline"]
    result = subprocess.run(
        [sys.executable, "-m", "gapdata", *words],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "ulimit -v" in result.stderr.strip().splitlines()[-1]
