#!/usr/bin/env python3
"""Stage 2, object-level fine-tuning, at first 3D video object detection; starts from a stage 1 run.

python pipelines/finetune.py --shards BUILD --init STAGE1_DIR --out DIR [--recipe FILE] [--set key=value] [--steps N]
"""

from _entry import REPOSITORY, find_packages, run
from _training import parse_arguments, run_stage


def main() -> None:
    """Read the command line and train."""
    arguments = parse_arguments(
        "Stage 2: all objects that the frames show, as oriented boxes.",
        REPOSITORY / "manifests" / "tiny-finetune.toml",
        needs_init=True,
    )
    run_stage(arguments)


if __name__ == "__main__":
    find_packages()
    run(main)
