"""Choose an executor by its name.

inline   in this process, one shard after the other
local    one new process for each shard on this machine; a crash concerns its own shard only
ray      Ray Core tasks, on this machine or on a cluster
"""

from __future__ import annotations

import importlib.util

from gapdata.engine.executors.attempts import Executor
from gapdata.engine.executors.inline import InlineExecutor
from gapdata.errors import UsageError
from gapdata.runtime.choices import unknown_choice
from gapdata.runtime.cores import available_cores

EXECUTORS = ("inline", "local", "ray")


def make_executor(name: str, workers: int | None = None) -> Executor:
    """Make the executor of a name.

    Args:
        name: one of :data:`EXECUTORS`.
        workers: shards built at once; by default as many as there are cores, on this machine or in the cluster.

    Raises:
        UsageError: the name is unknown, the executor cannot have that many workers, or Ray is not installed.
    """
    if name == "inline":
        if workers is not None and workers > 1:
            raise UsageError(f"executor inline has one worker, not {workers}", cure="use --executor local or ray")
        return InlineExecutor()
    if name == "local":
        from gapdata.engine.executors.local import LocalExecutor

        return LocalExecutor(workers or available_cores())
    if name == "ray":
        if importlib.util.find_spec("ray") is None:
            raise UsageError(
                "executor ray needs Ray, which is not installed",
                cure="run `pip install ray`, or choose --executor local (processes on this machine)",
            )
        from gapdata.engine.executors.ray import RayExecutor

        return RayExecutor(workers)
    raise unknown_choice("executor", name, EXECUTORS)
