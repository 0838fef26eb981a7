"""Ask as many questions as wanted, some rooms after the other: ``make oracle``.

Each round writes the scans of six rooms, one of each kind, builds them, asks, and removes both, so that neither memory
nor disk grows with the number of questions. Every fourth round has the sensor's default noise.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gapdata.shards.reader import ShardReader
from gapdata.synthetic.dataset import SynthesisOptions
from tests.end_to_end.oracle.exam import Exam, ask
from tests.end_to_end.oracle.flights import ask_about_flights
from tests.end_to_end.oracle.rooms import build_rooms

ROOMS, FRAMES = 6, 150
COLOR, DEPTH, STORED = (324, 242), (160, 120), (320, 240)
PER_KIND = 50
FLIGHTS = 3  # in the place of each clip
NOISY_EVERY = 4
FAULTS_SHOWN = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, print the summary, and return 0 if the key agrees with all answers and every answer was given."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--questions", type=int, default=100_000, help="how many at least (default: 100000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first round's rooms (default: 0)")
    parser.add_argument("--seeds", type=int, default=12, help="of the generator, for each room (default: 12)")
    options = parser.parse_args(arguments)
    exam, started, rounds, told = Exam(), time.process_time(), 0, 0
    while exam.total < options.questions:
        with tempfile.TemporaryDirectory() as folder:
            _ask_round(Path(folder), options.seed + rounds, rounds, range(options.seeds), exam)
        rounds += 1
        print("\n".join(exam.faults[told:]), end="\n" if exam.faults[told:] else "", file=sys.stderr)
        told = len(exam.faults)
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds = time.process_time() - started
        print(
            f"{exam.total} questions about {rounds * ROOMS} rooms, {len(exam.faults)} faults, {seconds:.0f} s of CPU, "
            f"{megabytes:.0f} MB at most",
            file=sys.stderr,
        )
    print(exam.summary())
    missing = exam.missing()
    print("\n".join([*missing, *exam.faults[:FAULTS_SHOWN]]) or "every answer was given, and the key agrees with all")
    return 1 if missing or exam.faults else 0


def _ask_round(folder: Path, seed: int, number: int, seeds: range, exam: Exam) -> None:
    noise = 1.0 if number % NOISY_EVERY == NOISY_EVERY - 1 else 0.0
    options = SynthesisOptions(scenes=ROOMS, frames=FRAMES, seed=seed, noise=noise, color_size=COLOR, depth_size=DEPTH)
    records = ShardReader(build_rooms(folder, options, STORED))
    rng = np.random.default_rng(seed)
    flown = ""
    for asked in ask(records, options, exam, seeds=seeds, per_kind=PER_KIND):
        record, room = asked.record, asked.view.room
        if record.view == "clip" and record.key != flown:
            flown = record.key
            for _ in ask_about_flights(record, room, options, exam, flights=FLIGHTS, rng=rng):
                pass
    exam.seen.clear()


if __name__ == "__main__":
    sys.exit(main())
