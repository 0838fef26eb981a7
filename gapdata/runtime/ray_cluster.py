"""Watch a Ray cluster from its driver: whether its head answers, which nodes are alive, and how many cores are free.

Ray's own client waits a minute for a lost head and then ends the whole process with its own message; until then any
request to the head blocks. So the requests are made in threads beside the driver's loop, which reads only the last
answers.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from gapdata.runtime.counting import counted

PROBE_SECONDS = 2.0
GIVE_UP_SECONDS = 30.0
"""Half of the time that Ray waits (``RAY_gcs_rpc_server_reconnect_timeout_s``), in which a restarted head is found
again."""
LOOK_SECONDS = 5.0
"""Time between two requests about the nodes. Ray takes about a minute to declare a disconnected node dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """The answers to one request."""

    nodes: frozenset[str]  # ids of the nodes that are alive
    cpus: int
    free_cpus: int

    def __str__(self) -> str:
        size = f"{counted(len(self.nodes), 'node')} with {counted(self.cpus, 'CPU')}"
        return f"{size}, {self.free_cpus} free" if self.cpus else size


class HeadWatch:
    """Connects to the head now and then, from :meth:`start` to :meth:`stop`.

    Args:
        address: ``host:port`` of the head's control store.
        lost: called once, in the watch's own thread, when the head has not answered for ``patience`` seconds.
        patience: seconds without an answer after which the head is lost.
    """

    def __init__(
        self, address: str, lost: Callable[[], None] = lambda: None, patience: float = GIVE_UP_SECONDS
    ) -> None:
        self.address = address
        self.is_lost = False
        self.answers = True
        """Whether the head answered the last request."""
        self._lost, self._patience = lost, patience
        self._ended = threading.Event()

    def start(self) -> None:
        """Start watching."""
        threading.Thread(target=self._watch, name="ray-head-watch", daemon=True).start()

    def stop(self) -> None:
        """Stop watching."""
        self._ended.set()

    @property
    def problem(self) -> str:
        """The message about a lost head."""
        return f"the head of the Ray cluster at {self.address} has not answered for {self._patience:.0f} s"

    def _watch(self) -> None:
        seen = time.monotonic()
        while not self._ended.wait(PROBE_SECONDS):
            self.answers = can_connect(self.address)
            if self.answers:
                seen = time.monotonic()
            elif time.monotonic() - seen > self._patience:
                self.is_lost = True
                self._lost()
                return


class ClusterWatch:
    """The state of the cluster that this process is connected to, updated every :data:`LOOK_SECONDS`."""

    def __init__(self) -> None:
        self.state = read_state()
        """The last answers."""
        self._ended = threading.Event()

    def start(self) -> None:
        """Start watching."""
        threading.Thread(target=self._watch, name="ray-cluster-watch", daemon=True).start()

    def stop(self) -> None:
        """Stop watching."""
        self._ended.set()

    def _watch(self) -> None:
        import ray

        while not self._ended.wait(LOOK_SECONDS):
            try:
                self.state = read_state()
            except (ray.exceptions.RayError, RuntimeError, ConnectionError, TimeoutError):
                continue  # the head does not answer, which HeadWatch reports, or Ray was shut down


def read_state() -> ClusterState:
    """Ask the head for the state of the cluster; blocks while it does not answer."""
    import ray

    total, free = ray.cluster_resources(), ray.available_resources()
    return ClusterState(
        nodes=frozenset(node["NodeID"] for node in ray.nodes() if node["Alive"]),
        cpus=int(total.get("CPU", 0)),
        free_cpus=int(free.get("CPU", 0)),
    )


def can_connect(address: str, seconds: float = PROBE_SECONDS) -> bool:
    """Return whether ``host:port`` accepts connections."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=seconds):
            return True
    except OSError:
        return False
