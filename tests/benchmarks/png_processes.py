"""Encodes the same arrays in many fresh processes and counts how many different files come out: it must be one.

    python -m tests.benchmarks.png_processes --processes 5000

Each process is a new one with its own layout of memory (a fork would share it). The arrays are like instance masks,
prompt masks and noisy depth.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ONCE = """
import hashlib, sys
import numpy as np
from gapdata.records.codec import encode_png
with np.load(sys.argv[1]) as images:
    print(hashlib.sha256(b"".join(encode_png(image) for name in images.files for image in images[name])).hexdigest())
"""


def ragged_masks(count: int, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Patches with ragged borders, (count, 96, 128)."""
    y, x = np.mgrid[:96, :128]
    images = np.zeros((count, 96, 128), np.uint16)
    for image in images:
        for _ in range(13):
            row, column, radius = rng.integers(0, 96), rng.integers(0, 128), rng.integers(6, 40)
            distance = abs(y - row) + abs(x - column) * rng.uniform(0.3, 2) + rng.integers(0, 3, (96, 128))
            image[distance < radius] = rng.integers(1, 60)
    return images


def noisy_depth(count: int, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Slanted planes with noise and holes, (count, 96, 128) millimetres."""
    y, x = np.mgrid[:96, :128]
    planes = 1500 + rng.uniform(-8, 8, (count, 1, 1)) * y + rng.uniform(-8, 8, (count, 1, 1)) * x
    depth = np.clip(planes + rng.normal(0, 3, planes.shape), 0, 9000).astype(np.uint16)
    depth[rng.random(depth.shape) < 0.05] = 0
    return depth


def count_digests(processes: int, at_once: int) -> Counter[str]:
    """How many processes gave which digest over all encoded arrays."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        masks = ragged_masks(60, rng)
        np.savez(path, masks=masks, prompts=(masks % 7 == 3).astype(np.uint8), depth=noisy_depth(20, rng))
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

        def run(_: int) -> str:
            command = [sys.executable, "-c", ONCE, str(path)]
            return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

        with ThreadPoolExecutor(at_once) as threads:
            return Counter(threads.map(run, range(processes)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=5000, metavar="N")
    parser.add_argument("--at-once", type=int, default=2, metavar="N")
    options = parser.parse_args()
    counts = count_digests(options.processes, options.at_once)
    for digest, count in counts.most_common():
        print(f"{count} processes: {digest}")
    return 0 if len(counts) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
