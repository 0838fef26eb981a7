"""Count the cores that a process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Return the number of cores that this process may use.

    A container or a batch system may allow fewer than the machine has. macOS and Windows cannot say which are allowed,
    and there all of them count.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
