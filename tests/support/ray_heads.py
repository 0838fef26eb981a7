"""A real Ray head with a dashboard, one for all tests of a run that submit jobs; where Ray itself dies, the next."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.executors import descendants, wait_until

BIN = Path(sys.executable).parent
LAST_LINES = 30
# `ray start --block` looks after its processes once a second.
NOTICED = 3.0


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command's status and what it said."""
    return subprocess.run(arguments, capture_output=True, text=True, timeout=240, **options)


class Head:
    """One ``ray start --head --block`` with its ports, its folder and what it said."""

    def __init__(self, cpus: int = 2) -> None:
        gcs, dashboard, client, agent = _free_ports(4)
        # Ray's sockets lie below its folder and their names may have 107 characters only.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))
        self.gcs = f"127.0.0.1:{gcs}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        kept.pop("PYTHONPATH", None)
        kept["PATH"] = f"{BIN}{os.pathsep}{kept['PATH']}"  # where a job's `python` is looked up
        kept |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
        self.environment = {**kept, "RAY_ADDRESS": f"http://127.0.0.1:{dashboard}"}
        options = [f"--port={gcs}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
        options += [f"--dashboard-agent-listen-port={agent}", f"--temp-dir={self.folder}"]
        options += [f"--num-cpus={cpus}", "--num-gpus=0", "--object-store-memory=100000000", "--disable-usage-stats"]
        with open(self.folder / "ray-start.out", "wb") as said:
            self._process = subprocess.Popen(
                [str(BIN / "ray"), "start", "--head", "--block", *options],
                env=kept,
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        try:
            wait_until(lambda: self._process.poll() is not None or _listens(dashboard))
        except BaseException:
            self.end()
            raise

    def has_died(self, within: float = 0.0) -> bool:
        """Whether it has ended, or does within some seconds: the death of one of its processes is that of all."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=within)
        return self._process.poll() is not None

    def last_words(self) -> str:
        """The ends of its logs: which process ended, and what it said before."""
        logs = self.folder / "session_latest" / "logs"
        names = ["ray_process_exit.log", "raylet.err", "raylet.out", "gcs_server.out", "dashboard_agent.log"]
        paths = [self.folder / "ray-start.out", *(logs / name for name in names)]
        ends = [(path, path.read_text(errors="replace").splitlines()[-LAST_LINES:]) for path in paths if path.exists()]
        return "\n".join("\n".join([f"-- {path.name}", *lines]) for path, lines in ends if lines)

    def kill_control_store(self) -> None:
        """What the loss of the head's machine looks like to those who are attached."""
        (store,) = (
            pid for pid in descendants(self._process.pid) if "gcs_server" in Path(f"/proc/{pid}/cmdline").read_text()
        )
        os.kill(store, signal.SIGKILL)

    def end(self) -> None:
        # Left to itself it takes half a minute to end.
        for pid in [*descendants(self._process.pid), self._process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)


class Cluster:
    """The head that is up. Ray's own processes have been seen to die in the middle of a run of the tests; a command
    that this took with it is given once more, to a new head, as a user would, and goes on where the first stopped.
    """

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._head: Head | None = None
        self._lock = threading.Lock()

    @property
    def head(self) -> Head:
        """The head that is up; a new one where there is none."""
        with self._lock:
            if self._head is not None and self._head.has_died():
                warnings.warn(f"a Ray head has died:\n{self._head.last_words()}", stacklevel=2)
                self._head.end()
                self._head = None
            self._head = self._head or Head()
            return self._head

    def run(self, *command: str, by_address_of_head: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a client's command from the repository, with the head's dashboard, or the head itself, as its address."""
        for _ in range(2):
            head = self.head
            environment = dict(head.environment)
            if by_address_of_head:
                environment |= {"RAY_ADDRESS": head.gcs, "PYTHONPATH": str(self._repository)}
            result = run(*command, env=environment, cwd=self._repository)
            if result.returncode == 0 or not head.has_died(within=NOTICED):
                break
        return result

    def submit(self, *entry_point: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """``ray job submit`` of an entry point; a head that has just started may have nobody yet to take a job."""
        for _ in range(30):
            result = self.run(str(BIN / "ray"), "job", "submit", *options, "--working-dir", ".", "--", *entry_point)
            if "No available agent to submit job" not in result.stderr:
                break
            time.sleep(1)
        return result

    def end(self) -> None:
        if self._head is not None:
            self._head.end()


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A real cluster of one machine with two CPUs."""
    cluster = Cluster(pytestconfig.rootpath)
    yield cluster
    cluster.end()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
