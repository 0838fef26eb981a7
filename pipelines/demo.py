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
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


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


def main() -> int:
    """Run the steps in order and return the exit status; the first step that fails ends the demo."""
    parser = argparse.ArgumentParser(description="Run the whole path on synthetic scans.", allow_abbrev=False)
    parser.add_argument("--size", choices=tuple(SIZES), default="full", help="default: full")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "outputs" / "demo", metavar="DIR")
    arguments = parser.parse_args()
    out = arguments.out
    for package in ("gapdata", "gapmodel", "torch", "transformers"):
        if find_spec(package) is None:
            sys.exit(f"demo: {package} is not installed; run `make setup`")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    started = time.monotonic()
    for title, command in steps(SIZES[arguments.size], out):
        words = [str(word) for word in command]
        print(f"\n== {title}\n$ {shlex.join(_short(word) for word in words)}", flush=True)
        status = subprocess.run([sys.executable, "-m", *words], check=False).returncode
        if status:
            print(f"demo: this step ended with status {status}", file=sys.stderr)
            return status
    megabytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    print(f"\nDone in {time.monotonic() - started:.0f} s, {megabytes:.0f} MB on disk. Look at it:")
    for what, where in (
        ("the picture", out / "pointmap.png"),
        ("the scans, in ScanNet's formats", out / "scannet"),
        ("the shards (tar files)", out / "shards"),
        ("the trained models", f"{out / 'stage1' / 'model'} and {out / 'stage2' / 'model'}"),
        ("in a window, where there is a display", shlex.join(["gapdata", "view", str(out / "shards")])),
        ("what the build holds", shlex.join(["gapdata", "inspect", str(out / "shards")])),
    ):
        print(f"  {what + ':':39} {where}")
    return 0


def steps(size: DemoSize, out: Path) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield the title and the command of each step."""
    scans, shards, stage1, stage2 = (out / name for name in ("scannet", "shards", "stage1", "stage2"))
    sizes = ("--color-size", size.color_size, "--depth-size", size.depth_size)
    yield (
        "Synthetic rooms in ScanNet's own file formats",
        ("gapdata", "synth", scans, "--scenes", size.scenes, "--frames", size.frames, "--seed", 0, *sizes),
    )
    yield (
        "Raw scans to training shards",
        ("gapdata", "build-shards", "--scannet", scans, "--out", shards, "--recipe", "demo"),
    )
    yield (
        "A fused pointmap with its prompts, as a picture",
        ("gapdata", "view", shards, "--save", out / "pointmap.png"),
    )
    train, steps1, steps2 = ("gapmodel", "train", "--stage"), size.pretrain_steps, size.finetune_steps
    yield (
        "Stage 1, geometry-aligned pre-training: what is at the mark, and where in metres",
        (*train, "pretrain", "--shards", shards, "--out", stage1, "--steps", steps1),
    )
    yield (
        "Stage 2, fine-tuning on 3D detection",
        (*train, "finetune", "--shards", shards, "--init", stage1, "--out", stage2, "--steps", steps2),
    )
    for number, (model, task) in enumerate(((stage1, "pointmap"), (stage2, "detection")), start=1):
        asked = ("--task", task, "--limit", size.questions)
        yield (
            f"What stage {number} learnt, on held-out scenes",
            ("gapmodel", "evaluate", "--shards", shards, "--model", model, *asked),
        )


def _short(word: str) -> str:
    path = Path(word)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else word


if __name__ == "__main__":
    sys.exit(main())
