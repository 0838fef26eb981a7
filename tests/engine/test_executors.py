"""Wherever shards are built and however often the build is struck down, the same bytes come out."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gapdata.commands.main import main
from gapdata.engine.driver import run_build
from gapdata.engine.executors.inline import InlineExecutor
from gapdata.engine.executors.local import LocalExecutor
from gapdata.shards.reader import ShardReader
from tests.conftest import REPOSITORY
from tests.support.builds import SETTINGS
from tests.support.executors import (
    SCENES,
    VICTIM,
    always_dies,
    always_hangs,
    command,
    commits,
    contents,
    descendants,
    dies_once,
    finds_the_disk_full,
    hangs_once,
    lacking_victim,
    raises,
    request_for,
    runs_out_of_memory_once,
    wait_until,
)

SET = {name: ast.literal_eval(value) for name, value in (setting.split("=", 1) for setting in SETTINGS)}

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("GAPDATA_KILLS", "6"))
LONGEST_WAIT = 1.5  # seconds; a build of four scenes takes about as long


def start(*arguments: str, **options: object) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(arguments, **{**pipes, **options})  # type: ignore[call-overload]


@pytest.mark.parametrize("workers", [1, 2])
def test_local_processes_give_the_bytes_of_an_inline_build(
    small_dataset: Path, inline_build: Path, tmp_path: Path, workers: int
) -> None:
    run_build(request_for(small_dataset, tmp_path / "out"), LocalExecutor(workers))
    assert contents(tmp_path / "out") == contents(inline_build)


def test_a_worker_that_is_killed_is_replaced(
    small_dataset: Path, inline_build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = lacking_victim(inline_build, tmp_path / "out")
    run_build(request_for(small_dataset, out), LocalExecutor(2, dies_once))
    assert contents(out) == contents(inline_build)
    message = f"{VICTIM}: its process was killed by SIGKILL (out of memory?); trying again (1 of 2)"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("from_file", [True, False])
def test_a_script_without_a_guard_builds_once_in_processes_of_its_own(
    small_dataset: Path, inline_build: Path, tmp_path: Path, from_file: bool
) -> None:
    """A process that is spawned runs the user's script again, unless it is kept from that."""
    out = lacking_victim(inline_build, tmp_path / "out")
    request = f"scannet={str(small_dataset)!r}, out={str(out)!r}, set={SET!r}, executor='local'"
    program = f"import gapdata\nprint('once')\nprint(gapdata.build({request})['quarantined'])\n"
    (tmp_path / "script.py").write_text(program)
    given = [str(tmp_path / "script.py")] if from_file else ["-"]
    result = subprocess.run(
        [sys.executable, *given],
        input="" if from_file else program,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert (result.returncode, result.stdout) == (0, "once\n[]\n"), result.stderr
    assert contents(out) == contents(inline_build)


def test_a_shard_that_always_kills_its_worker_is_given_up_and_the_rest_is_built(
    small_dataset: Path, inline_build: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    report = run_build(request_for(small_dataset, out), LocalExecutor(2, always_dies))
    assert (tmp_path / "attempts").stat().st_size == 3
    (entry,) = report["quarantined"]
    assert entry["scene_id"] == "scene0001_00"
    assert entry["problem"] == f"{VICTIM}: its process was killed by SIGKILL (out of memory?), 3 times"
    assert json.loads((out / "report.json").read_text()) == report
    assert (
        json.loads((out / "failed" / "scene0001_00.json").read_text())[0]["cure"] == "the same command tries it again"
    )
    assert {record.scene_id for record in ShardReader(out)} == {"scene0000_00", "scene0002_00", "scene0003_00"}
    assert not list(out.glob(".*.tmp"))

    run_build(request_for(small_dataset, out), InlineExecutor())
    assert contents(out) == contents(inline_build)
    assert not (out / "failed" / "scene0001_00.json").exists()


def test_an_error_that_nobody_foresaw_is_given_up_at_once(
    small_dataset: Path, inline_build: Path, tmp_path: Path
) -> None:
    out = lacking_victim(inline_build, tmp_path / "out")
    report = run_build(request_for(small_dataset, out), LocalExecutor(1, raises))
    assert (tmp_path / "attempts").stat().st_size == 1
    assert report["quarantined"][0]["problem"] == f"{VICTIM}: LookupError: nobody foresaw this"
    assert "in raises" in json.loads((out / "failed" / "scene0001_00.json").read_text())[0]["traceback"]


def test_running_out_of_memory_in_python_is_tried_again(
    small_dataset: Path, inline_build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = lacking_victim(inline_build, tmp_path / "out")
    run_build(request_for(small_dataset, out), LocalExecutor(1, runs_out_of_memory_once))
    assert contents(out) == contents(inline_build)
    assert "it ran out of memory; trying again (1 of 2)" in capsys.readouterr().err


def test_work_past_its_deadline_is_made_once_more_and_then_given_up(
    small_dataset: Path, inline_build: Path, tmp_path: Path
) -> None:
    for name, work, lost in (("once", hangs_once, 0), ("always", always_hangs, 1)):
        out = lacking_victim(inline_build, tmp_path / name / "out")
        report = run_build(request_for(small_dataset, out, deadline=2.0), LocalExecutor(1, work))
        assert (out.parent / "attempts").stat().st_size == 2
        assert [item["problem"] for item in report["quarantined"]] == [
            f"{VICTIM}: was not done within 2 s, 2 times"
        ] * lost
        assert (contents(out) == contents(inline_build)) == (not lost)


def test_a_full_disk_stops_the_build(small_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: .*shard-00000"):
        run_build(request_for(small_dataset, tmp_path / "out"), LocalExecutor(1, finds_the_disk_full))
    assert commits(tmp_path / "out") == 0
    assert not (tmp_path / "out" / "report.json").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_lets_commits_finish_and_the_same_command_goes_on(
    small_dataset: Path, inline_build: Path, tmp_path: Path, number: int, status: int
) -> None:
    """The signal goes to the whole group, as a terminal and a batch system send it."""
    out = tmp_path / "out"
    build = start(*command(small_dataset, out, "--executor", "local", "--workers", "1"), start_new_session=True)
    wait_until(lambda: commits(out) or build.poll() is not None)
    os.killpg(build.pid, number)
    _, errors = build.communicate(timeout=120)
    assert build.returncode == status, errors
    assert "that were missing; the same command goes on where this one stopped" in errors
    assert "Traceback" not in errors
    assert 1 <= commits(out) < SCENES
    assert not list(out.glob(".*.tmp"))
    assert main(command(small_dataset, out, "--executor", "inline")[3:]) == 0
    assert contents(out) == contents(inline_build)


@pytest.mark.slow
def test_a_driver_that_was_stopped_for_a_while_does_not_take_its_workers_for_overdue(
    small_dataset: Path, inline_build: Path, tmp_path: Path
) -> None:
    """Ctrl-Z, or a laptop that sleeps: on waking, what the worker did meanwhile has not been heard yet."""
    out = tmp_path / "out"
    options = ("--executor", "local", "--workers", "1", "--deadline", "20s")
    build = start(*command(small_dataset, out, *options))
    wait_until(lambda: list(out.glob(".shard*.tmp")) or commits(out))
    build.send_signal(signal.SIGSTOP)
    time.sleep(25)
    build.send_signal(signal.SIGCONT)
    _, errors = build.communicate(timeout=240)
    assert build.returncode == 0, errors
    assert "not done within" not in errors
    assert contents(out) == contents(inline_build)


def test_a_second_signal_stops_at_once(small_dataset: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.support.executors import always_hangs, request_for\n"
        "from gapdata.engine.driver import run_build; from gapdata.engine.executors.local import LocalExecutor\n"
        "from gapdata.runtime.stopping import StopSignals; from gapdata.errors import GapDataError\n"
        "if __name__ == '__main__':\n"
        "    try:\n"
        "        with StopSignals() as stop:\n"
        "            run_build(request_for(*map(Path, sys.argv[1:])), LocalExecutor(1, always_hangs), stop)\n"
        "    except GapDataError as error: sys.exit(error.exit_status)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    build = start(sys.executable, str(script), str(small_dataset), str(tmp_path / "out"), env=environment)
    wait_until(lambda: (tmp_path / "attempts").exists())
    workers = descendants(build.pid)
    assert build.stderr is not None
    assert "building 4 shards" in build.stderr.readline()
    build.send_signal(signal.SIGINT)
    assert "stopping: 10 s for 1 shard under way to finish" in build.stderr.readline()
    build.send_signal(signal.SIGINT)
    assert build.wait(timeout=60) == 130
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_builds_killed_at_any_moment_end_with_the_same_bytes(
    small_dataset: Path, inline_build: Path, tmp_path: Path, executor: str
) -> None:
    """SIGKILL at random moments, of the driver, of one worker, or of both at once; whatever is left is swept. The
    number of kills is ``GAPDATA_KILLS``.
    """
    out, dice = tmp_path / "out", random.Random(executor)
    for kill in range(KILLS):
        if kill % 3 == 0:
            shutil.rmtree(out, ignore_errors=True)
        build = start(*command(small_dataset, out, "--executor", executor))
        wait_until(lambda running=build: (out / "plan.json").exists() or running.poll() is not None)
        time.sleep(dice.uniform(0, LONGEST_WAIT))
        victims = descendants(build.pid)
        chosen = dice.choice(["driver", "worker", "all"]) if executor == "local" else "driver"
        if chosen != "driver":
            for pid in victims if chosen == "all" else victims[-1:]:
                _kill(pid)
        if chosen != "worker":
            build.kill()
        build.communicate(timeout=60)
        wait_until(lambda pids=victims: not any(_running(pid) for pid in pids))
        if kill % 3 == 2:
            (out / ".shard-000003.tar.0123456789ab.tmp").write_bytes(b"left behind")
            assert main(command(small_dataset, out, "--executor", "inline")[3:]) == 0
            assert contents(out) == contents(inline_build)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_inline_has_one_worker_and_times_are_read_with_their_unit(
    small_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = command(small_dataset, tmp_path / "out")[3:]
    assert main([*base, "--executor", "inline", "--workers", "2"]) == 2
    assert "executor inline has one worker, not 2; use --executor local or ray" in capsys.readouterr().err
    for wrong in ("0", "soon", "5d"):
        with pytest.raises(SystemExit):
            main([*base, "--deadline", wrong])
        assert f"{wrong!r} is not a time such as 90s, 20m or 2h" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
