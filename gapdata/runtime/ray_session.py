"""Connect to Ray, or start a local one, with the right settings and quietly.

The variables that Ray reads from the environment are set here, before it is imported. ``RAY_ADDRESS`` (which ``ray job
submit`` sets for its entry point) names the cluster to connect to; without it a local Ray is started for this process
alone. A bare ``ray.init()`` would silently connect to any head that happens to run on the machine.
"""

from __future__ import annotations

import atexit
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from gapdata.errors import Terminated, UsageError
from gapdata.runtime.cores import available_cores
from gapdata.runtime.counting import counted
from gapdata.runtime.stopping import HOW_TO_RESUME

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # silences a warning about machines without a GPU
    "RAY_task_oom_retries": "0",  # Ray retries a task that is killed for memory without end; the driver counts
}
AUTH_MODE, AUTH_TOKEN, AUTH_TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
OBJECT_STORE_BYTES = 100 * 2**20
"""Size of a local Ray's object store, through which only small events pass; Ray needs at least 75 MiB."""


class RaySession:
    """A connection to Ray, as a context manager.

    Args:
        workers: cores of a local Ray; all by default.
        gpus: GPUs of a local Ray; ``None`` for all.

    Raises:
        UsageError: (on entering) the cluster cannot be reached.
    """

    def __init__(self, workers: int | None = None, gpus: int | None = 0) -> None:
        self._workers = workers
        self._gpus = gpus
        self._owned = False
        self._settings = ExitStack()
        self.description = ""

    def __enter__(self) -> RaySession:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        address = os.environ.get("RAY_ADDRESS", "local")
        if address != "local":
            _use_token()
        import ray

        if not ray.is_initialized():
            with ExitStack() as settings, _sigterm_kept():
                if address == "local":
                    settings.enter_context(_private_token())
                self._connect(ray, address)
                self._settings = settings.pop_all()
            self._owned = True
        _silence_worker_logs()
        nodes = [node for node in ray.nodes() if node["Alive"]]
        cpus = int(sum(node["Resources"].get("CPU", 0) for node in nodes))
        if self._owned and address == "local":
            self.description = f"on a local Ray with {counted(cpus, 'CPU')}"
        else:
            where = ray.get_runtime_context().gcs_address
            size = f"{counted(len(nodes), 'node')} and {counted(cpus, 'CPU')}"
            self.description = f"on the Ray cluster at {where} with {size}"
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        if self._owned:
            ray.shutdown()
            self._settings.close()
            self._owned = False

    def abandon(self) -> None:
        """Leave a cluster with a lost head without disconnecting.

        To disconnect, now or when the interpreter shuts down, would block until Ray ends the process with a line of its
        own. So the process ends without doing so when its work is over.
        """
        atexit.register(_leave_at_once)
        self._settings.close()
        self._owned = False

    def _connect(self, ray: Any, address: str) -> None:
        quiet: dict[str, Any] = {"logging_level": "error", "log_to_driver": False}
        if address == "local":
            with _package_importable():
                ray.init(
                    address="local",
                    num_cpus=self._workers or available_cores(),
                    num_gpus=self._gpus,
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE_BYTES,
                    **quiet,
                )
            return
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            reason = str(error).partition("\n")[0]
            raise UsageError(
                f"no Ray cluster can be reached at RAY_ADDRESS={address}: {reason}",
                cure="correct it (host:6379), or unset it to start a local Ray",
            ) from error


def _leave_at_once() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Keep the handler of SIGTERM, which ``ray.init`` replaces for good by one that exits with status 15.

    An exit by that handler within the block raises :class:`Terminated`.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as error:
        raise Terminated("stopped by SIGTERM", cure=HOW_TO_RESUME) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _package_importable() -> Iterator[None]:
    """Let the workers of a local Ray, which inherit the environment, import this package.

    It may have been found beside a script instead of being installed.
    """
    before = os.environ.get("PYTHONPATH")
    folder = str(Path(__file__).resolve().parents[2])
    os.environ["PYTHONPATH"] = folder if before is None else f"{folder}{os.pathsep}{before}"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@contextmanager
def _private_token() -> Iterator[None]:
    """Protect a local Ray by a token that only this process and its workers know.

    Otherwise ``ray.init`` would write a token to ``~/.ray/auth_token``: from then on every ``ray start --head`` of the
    user would demand it, and ``ray job submit`` would not present it. A mode or token of the user is kept.
    """
    before = {name: os.environ.get(name) for name in (AUTH_MODE, AUTH_TOKEN)}
    if not any(os.environ.get(name) for name in (AUTH_MODE, AUTH_TOKEN, AUTH_TOKEN_PATH)):
        os.environ |= {AUTH_MODE: "token", AUTH_TOKEN: secrets.token_hex(32)}
    _reload_token()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _reload_token()


def _reload_token() -> None:
    """Make Ray read mode and token again, for which it does not have a public function."""
    import ray._raylet as internals

    if hasattr(internals, "AuthenticationTokenLoader"):
        internals.Config.initialize("")
        internals.AuthenticationTokenLoader.instance().reset_cache()


def _use_token() -> None:
    """Present the user's token to the cluster, if there is one.

    A head expects it by default and accepts it in any case, but Ray's client does not present it unasked.
    """
    has_token = AUTH_TOKEN in os.environ or AUTH_TOKEN_PATH in os.environ
    if has_token or (Path.home() / ".ray" / "auth_token").is_file():
        os.environ.setdefault(AUTH_MODE, "token")


def _silence_worker_logs() -> None:
    """Keep Ray from printing the death of every worker to standard output, where the result goes.

    Ray does not have a public switch for it. The supervisor reports what died.
    """
    import ray._private.worker as internals

    if hasattr(internals, "_worker_logs_enabled"):
        internals._worker_logs_enabled = False
