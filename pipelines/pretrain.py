#!/usr/bin/env python3
"""Stage 1, geometry-aligned pre-training: a marked pixel, its label and its point in metres.

python pipelines/pretrain.py --shards BUILD --out DIR [--recipe FILE] [--set key=value] [--steps N]
"""

from _entry import REPOSITORY, find_packages, run
from _training import parse_arguments, run_stage


def main() -> None:
    """Read the command line and train."""
    arguments = parse_arguments(
        "Stage 1: what is at the marked pixel, and where.",
        REPOSITORY / "manifests" / "tiny-pretrain.toml",
        needs_init=False,
    )
    run_stage(arguments)


if __name__ == "__main__":
    find_packages()
    run(main)
