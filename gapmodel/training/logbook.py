"""The log of a run: a bar, a line of JSON for each step, TensorBoard where it is installed.

``log.jsonl`` has each step once: a run that goes on from a checkpoint removes the lines of the steps that it repeats.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gapdata.files.atomic import write_atomically
from gapmodel.training.census import StreamCensus
from gapmodel.training.geometry_use import HeldOutLoss

LOG_FILE = "log.jsonl"
SAMPLES_FILE = "samples.jsonl"
SMOOTHING = 20
"""Steps over which the bar's loss is averaged."""


class Logbook:
    """The log of one rank; only the rank that speaks writes.

    Args:
        out: the run's directory.
        title: the text of the bar.
        start, steps: the first step, and the number of steps in all.
        speaks: whether this rank writes.
        bar: whether to show a bar, too.
    """

    def __init__(self, out: Path, title: str, start: int, steps: int, *, speaks: bool, bar: bool = True) -> None:
        self.speaks = speaks
        self.recent: list[float] = []
        self.out = out
        self._opening: dict[str, Any] = {}
        self._board: Any = None
        if not speaks:
            return
        for name in (LOG_FILE, SAMPLES_FILE):
            _take_back(out / name, start)
        self._log = (out / LOG_FILE).open("a", encoding="utf-8")
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(out / "tensorboard"), purge_step=start)
        shown = bar and start < steps
        self._bar = tqdm(
            total=steps, initial=start, desc=title, unit="step", mininterval=1.0, file=sys.stderr, disable=not shown
        )

    def begin(self, streams: Mapping[str, StreamCensus], notes: Sequence[str]) -> None:
        """Print what each stream draws on and leaves out, and ``notes``; the first step's line has the streams, too."""
        if not self.speaks:
            return
        self._opening = {"streams": {name: found.to_fields() for name, found in streams.items()}}
        for name, found in streams.items():
            self._bar.write(f"{name}: {found}", file=sys.stderr)
        for note in notes:
            self._bar.write(note, file=sys.stderr)

    def say(self, text: object) -> None:
        """Print a line; ``None`` prints nothing."""
        if self.speaks and text is not None:
            self._bar.write(str(text), file=sys.stderr)

    def step(self, step: int, figures: Mapping[str, float], keys: list[str] | None = None) -> None:
        """Write the figures of a step; the bar shows ``loss``, ``lr`` and the rates that are there."""
        if not self.speaks:
            return
        rounded = {name: _rounded(value) for name, value in figures.items()}
        line: dict[str, Any] = {"step": step, **rounded, **self._opening}
        self._opening = {}
        self._write(LOG_FILE, line if keys is None else {**line, "keys": keys})
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, value, step)
        self.recent = [*self.recent[1 - SMOOTHING :], figures["loss"]]
        shown = {"loss": f"{sum(self.recent) / len(self.recent):.3f}", "lr": f"{figures['lr']:.1e}"}
        for name, unit in (("records_per_second", "rec/s"), ("tokens_per_second", "tok/s")):
            if name in figures:
                shown[unit] = f"{figures[name]:.3g}"
        if "mfu" in figures:
            shown["MFU"] = f"{figures['mfu']:.1%}"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(step + 1 - self._bar.n)

    def held_out(self, step: int, losses: Mapping[str, HeldOutLoss], samples: list[dict[str, str]]) -> None:
        """Write the losses on held-out questions, and show answers beside the truth.

        The names of the figures are those of :meth:`gapmodel.training.geometry_use.HeldOutLoss.figures`.
        """
        if not self.speaks:
            return
        figures = {name: value for stream, loss in losses.items() for name, value in loss.figures(stream).items()}
        self._write(LOG_FILE, {"step": step, **{name: _rounded(value) for name, value in figures.items()}})
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name.replace(".", "/", 1), value, step)
        said = ", ".join(loss.shown(name) for name, loss in losses.items())
        self._bar.write(f"step {step}: held-out loss of answers: {said}", file=sys.stderr)
        for sample in samples:
            self._write(SAMPLES_FILE, {"step": step, **sample})
            text = f"  {sample['key']}\n    true:  {_shown(sample['true'])}\n    model: {_shown(sample['model'])}"
            self._bar.write(text, file=sys.stderr)

    def close(self) -> None:
        """Close the bar and the files."""
        if not self.speaks:
            return
        self._bar.close()
        self._log.close()
        if self._board is not None:
            self._board.close()

    def _write(self, name: str, line: Mapping[str, Any]) -> None:
        """Write a line of JSON that can be read while training goes on."""
        text = json.dumps(line) + "\n"
        if name == LOG_FILE:
            self._log.write(text)
            self._log.flush()
        else:
            with (self.out / name).open("a", encoding="utf-8") as file:
                file.write(text)


def read_log(out: Path) -> list[dict[str, Any]]:
    """Read the lines of a run's log; a last line that a kill cut off is left out."""
    return _lines(out / LOG_FILE)


def _lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines


def _take_back(path: Path, start: int) -> None:
    """Remove the lines of the steps from ``start`` on."""
    if path.is_file():
        kept = [line for line in _lines(path) if line["step"] < start]
        write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept).encode())


def _rounded(value: float) -> float:
    """Round to seven digits, which is what float32 has."""
    return float(f"{value:.7g}") if math.isfinite(value) else value


def _shown(text: str, most: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
