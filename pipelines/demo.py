#!/usr/bin/env python3
"""The whole path in one command: synthetic scans, shards, two training stages, an evaluation and a geometry audit.

python pipelines/demo.py [--size full|small] [--seed 0] [--out outputs/demo]

Every step is a command that a user would type; it is printed before it runs. ``small`` is the smallest size that still
exercises every step; its figures mean nothing.

The rooms are all bedrooms, a question shows one frame, and detection asks for the largest object: a model of two
million weights that is trained for two minutes learns little more. Held-out rooms are rooms that no stage has seen.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
    instead: str
    """What the model gets instead of its own geometry; another place's needs two held-out rooms."""


SIZES = {
    "full": DemoSize(
        scenes=24,
        frames=46,
        color_size="200x150",
        depth_size="100x75",
        pretrain_steps=1800,
        finetune_steps=400,
        questions=128,
        instead="strange",
    ),
    "small": DemoSize(
        scenes=2,
        frames=40,
        color_size="162x121",
        depth_size="80x60",
        pretrain_steps=6,
        finetune_steps=4,
        questions=6,
        instead="zeroed",
    ),
}


ANSWERS = "answers"
TASKS = {1: ("pointmap", "stage1"), 2: ("detection", "stage2")}
"""By stage: the task that it is asked, and the run."""


def main() -> int:
    """Run the steps in order and return the exit status; the first step that fails ends the demo."""
    parser = argparse.ArgumentParser(description="Run the whole path on synthetic scans.", allow_abbrev=False)
    parser.add_argument("--size", choices=tuple(SIZES), default="full", help="default: full")
    parser.add_argument("--seed", type=int, default=0, help="of the rooms and of the weights (default: 0)")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "outputs" / "demo", metavar="DIR")
    arguments = parser.parse_args()
    out = arguments.out
    for package in ("gapdata", "gapmodel", "torch", "transformers"):
        if find_spec(package) is None:
            sys.exit(f"demo: {package} is not installed; run `make setup`")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    started = time.monotonic()
    for title, command in steps(SIZES[arguments.size], out, arguments.seed):
        words = [str(word) for word in command]
        print(f"\n== {title}\n$ {shlex.join(_short(word) for word in words)}", flush=True)
        status = subprocess.run([sys.executable, "-m", *words], check=False).returncode
        if status:
            print(f"demo: this step ended with status {status}", file=sys.stderr)
            return status
    print("\n== What came of it")
    for sentence in outcome(out):
        print(sentence)
    megabytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    print(f"\nDone in {time.monotonic() - started:.0f} s, {megabytes:.0f} MB on disk. Look at it:")
    for what, where in (
        ("answers beside the truth, a picture", out / "answers.png"),
        ("a fused pointmap, a picture", out / "pointmap.png"),
        ("the scans, in ScanNet's formats", out / "scannet"),
        ("the shards (tar files)", out / "shards"),
        ("the trained models", f"{out / 'stage1' / 'model'} and {out / 'stage2' / 'model'}"),
        ("in a window, where there is a display", shlex.join(["gapdata", "view", str(out / "shards")])),
        ("what the build holds", shlex.join(["gapdata", "inspect", str(out / "shards")])),
    ):
        print(f"  {what + ':':39} {where}")
    return 0


def steps(size: DemoSize, out: Path, seed: int = 0) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield the title and the command of each step; the seed makes the rooms and the weights."""
    # With four small questions in a step a second thread gains less than a second process that reads ahead.
    seeded = ("--set", f"seed={seed}", "--set", "run.threads=1", "--set", "run.workers=1")
    scans, shards, stage1, stage2 = (out / name for name in ("scannet", "shards", "stage1", "stage2"))
    rooms = ("--scenes", size.scenes, "--frames", size.frames, "--rooms", "bedroom", "--seed", seed)
    sizes = ("--color-size", size.color_size, "--depth-size", size.depth_size)
    yield "Synthetic rooms in ScanNet's own file formats", ("gapdata", "synth", scans, *rooms, *sizes)
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
        (*train, "pretrain", "--shards", shards, "--out", stage1, "--steps", steps1, *seeded),
    )
    yield (
        "Stage 2, fine-tuning on 3D detection",
        (*train, "finetune", "--shards", shards, "--init", stage1, "--out", stage2, "--steps", steps2, *seeded),
    )
    pictured: tuple[object, ...] = ()
    for stage, (task, model) in TASKS.items():
        answers = out / ANSWERS / task
        asked = ("--task", task, "--limit", size.questions, "--geometry", f"own,{size.instead}", "--out", answers)
        pictured += ("--predictions", answers)
        yield (
            f"What stage {stage} learnt, on held-out rooms, and what geometry contributes to it",
            ("gapmodel", "evaluate", "--shards", shards, "--model", out / model, *asked),
        )
    yield (
        "Answers beside the truth, as a picture",
        ("gapdata", "view", shards, "--gallery", *pictured, "--save", out / "answers.png"),
    )


def outcome(out: Path) -> Iterator[str]:
    """Say how each stage compares with a constant answer, and what geometry contributes to it."""
    point, boxes = (out / ANSWERS / task for task, _ in TASKS.values())
    own, constant = _figures(point, "pointmap", lambda scores: scores["median_error"])
    verdict = "less than half of it" if own < constant / 2 else "which is not less than half of it: train longer"
    yield f"Stage 1: a marked point is {own:.2f} m off in the median, a constant answer {constant:.2f} m; {verdict}."
    own, constant = _figures(boxes, "detection", lambda scores: scores["overall"]["0.25"]["f1"])
    better = "" if own > constant else ", which is not better: train longer"
    scores = f"is {100 * own:.1f} %, of a constant answer {100 * constant:.1f} %"
    yield f"Stage 2: F1 at IoU 0.25 of the boxes {scores}{better}."
    for folder, task in ((point, "pointmap"), (boxes, "detection")):
        yield json.loads((folder / "geometry.json").read_text(encoding="utf-8"))["tasks"][task]["sentence"]


def _figures(answers: Path, task: str, figure: Callable[[Any], float | None]) -> tuple[float, ...]:
    """Return a figure of the model's answers, and of the constant one; NaN where none can be read."""
    report = json.loads((answers / "report.json").read_text(encoding="utf-8"))
    own, constant = (report[name] for name in (task, f"{task}_baseline"))
    return tuple(math.nan if (value := figure(scores)) is None else value for scores in (own, constant))


def _short(word: str) -> str:
    path = Path(word)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else word


if __name__ == "__main__":
    sys.exit(main())
