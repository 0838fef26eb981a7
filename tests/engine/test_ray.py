"""Builds on Ray: one of this process, one that a job runs on, and one that loses a node."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gapdata.commands.main import main
from gapdata.engine.driver import run_build
from gapdata.engine.executors.ray import RayExecutor
from gapdata.errors import UsageError
from tests.conftest import REPOSITORY
from tests.support.builds import without_notes
from tests.support.executors import (
    SCENES,
    VICTIM,
    always_dies,
    command,
    commits,
    contents,
    descendants,
    dies_once,
    hangs_on_the_doomed_node,
    hangs_once,
    lacking_victim,
    raises,
    request_for,
    wait_until,
)
from tests.support.ray_heads import Cluster, Head, run

pytest.importorskip("ray")


@pytest.fixture
def no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="class")
def local_ray() -> Iterator[None]:
    """One Ray for all tests that look into single attempts; the executor uses it and leaves it running."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
class TestAttempts:
    """What Ray makes of work that goes wrong."""

    @pytest.mark.parametrize("workers", [1, 2])
    def test_any_number_of_workers_gives_the_bytes_of_an_inline_build(
        self, small_dataset: Path, inline_build: Path, tmp_path: Path, workers: int
    ) -> None:
        run_build(request_for(small_dataset, tmp_path / "out"), RayExecutor(workers))
        assert contents(tmp_path / "out") == contents(inline_build)

    def test_a_worker_that_is_killed_is_replaced(
        self, small_dataset: Path, inline_build: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        out = lacking_victim(inline_build, tmp_path / "out")
        run_build(request_for(small_dataset, out), RayExecutor(2, dies_once))
        assert contents(out) == contents(inline_build)
        output = capfd.readouterr()
        assert f"{VICTIM}: its worker died (WorkerCrashedError); trying again (1 of 2)" in output.err
        assert output.out == ""

    def test_a_shard_that_always_kills_its_worker_is_given_up(
        self, small_dataset: Path, inline_build: Path, tmp_path: Path
    ) -> None:
        out = lacking_victim(inline_build, tmp_path / "out")
        report = run_build(request_for(small_dataset, out), RayExecutor(2, always_dies))
        assert (tmp_path / "attempts").stat().st_size == 3
        assert [item["scene_id"] for item in report["quarantined"]] == ["scene0001_00"]
        assert not list(out.glob(".*.tmp"))

    def test_an_error_that_nobody_foresaw_is_given_up_at_once(
        self, small_dataset: Path, inline_build: Path, tmp_path: Path
    ) -> None:
        out = lacking_victim(inline_build, tmp_path / "out")
        report = run_build(request_for(small_dataset, out), RayExecutor(2, raises))
        assert (tmp_path / "attempts").stat().st_size == 1
        assert report["quarantined"][0]["problem"] == f"{VICTIM}: LookupError: nobody foresaw this"

    def test_work_past_its_deadline_is_killed_and_made_once_more(
        self, small_dataset: Path, inline_build: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        out = lacking_victim(inline_build, tmp_path / "out")
        run_build(request_for(small_dataset, out, deadline=6.0), RayExecutor(1, hangs_once))
        assert (tmp_path / "attempts").stat().st_size == 2
        assert f"{VICTIM}: not done within 6 s; trying once more" in capfd.readouterr().err
        assert contents(out) == contents(inline_build)


@pytest.mark.slow
@pytest.mark.usefixtures("no_address")
def test_the_command_starts_a_ray_of_its_own_says_so_and_leaves_nothing_but_the_build(
    small_dataset: Path, inline_build: Path, tmp_path: Path
) -> None:
    out, home = tmp_path / "out", tmp_path / "home"
    home.mkdir()
    result = run(*command(small_dataset, out, "--workers", "2", "--json"), env={**os.environ, "HOME": str(home)})
    assert result.returncode == 0, result.stderr
    assert without_notes(result.stderr) == f"building {SCENES} shards on a local Ray with 2 CPUs\n"
    assert json.loads(result.stdout) == json.loads((out / "report.json").read_text())
    assert contents(out) == contents(inline_build)
    # A token that lies there would be demanded by every later `ray start --head`.
    assert not list(home.glob("**/auth_token"))


@pytest.mark.slow
@pytest.mark.usefixtures("no_address")
def test_a_build_on_ray_that_is_stopped_or_killed_goes_on_to_the_same_bytes(
    small_dataset: Path, inline_build: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for number, wanted, status in ((signal.SIGTERM, 1, 143), (signal.SIGKILL, 2, -9)):
        arguments = command(small_dataset, out, "--workers", "1")
        build = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until(lambda wanted=wanted, build=build: commits(out) >= wanted or build.poll() is not None)
        helpers = descendants(build.pid)
        build.send_signal(number)
        build.wait(timeout=60)
        # Ray's processes inherit the pipes: those are read when all have gone.
        wait_until(lambda helpers=helpers: not any(Path(f"/proc/{pid}/exe").exists() for pid in helpers))
        _, errors = build.communicate(timeout=60)
        assert build.returncode == status, errors
        assert "Traceback" not in errors
    assert commits(out) < SCENES
    assert main(command(small_dataset, out, "--executor", "inline")[3:]) == 0
    assert contents(out) == contents(inline_build)


@pytest.mark.slow
@pytest.mark.usefixtures("no_address")
def test_a_signal_while_ray_starts_ends_in_order(small_dataset: Path, tmp_path: Path) -> None:
    build = subprocess.Popen(
        command(small_dataset, tmp_path / "out"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: descendants(build.pid))
    build.send_signal(signal.SIGTERM)
    _, errors = build.communicate(timeout=60)
    assert build.returncode == 143
    assert without_notes(errors) == "gapdata: stopped by SIGTERM; the same command goes on where this one stopped\n"


@pytest.mark.slow
@pytest.mark.usefixtures("no_address")
def test_an_address_without_a_cluster_is_named(small_dataset: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "RAY_ADDRESS": "http://127.0.0.1:1"}
    result = run(*command(small_dataset, tmp_path / "out"), env=environment)
    assert result.returncode == 2
    assert "gapdata: no Ray cluster can be reached at RAY_ADDRESS=http://127.0.0.1:1" in result.stderr
    assert without_notes(result.stderr).count("\n") == 1


def test_without_ray_the_cure_is_named(
    small_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name, *rest))
    assert main(command(small_dataset, tmp_path / "out")[3:]) == 2
    message = "executor ray needs Ray, which is not installed; run `pip install ray`, or choose --executor local"
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_submitted_job_builds_on_its_cluster(
    cluster: Cluster, small_dataset: Path, inline_build: Path, tmp_path: Path
) -> None:
    options = command(small_dataset, tmp_path / "out")[4:]
    result = cluster.submit("python", "pipelines/build_shards.py", *options)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"building {SCENES} shards on the Ray cluster at" in result.stdout
    assert contents(tmp_path / "out") == contents(inline_build)

    result = cluster.submit("pipelines/build_shards.py", "--scannet", str(small_dataset), "--out", "shards")
    assert result.returncode == 1
    assert "--out is relative to the job's temporary copy of the working directory" in result.stdout


@pytest.mark.slow
def test_a_job_that_is_stopped_goes_on_to_the_same_bytes(
    cluster: Cluster, small_dataset: Path, inline_build: Path, tmp_path: Path
) -> None:
    from ray.job_submission import JobSubmissionClient

    out = tmp_path / "out"
    job = ("python", "pipelines/build_shards.py", *command(small_dataset, out)[4:])
    submitted = cluster.submit(*job, options=("--submission-id", "to-be-stopped", "--no-wait"))
    assert submitted.returncode == 0, submitted.stderr
    # While Ray starts, its own handler ends the process; and the command `ray job stop` may start too late.
    client = JobSubmissionClient(cluster.head.environment["RAY_ADDRESS"])
    wait_until(lambda: "building" in client.get_job_logs("to-be-stopped"))
    assert client.stop_job("to-be-stopped")
    wait_until(lambda: client.get_job_status("to-be-stopped").is_terminal())
    assert "the same command goes on where this one stopped" in client.get_job_logs("to-be-stopped")
    assert not (out / "report.json").exists()
    assert not list(out.glob(".*.tmp"))
    assert main([*command(small_dataset, out)[3:], "--executor", "inline"]) == 0
    assert contents(out) == contents(inline_build)


@pytest.mark.slow
def test_the_command_attaches_to_the_cluster_of_the_address(
    cluster: Cluster, small_dataset: Path, inline_build: Path, tmp_path: Path
) -> None:
    result = cluster.run(*command(small_dataset, tmp_path / "out"), by_address_of_head=True)
    assert result.returncode == 0, result.stderr
    assert "on the Ray cluster at" in result.stderr
    assert without_notes(result.stderr).count("\n") == 1
    assert contents(tmp_path / "out") == contents(inline_build)


@pytest.mark.slow
def test_a_node_that_dies_in_the_middle_changes_no_byte(
    small_dataset: Path, inline_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray
    from ray.cluster_utils import Cluster

    if ray.is_initialized():
        ray.shutdown()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        doomed = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        (tmp_path / "doomed").write_text(doomed.node_id)
        caught = tmp_path / "caught"

        def kill() -> None:
            wait_until(caught.exists)
            cluster.remove_node(doomed, allow_graceful=False)

        killer = threading.Thread(target=kill)
        killer.start()
        run_build(request_for(small_dataset, tmp_path / "out"), RayExecutor(None, hangs_on_the_doomed_node))
        killer.join()
        assert caught.exists()
        assert contents(tmp_path / "out") == contents(inline_build)
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.slow
def test_a_build_says_what_it_waits_for_and_that_the_head_is_lost(small_dataset: Path, tmp_path: Path) -> None:
    head = Head(cpus=0)
    try:
        environment = {**head.environment, "RAY_ADDRESS": head.gcs, "PYTHONPATH": str(REPOSITORY)}
        build = subprocess.Popen(
            command(small_dataset, tmp_path / "out"), stderr=subprocess.PIPE, text=True, env=environment
        )
        assert build.stderr is not None
        waiting = next(line for line in build.stderr if "waiting" in line)
        assert waiting == "waiting for a worker: the Ray cluster has 1 node with 0 CPUs\n"
        head.kill_control_store()
        _, errors = build.communicate(timeout=120)
        assert build.returncode == 1
        last = errors.strip().splitlines()[-1]
        assert last.startswith("gapdata: the head of the Ray cluster at ")
        assert last.endswith(" has not answered for 30 s; the same command goes on where this one stopped")
        assert "rpc_client" not in errors
    finally:
        head.end()


def test_a_worker_of_another_version_is_refused() -> None:
    from gapdata.engine.executors.ray import _serve

    with pytest.raises(UsageError, match="install the same gapmllm on every node"):
        next(_serve(0, -1, raises, None))  # type: ignore[arg-type]
