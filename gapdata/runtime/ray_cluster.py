"""What a Ray cluster looks like from its driver: whether its head answers, which nodes live, how many cores are free.

Ray's own client waits for a lost head for a minute and then ends the whole process, with a line of its own and in the
middle of whatever it does; any question to the head blocks meanwhile. So the questions are asked in threads beside the
driver's loop, which only ever reads the last answers.
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
"""Half of what Ray waits (``RAY_gcs_rpc_server_reconnect_timeout_s``): a head that is restarted in between is found
again."""
LOOK_SECONDS = 5.0
"""Between two looks at the nodes. Ray takes about a minute to declare one dead that has been cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """The answers to one look."""

    nodes: frozenset[str]  # ids of those alive
    cpus: int
    free_cpus: int

    def __str__(self) -> str:
        size = f"{counted(len(self.nodes), 'node')} with {counted(self.cpus, 'CPU')}"
        return f"{size}, {self.free_cpus} of them free" if self.cpus else size


class HeadWatch:
    """Asks the head for a connection now and then, from :meth:`start` to :meth:`stop`.

    Args:
        address: ``host:port`` of the head's control store.
        lost: called once, in the watch's own thread, when the head has not answered for ``patience`` seconds.
        patience: seconds.
    """

    def __init__(
        self, address: str, lost: Callable[[], None] = lambda: None, patience: float = GIVE_UP_SECONDS
    ) -> None:
        self.address = address
        self.is_lost = False
        self.answers = True
        """Whether it answered when it was asked last."""
        self._lost, self._patience = lost, patience
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="ray-head-watch", daemon=True).start()

    def stop(self) -> None:
        """Watch no longer."""
        self._ended.set()

    @property
    def problem(self) -> str:
        """What to say of a lost head."""
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
    """The state of the cluster that this process is attached to, looked at every :data:`LOOK_SECONDS`."""

    def __init__(self) -> None:
        self.state = look()
        """The last answers."""
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="ray-cluster-watch", daemon=True).start()

    def stop(self) -> None:
        """Watch no longer."""
        self._ended.set()

    def _watch(self) -> None:
        import ray

        while not self._ended.wait(LOOK_SECONDS):
            try:
                self.state = look()
            except (ray.exceptions.RayError, RuntimeError, ConnectionError, TimeoutError):
                continue  # the head is away for a while, which is the other watch's business, or Ray was shut down


def look() -> ClusterState:
    """Ask the head; blocks while it does not answer."""
    import ray

    total, free = ray.cluster_resources(), ray.available_resources()
    return ClusterState(
        nodes=frozenset(node["NodeID"] for node in ray.nodes() if node["Alive"]),
        cpus=int(total.get("CPU", 0)),
        free_cpus=int(free.get("CPU", 0)),
    )


def can_connect(address: str, seconds: float = PROBE_SECONDS) -> bool:
    """Return whether somebody accepts connections at ``host:port``."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=seconds):
            return True
    except OSError:
        return False
