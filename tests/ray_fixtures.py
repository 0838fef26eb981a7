"""A real Ray head with a dashboard, one for all tests of a run that submit jobs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from executor_fixtures import descendants, wait_until

BIN = Path(sys.executable).parent


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a client of a real head with a dashboard, as ``ray start --head`` gives it."""
    ports = _free_ports(4)
    # Ray's sockets lie below its folder and their names may have 107 characters only.
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        base = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        base |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
        base["PATH"] = f"{BIN}{os.pathsep}{base['PATH']}"  # where a job's `python` is looked up
        base.pop("PYTHONPATH", None)
        head = subprocess.Popen(
            [
                *(str(BIN / "ray"), "start", "--head", "--block", f"--port={ports[0]}", f"--temp-dir={folder}"),
                *("--num-cpus=2", f"--dashboard-port={ports[1]}", f"--ray-client-server-port={ports[2]}"),
                f"--dashboard-agent-listen-port={ports[3]}",
                *("--object-store-memory=100000000", "--disable-usage-stats"),
            ],
            env=base,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )
        try:
            wait_until(lambda: head.poll() is not None or _listens(ports[1]))
            yield {**base, "RAY_ADDRESS": f"http://127.0.0.1:{ports[1]}", "GCS": f"127.0.0.1:{ports[0]}"}
        finally:
            # Left to itself it takes half a minute to end.
            for pid in [*descendants(head.pid), head.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            head.wait(timeout=60)


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
