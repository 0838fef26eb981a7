"""The command line says what it did, what was wrong and what to do, and its exit status tells scripts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gapdata import __version__
from gapdata.commands.main import main
from tests.support.scannet_scenes import write_scene


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "gapdata", *arguments], capture_output=True, text=True)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dataset")
    write_scene(root / "scans" / "scene0000_00", frames=6, lost=(2,))
    return root


def test_inspecting_a_sens_prints_one_object_with_its_facts(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(dataset / "scans" / "scene0000_00" / "scene0000_00.sens"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["version"], facts["frames"], facts["invalid_poses"], facts["imu"]) == (4, 6, 1, 0)
    assert {name: facts["color"][name] for name in ("width", "height", "compression")} == {
        "width": 128,
        "height": 96,
        "compression": "jpeg",
    }
    assert {name: facts["depth"][name] for name in ("width", "height", "compression", "shift")} == {
        "width": 64,
        "height": 48,
        "compression": "zlib",
        "shift": 1000.0,
    }


def test_a_scene_a_dataset_a_build_and_a_record_can_be_inspected(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["frames.image_size=[64,48]", "clips.frames=2", "clips.interval=3", "clips.max_shift=0"]
    overrides = [part for setting in settings for part in ("--set", setting)]
    assert (
        main(
            [
                "build-shards",
                "--scannet",
                str(dataset),
                "--out",
                str(tmp_path / "out"),
                *overrides,
                "--executor",
                "inline",
            ]
        )
        == 0
    )
    capsys.readouterr()
    for arguments, expected in (
        ([str(dataset)], ["scenes", "label_map", "without_frames"]),
        ([str(dataset / "scans" / "scene0000_00")], ["scene_type", "Office", "office chair 2"]),
        ([str(tmp_path / "out")], ["2 records in 1 shard,", "1 without a pose"]),
        ([str(tmp_path / "out"), "--key", "scene0000_00-clip-00000"], ["nearest", "office chair", "prompts"]),
    ):
        assert main(["inspect", *arguments]) == 0
        output = capsys.readouterr().out
        assert all(text in output for text in expected), output
        assert main(["inspect", *arguments, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "nowhere"], "gapdata: nowhere: does not exist"),
        (
            ["inspect", __file__],
            "is not a .sens or .r3d file; give a .sens or .r3d file, a scene, a dataset or a build",
        ),
        (["view", "nowhere"], "holds no finished build (no index.parquet); run `gapdata build-shards` first"),
        (
            ["build-shards", "--scannet", "nowhere"],
            "nowhere: is not a directory; give the folder of the ScanNet download",
        ),
        (["synth", "out", "--noise", "-1"], "--test-scenes and --noise must not be negative"),
    ],
)
def test_a_mistake_gives_one_line_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_unknown_and_abbreviated_options_are_refused() -> None:
    for arguments in (
        ["build-shards"],
        ["build-shards", "--scan", "x"],
        ["nonsense"],
        ["synth", "x", "--color-size", "9"],
    ):
        result = run(*arguments)
        assert result.returncode == 2
        assert "usage: gapdata" in result.stderr


def test_the_traceback_appears_only_on_request() -> None:
    plain, debug = run("inspect", "nowhere"), run("inspect", "nowhere", "--debug")
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr


def test_the_version_is_printed_by_either_entry_point() -> None:
    assert run("--version").stdout.strip() == f"gapdata {__version__}"


def test_an_unknown_scene_split_or_executor_is_named(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["build-shards", "--scannet", str(dataset), "--out", str(tmp_path / "out"), "--executor", "inline"]
    for arguments, message in (
        (["--scenes", "scene0009_00"], "has no scene scene0009_00; among its 1 scene: scene0000_00"),
        (["--split", "train"], "has no scene of split 'train'; its scenes are of: unknown"),
        (["--executor", "abacus"], "executor 'abacus' is unknown; choose from inline, local, ray"),
        (
            ["--recipe", "missing.toml"],
            "missing.toml: recipe does not exist; name a TOML file, or a recipe of this package: demo, ",
        ),
    ):
        assert main([*base, *arguments]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_an_error_that_names_the_file(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    assert main(["build-shards", "--scannet", str(dataset), "--out", "/dev/full/x", "--executor", "inline"]) == 1
    assert "/dev/full/x: Not a directory; a file is where a folder should be" in capsys.readouterr().err
