"""Runs cases in a child process and reports what is none of the project's own errors.

``python -m tests.fuzz.campaign --cases 100000`` makes a hundred thousand, ``--only sens:812`` that one again. A case is
known by its target and number (and ``--seed``), from which every random choice in it follows. The child is watched from
outside: a crash of the interpreter, a case over its CPU or memory limit, and a case that waits for ever are findings
like any wrong exception, and the campaign goes on behind them.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import selectors
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CHILD = ("-m", "tests.fuzz.child")
WALL_SECONDS = 120.0
"""A case that has not ended after so long waits for something."""
MAX_RESTARTS = 200
BOARD = struct.Struct("<q24s")
"""The number of the case that a child is at, and its target."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a campaign came to."""

    cases: int = 0
    taken: int = 0  # read in full; the others were refused with an error of the project
    cpu_seconds: float = 0.0
    by_target: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For people."""
        rate = self.cases / max(self.cpu_seconds, 1e-9)
        refused = self.cases - self.taken
        lines = [
            f"{self.cases} cases in {self.cpu_seconds:.1f} s of CPU, {rate:.0f} a second: {refused} refused, "
            f"{self.taken} read, {len(self.findings)} findings",
            "  " + ", ".join(f"{count} {name}" for name, count in sorted(self.by_target.items())),
        ]
        return "\n".join([*lines, *self.findings])


def run_campaign(
    seeds: Path, cases: int, seed: int = 0, only: str = "", targets: str = "", child: Sequence[str] = CHILD
) -> Outcome:
    """Run so many cases over the seeds of :func:`seeds.write_seeds`, in one child process at a time."""
    outcome, seen = Outcome(), set[str]()
    with tempfile.TemporaryDirectory() as scratch:
        resume = 0
        for _ in range(MAX_RESTARTS):
            words = [str(seeds), tempfile.mkdtemp(dir=scratch), str(cases), str(seed), str(resume), only, targets]
            at, problem = _one_child([sys.executable, *child, *words], outcome, seen)
            if problem is None:
                return outcome
            outcome.findings.append(problem)
            resume = at + 1
    outcome.findings.append(f"given up after {MAX_RESTARTS} restarts")
    return outcome


def _one_child(words: list[str], outcome: Outcome, seen: set[str]) -> tuple[int, str | None]:
    """Run a child to its end; if that comes early, the number at which it did and how."""
    with tempfile.NamedTemporaryFile() as board, tempfile.TemporaryFile() as trace:
        board.write(bytes(BOARD.size))
        board.flush()
        environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen([*words, board.name], stdout=subprocess.PIPE, stderr=trace, env=environment)
        with mmap.mmap(board.fileno(), BOARD.size) as progress:
            stuck = _follow(process, progress, outcome, seen)
            at, name = BOARD.unpack(progress[: BOARD.size])
        if process.wait() == 0:
            return at, None
        trace.seek(0)
        tail = trace.read().decode(errors="replace")[-3000:]
        died = "hangs" if stuck else "dies by " + _signal_name(process.returncode)
        return at, f"{name.rstrip(bytes(1)).decode()}:{at}: the process {died}\n{tail}"


def _signal_name(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def _follow(process: subprocess.Popen[bytes], progress: mmap.mmap, outcome: Outcome, seen: set[str]) -> bool:
    """Read what the child reports until it ends; kill it where it makes no progress."""
    last, since = b"", time.monotonic()
    for line in _lines(process):
        if line is None:
            now = progress[: BOARD.size]
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > WALL_SECONDS:
                process.kill()
                return True
            continue
        told = json.loads(line)
        outcome.cpu_seconds += told.get("cpu", 0.0)
        for name, (ran, taken) in told.get("ran", {}).items():
            outcome.cases += ran
            outcome.taken += taken
            outcome.by_target[name] = outcome.by_target.get(name, 0) + ran
        if "finding" in told and told["kind"] not in seen:
            seen.add(told["kind"])
            outcome.findings.append(told["finding"])
            print(told["finding"], file=sys.stderr, flush=True)
    return False


def _lines(process: subprocess.Popen[bytes]) -> Iterator[bytes | None]:
    """The child's lines as they come, and ``None`` every few seconds."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        buffer = b""
        while True:
            if not selector.select(timeout=5):
                yield None
                continue
            data = os.read(process.stdout.fileno(), 1 << 16)
            if not data:
                return
            *whole, buffer = (buffer + data).split(b"\n")
            yield from whole
            yield None


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="TARGET:NUMBER", help="one case again, with its traceback")
    parser.add_argument("--targets", default="", metavar="A,B", help="only these targets")
    options = parser.parse_args()
    from tests.fuzz.seeds import write_seeds
    from tests.support.scannet_scenes import write_scene

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for index in range(2):
            write_scene(root / "data" / "scans" / f"scene000{index}_00", frames=8, lost=(4,))
        write_seeds(root / "seeds", root / "data")
        outcome = run_campaign(root / "seeds", options.cases, options.seed, options.only, options.targets)
    print(outcome.text())
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
