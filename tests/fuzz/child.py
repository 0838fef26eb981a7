"""The process in which cases run: ``python -m tests.fuzz.child SEEDS SCRATCH CASES SEED RESUME ONLY TARGETS BOARD``.

Before each case its number goes to the board, a file that the parent maps. Each case has a limit of CPU time, after
which the kernel ends the process; address space is limited, so that an allocation by a file's claim fails; and what
the process really used at its peak is looked up after every case.
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gapdata.errors import GapDataError
from gapdata.seeding import generator_for
from tests.fuzz.campaign import BOARD
from tests.fuzz.cases import REFUSED, check_message
from tests.fuzz.targets import TARGETS

CPU_SECONDS = 5.0
ADDRESS_SPACE = 1 << 30
"""Beyond what the process has once all is imported."""
MEMORY_FLOOR, MEMORY_PER_BYTE = 48 << 20, 24
"""A case may use so much, and so much for each byte of its input."""


def main() -> None:
    """Run the cases from RESUME on."""
    seeds, scratch = (Path(word) for word in sys.argv[1:3])
    cases, seed, resume = (int(word) for word in sys.argv[3:6])
    only, names, board = sys.argv[6:9]
    output = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    chosen = [name for name in TARGETS if not names or name in names.split(",")]
    run = {}
    for name in chosen:
        (scratch / name).mkdir(parents=True)
        run[name] = TARGETS[name].make(seeds, scratch / name)
    faulthandler.enable()
    faulthandler.register(signal.SIGPROF, all_threads=False, chain=True)
    with open(board, "r+b") as file, mmap.mmap(file.fileno(), BOARD.size) as progress:
        if only:
            name, _, case = only.partition(":")
            _watched(run[name], name, seed, int(case), output)
            return
        _warm_up(run)
        limit = _status("VmSize") + ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        ran: dict[str, list[int]] = {}
        started = time.process_time()
        for number, name in enumerate(_schedule(chosen, cases)):
            if number < resume:
                continue
            progress[: BOARD.size] = BOARD.pack(number, name.encode())
            taken = _watched(run[name], name, seed, number, output)
            counts = ran.setdefault(name, [0, 0])
            counts[0], counts[1] = counts[0] + 1, counts[1] + taken
            if number % 500 == 499:
                print(json.dumps({"ran": ran, "cpu": time.process_time() - started}), file=output)
                ran, started = {}, time.process_time()
        print(json.dumps({"ran": ran, "cpu": time.process_time() - started}), file=output)


def _schedule(names: list[str], cases: int) -> list[str]:
    """The target of each case: blocks by share, so that a short campaign has all of them."""
    total = sum(TARGETS[name].share for name in names)
    plan = [name for name in names for _ in range(-(-cases * TARGETS[name].share // total))]
    order = generator_for(0, "fuzz", "schedule").permutation(len(plan))[:cases]
    return [plan[place] for place in order.tolist()]


def _warm_up(run: dict[str, Any]) -> None:
    """A case of each target, so that what is imported at first use is there before memory is limited."""
    import trimesh  # noqa: F401

    for name, case in run.items():
        for number in range(3):
            with suppress(Exception):
                case(generator_for(0, "warm", name, str(number)))


def _watched(case: Any, name: str, seed: int, number: int, output: Any) -> bool:
    """Run a case under its limits, report a finding, and say whether every reader took the input."""
    rng = generator_for(seed, "fuzz", name, str(number))
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    before = _status("VmRSS")
    size = 1 << 20
    REFUSED.clear()
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        try:
            size = case(rng)
        except GapDataError as error:
            check_message(error)
            REFUSED.append(type(error).__name__)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
        text = "".join(traceback.format_exception(error))
        place = traceback.extract_tb(error.__traceback__)[-1]
        own = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if "/gapdata/" in frame.filename or "/gapmodel/" in frame.filename
        ]
        last = own[-1] if own else place
        kind = f"{name} {type(error).__name__} {last.filename}:{last.lineno}"
        _report(output, kind, f"{name}:{number}: {type(error).__name__}\n{text[-2500:]}")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    used = _status("VmHWM") - before
    if used > MEMORY_FLOOR + MEMORY_PER_BYTE * size:
        _report(output, f"{name} memory", f"{name}:{number}: {used >> 20} MiB for {size} bytes of input")
    return not REFUSED


def _report(output: Any, kind: str, finding: str) -> None:
    print(json.dumps({"kind": kind, "finding": finding}), file=output)


def _status(name: str) -> int:
    """A figure of the process in bytes."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
