"""The scores of a bundled model: what ``gapmodel evaluate`` kept, read back with its intervals and its audit."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gapdata.errors import UsageError
from gapmodel.audit.results import RULE
from gapmodel.checkpoints import read_json
from gapmodel.evaluation.benchmark_report import TITLES as BENCHMARKS
from gapmodel.evaluation.benchmark_scores import RULES
from gapmodel.evaluation.figures import NamedFigure
from gapmodel.evaluation.predictions import fingerprint_of_files
from gapmodel.evaluation.report import TITLES
from gapmodel.evaluation.run import MODEL_FILES
from gapmodel.model_directory import RUN_FILE

ASKED = ("questions", "views", "objects", "true boxes", "scenes")
UNREADABLE = ("unreadable answers", "without a caption", "scenes without a readable answer")
AGAIN = "run gapmodel evaluate again with this --out: it asks nothing twice and writes its report anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFigure:
    """One figure of a card."""

    task: str  # as people read it
    figure: NamedFigure
    interval: tuple[float, float] | None
    """95 %, by scene."""
    constant: float | None = None
    """What an answer scores that is the same for every question."""

    def constant_text(self) -> str:
        """Return the constant answer's figure as people read it; empty without one."""
        return "" if self.constant is None else replace(self.figure, value=self.constant).text()

    def range_text(self) -> str:
        """Return the interval as people read it; empty without one."""
        if self.interval is None:
            return ""
        return " .. ".join(replace(self.figure, value=end).text() for end in self.interval)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardScores:
    """One evaluation."""

    split: str
    figures: tuple[CardFigure, ...]
    asked: tuple[str, ...]
    """For each task how much was asked, and how many answers could not be read."""
    audit: tuple[str, ...]
    """A sentence for each task about what geometry contributes to it."""
    rule: str
    """What the audit's sentences rest on; empty without an audit."""


def read_scores(folder: Path, model: Path) -> CardScores:
    """Read an evaluation's directory.

    Args:
        folder: the ``--out`` of ``gapmodel evaluate``.
        model: the model's directory.

    Raises:
        UsageError: it does not hold an evaluation, or one of another model.
    """
    report = folder / "report.json"
    if not report.is_file():
        raise UsageError("does not hold report.json", path=folder, cure="name the --out of gapmodel evaluate")
    if not is_of(folder, model):
        raise UsageError("is an evaluation of another model", path=folder, cure=f"evaluate {model}, or leave it out")
    found = read_json(report)
    try:
        figures, asked = tuple(_figures(found)), tuple(_asked(found))
        audit = _audit(folder / "geometry.json")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"is not a report of this version ({error!r})", path=report, cure=AGAIN) from error
    rule = RULE if audit else ""
    return CardScores(split=str(found.get("split")), figures=figures, asked=asked, audit=audit, rule=rule)


def own_scores(run: Path, model: Path) -> tuple[tuple[CardScores, ...], list[str]]:
    """Read the evaluations of a run's model that lie in the run's directory.

    Nobody named them, so one that cannot be read does not stop a bundle.

    Returns:
        Their scores, and for each evaluation that cannot be read why.
    """
    found, unread = list[CardScores](), list[str]()
    folders = sorted((run / "evaluation").glob("*/report.json")) if (run / RUN_FILE).is_file() else []
    for folder in (path.parent for path in folders):
        try:
            found += [read_scores(folder, model)] if is_of(folder, model) else []
        except UsageError as error:
            unread.append(str(error))
    return tuple(found), unread


def is_of(folder: Path, model: Path) -> bool:
    """Return whether an evaluation is of the model in a directory, as it is now."""
    return read_json(folder / "asked.json").get("model") == fingerprint_of_files(model, MODEL_FILES)


def _figures(report: Mapping[str, Any]) -> Iterator[CardFigure]:
    """Yield the figures that have an interval: the others count questions, or are parts of these."""
    for task, rows in report["figures"].items():
        for row in rows:
            if row["interval"] is not None and row["value"] is not None:
                figure = NamedFigure(name=row["name"], value=row["value"], unit=row["unit"])
                interval, constant = _pair(row["interval"]), row["constant"]
                yield CardFigure(task=TITLES[task], figure=figure, interval=interval, constant=constant)
    for name, item in ((report.get("spatial") or {}).get("types") or {}).items():
        yield from _share(
            f"{name.replace('_', ' ')} questions", "score", item["ours"]["score"], item["intervals"].get("score")
        )
    for benchmark, title in BENCHMARKS.items():
        for name, overall in (report.get(benchmark) or {}).get("overall", {}).items():
            if found := overall["published"].get(RULES[benchmark]):  # others' overall figures do not have it
                yield from _share(f"{title} questions", name, found["value"], found["interval"])


def _asked(report: Mapping[str, Any]) -> Iterator[str]:
    for task, rows in report["figures"].items():
        counts = {row["name"]: row["value"] for row in rows if row["unit"] == "count"}
        said = [f"{counts[name]:.0f} {name}" for name in (*ASKED, *UNREADABLE) if counts.get(name)]
        yield f"{TITLES[task]}: {', '.join(said) or 'nothing'}"
    for name, item in ((report.get("spatial") or {}).get("types") or {}).items():
        ours, title = item["ours"], name.replace("_", " ")
        yield f"{title} questions: {ours['questions']} questions, {ours['unparsable']} unreadable answers"


def _share(task: str, name: str, value: float | None, interval: Sequence[float] | None) -> Iterator[CardFigure]:
    if value is not None and math.isfinite(value):
        figure = NamedFigure(name=name, value=value, unit="share")
        yield CardFigure(task=task, figure=figure, interval=None if interval is None else _pair(interval))


def _pair(values: Sequence[float]) -> tuple[float, float]:
    low, high = values
    return float(low), float(high)


def _audit(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    tasks = json.loads(path.read_text(encoding="utf-8"))["tasks"].values()
    return tuple(str(task["sentence"]) for task in tasks if task["sentence"])
