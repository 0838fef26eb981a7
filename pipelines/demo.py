#!/usr/bin/env python3
"""The whole path in one command: synthetic scans, shards, a picture, two training stages and an evaluation.

python pipelines/demo.py [--size full|small] [--out outputs/demo]

Every step is a command that a user would type; it is printed before it runs. ``small`` is the smallest size that still
exercises every step; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from _entry import REPOSITORY, find_packages

GAPDATA = (sys.executable, "-m", "gapdata")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSize:
    """How much is made of everything."""

    scenes: int
    frames: int
    color_size: str
    depth_size: str
    pretrain_steps: int
    finetune_steps: int
    questions: int


SIZES = {
    "full": DemoSize(
        scenes=8,
        frames=120,
        color_size="324x242",
        depth_size="160x120",
        pretrain_steps=400,
        finetune_steps=120,
        questions=96,
    ),
    "small": DemoSize(
        scenes=2, frames=40, color_size="162x121", depth_size="80x60", pretrain_steps=6, finetune_steps=4, questions=6
    ),
}


def main() -> None:
    """Run the steps in order; the first that fails ends the demo with its exit status."""
    parser = argparse.ArgumentParser(description="Run the whole path on synthetic scans.", allow_abbrev=False)
    parser.add_argument("--size", choices=tuple(SIZES), default="full", help="default: full")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "outputs" / "demo", metavar="DIR")
    arguments = parser.parse_args()
    size, out = SIZES[arguments.size], arguments.out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    scans, shards, picture = out / "scannet", out / "shards", out / "pointmap.png"
    stage1, stage2 = out / "stage1", out / "stage2"
    started = time.monotonic()

    step(
        "Synthetic rooms in ScanNet's own file formats",
        (*GAPDATA, "synth", scans, "--scenes", size.scenes, "--frames", size.frames, "--seed", 0),
        ("--color-size", size.color_size, "--depth-size", size.depth_size),
    )
    recipe = REPOSITORY / "manifests" / "demo.toml"
    step(
        "Raw scans to training shards",
        (*GAPDATA, "build-shards", "--scannet", scans, "--out", shards, "--recipe", recipe),
    )
    step("A fused pointmap with its prompts, as a picture", (*GAPDATA, "view", shards, "--save", picture))
    step(
        "Stage 1, geometry-aligned pre-training: what is at the mark, and where in metres",
        (sys.executable, REPOSITORY / "pipelines" / "pretrain.py", "--shards", shards, "--out", stage1),
        ("--steps", size.pretrain_steps),
    )
    step(
        "Stage 2, fine-tuning on 3D detection",
        (sys.executable, REPOSITORY / "pipelines" / "finetune.py", "--shards", shards, "--init", stage1),
        ("--out", stage2, "--steps", size.finetune_steps),
    )
    evaluate = (sys.executable, REPOSITORY / "pipelines" / "evaluate.py", "--shards", shards)
    limit = ("--limit", size.questions)
    step("What stage 1 learnt, on held-out scenes", (*evaluate, "--model", stage1, "--task", "pointmap"), limit)
    step("What stage 2 learnt, on held-out scenes", (*evaluate, "--model", stage2, "--task", "detection"), limit)

    megabytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    print(f"\nDone in {time.monotonic() - started:.0f} s, {megabytes:.0f} MB on disk. Look at it:")
    for what, where in (
        ("the picture", picture),
        ("the scans, in ScanNet's formats", scans),
        ("the shards (tar files)", shards),
        ("the trained models", f"{stage1 / 'model'} and {stage2 / 'model'}"),
    ):
        print(f"  {what + ':':34} {where}")
    print("  in a window, where there is a display:", shlex.join(["gapdata", "view", str(shards)]))
    print("  what the build holds:                 ", shlex.join(["gapdata", "inspect", str(shards)]))


def step(title: str, *parts: tuple[object, ...]) -> None:
    """Print a command as a user would type it, and run it."""
    words = [str(word) for part in parts for word in part]
    shown = ["gapdata", *words[3:]] if words[1:3] == list(GAPDATA[1:]) else ["python", *words[1:]]
    print(f"\n== {title}\n$ {shlex.join(_short(word) for word in shown)}", flush=True)
    status = subprocess.run(words, check=False).returncode
    if status:
        print(f"demo: this step ended with status {status}", file=sys.stderr)
        sys.exit(status)


def _short(word: str) -> str:
    path = Path(word)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else word


if __name__ == "__main__":
    find_packages()
    main()
