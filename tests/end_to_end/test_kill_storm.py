"""A build killed before any of its file operations is resumed by the same command to the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.builds import contents, overrides
from tests.support.scannet_scenes import write_scene

KILLER = '''
import os, sys
left, out = [int(os.environ["KILL_BEFORE"])], os.environ["KILL_IN"]
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def concerns(event, arguments):
    """Whether the operation changes something under the build's directory."""
    if event == "open":
        return bool(arguments[2] & WRITING)
    return event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree")


def hook(event, arguments):
    if not concerns(event, arguments) or not isinstance(arguments[0], (str, bytes, os.PathLike)):
        return
    if os.fsdecode(arguments[0]).startswith(out):
        left[0] -= 1
        if left[0] == 0:
            os._exit(137)


def counted(function):
    def call(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            os._exit(137)
        return function(*arguments, **options)
    return call


os.fsync = counted(os.fsync)
sys.addaudithook(hook)
from gapdata.commands.main import main
status = main(sys.argv[1:])
print("operations", int(os.environ["KILL_BEFORE"]) - left[0])
sys.exit(status)
'''
MANY = 1_000_000
POINTS = int(os.environ.get("KILL_POINTS", "4"))
"""How many points are tried, evenly spread; the whole storm with KILL_POINTS=1000."""


@pytest.mark.slow
@pytest.mark.parametrize("option", ["", "--overwrite"])
def test_a_build_killed_before_a_file_operation_goes_on_to_the_same_bytes(tmp_path: Path, option: str) -> None:
    # The second scene is set aside, so that failed/ is written, too.
    for index in range(2):
        write_scene(tmp_path / "d" / "scans" / f"scene000{index}_00", frames=6)
    sens = tmp_path / "d" / "scans" / "scene0001_00" / "scene0001_00.sens"
    sens.write_bytes(sens.read_bytes()[: sens.stat().st_size // 2])
    out = tmp_path / "out"
    words = ["build-shards", "--scannet", str(tmp_path / "d"), "--out", str(out), *overrides(), "--executor", "inline"]
    words += [option] if option else []

    def run(before: int) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KILL_BEFORE": str(before), "KILL_IN": str(out)}
        command = [sys.executable, "-c", KILLER, *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    whole = run(MANY)
    assert whole.returncode == 3, whole.stderr
    expected, count = contents(out), int(whole.stdout.split("operations ")[1])
    if option:  # clearing an earlier build is part of it
        count = int(run(MANY).stdout.split("operations ")[1])
    before = tmp_path / "before"
    shutil.copytree(out, before)
    assert count > 20
    for point in sorted({1 + count * step // POINTS for step in range(POINTS)}):
        shutil.rmtree(out)
        if option:
            shutil.copytree(before, out)
        assert run(point).returncode == 137, point
        again = run(MANY)
        assert again.returncode == 3, (point, again.stderr)
        assert contents(out) == expected, point
