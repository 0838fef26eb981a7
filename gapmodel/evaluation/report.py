"""Results as a table for a terminal, as Markdown, and as plain types for programs."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, Literal

from gapdata.files.atomic import write_atomically
from gapmodel.evaluation.benchmark_report import TITLES as BENCHMARK_TITLES
from gapmodel.evaluation.benchmark_report import benchmark_notes, benchmark_table
from gapmodel.evaluation.compat import WHY
from gapmodel.evaluation.detection import Counts, DetectionScores
from gapmodel.evaluation.figures import NamedFigure, figures
from gapmodel.evaluation.results import Evaluation, TaskResult
from gapmodel.evaluation.spatial_report import spatial_notes, spatial_tables
from gapmodel.evaluation.tables import NONE, Table, as_text, in_markdown, percent, without_empty_columns

Columns = Literal["both", "none", "gap"]
"""``both``: our scores and the authors'; ``none``: ours alone; ``gap``: the authors' alone."""

TITLES = {
    "pointmap": "pointmap",
    "reconstruction": "reconstruction (points of a scene together)",
    "detection": "detection",
    "grounding": "grounding in one pass",
    "grounding_two_stage": "grounding in two stages",
    "captioning": "dense captioning",
}


def write_report(results: Evaluation, out: Path, columns: Columns = "both") -> None:
    """Write ``report.json`` and ``report.md`` into the evaluation's directory."""
    write_atomically(out / "report.json", (json.dumps(as_dict(results), indent=2) + "\n").encode())
    write_atomically(out / "report.md", as_markdown(results, columns).encode())


def as_dict(results: Evaluation) -> dict[str, Any]:
    """Return nested plain types, valid as JSON everywhere: not-a-number becomes ``None``.

    Each task's scores stand under its name, the authors' under ``<task>_gap``, the constant answer's under
    ``<task>_baseline``, and ours once more under ``figures``, in the table's order and with their intervals; those of
    all spatial questions under ``spatial``, those of published benchmarks under their names.
    """
    found: dict[str, Any] = {"split": results.split}
    for name, task in results.tasks.items():
        found[name] = _plain(task.ours)
        found |= {} if task.gap is None else {f"{name}_gap": _plain(task.gap)}
        found |= {} if task.baseline is None else {f"{name}_baseline": _plain(task.baseline)}
    found |= {} if results.spatial is None else {"spatial": _plain(results.spatial)}
    found |= {name: _plain(result) for name, result in results.benchmarks.items()}
    tasks = results.tasks.items()
    found["figures"] = {name: [_named(figure, task) for figure in figures(task.ours)] for name, task in tasks}
    found["intervals"] = {name: {k: list(v) for k, v in task.intervals.items()} for name, task in tasks}
    found["left_out"] = {name: task.left_out for name, task in tasks}
    found["left_out"] |= {"rows": results.left_out} if results.left_out else {}
    found["notes"] = {name: _notes(task) for name, task in tasks}
    found["taught"] = None if results.taught is None else list(results.taught)
    found["remarks"] = list(results.remarks)
    found |= {"view": results.view} if results.view else {}
    return found


def as_table(results: Evaluation, columns: Columns = "both") -> str:
    """Return the text of the tables: of all tasks, of the classes of detection, and of spatial questions."""
    parts = [as_text(summary(results, columns))] if results.tasks else [f"split {results.split}"]
    for task in results.tasks.values():
        if isinstance(task.ours, DetectionScores):
            parts.append(as_text(class_table(task, columns)))
    parts += [f"{title}\n{as_text(table)}" for title, table in _question_tables(results)]
    parts += [f"{TITLES[task.task]}: {note}" for task in results.tasks.values() for note in _notes(task)]
    parts += _question_notes(results)
    return "\n\n".join([*parts, *results.remarks])


def as_markdown(results: Evaluation, columns: Columns = "both") -> str:
    """Return the tables as a Markdown document."""
    parts = [f"# Evaluation on split {results.split}"]
    parts += [in_markdown(summary(results, columns))] if results.tasks else []
    for task in results.tasks.values():
        if isinstance(task.ours, DetectionScores):
            parts += ["## Detection by class", in_markdown(class_table(task, columns))]
    parts += [part for name, table in _question_tables(results) for part in (f"## {name}", in_markdown(table))]
    notes = [f"- {TITLES[task.task]}: {note}" for task in results.tasks.values() for note in _notes(task)]
    notes += [f"- {note}" for note in _question_notes(results)]
    notes += [f"- {remark}" for remark in results.remarks]
    return "\n\n".join([*parts, *(["## Notes", "\n".join(notes)] if notes else [])]) + "\n"


def _question_tables(results: Evaluation) -> list[tuple[str, Table]]:
    """Return the tables of spatial questions and of benchmarks, with their titles."""
    tables = [] if results.spatial is None else spatial_tables(results.spatial)
    theirs = [(f"Questions of {BENCHMARK_TITLES[name]}", benchmark_table(r)) for name, r in results.benchmarks.items()]
    return [*tables, *theirs]


def _question_notes(results: Evaluation) -> list[str]:
    notes = [] if results.spatial is None else spatial_notes(results.spatial)
    return [*notes, *(note for result in results.benchmarks.values() for note in benchmark_notes(result))]


def summary(results: Evaluation, columns: Columns = "both") -> Table:
    """Make a table with a row for each figure, all tasks below each other."""
    ours, gap = columns != "gap", columns != "none"
    header = [f"split {results.split}", *(["ours", "95 % interval"] if ours else []), *(["authors'"] if gap else [])]
    rows: list[tuple[str, ...]] = []
    for task in results.tasks.values():
        rows.append((TITLES[task.task],))
        theirs = {} if task.gap is None else {figure.name: figure for figure in figures(task.gap)}
        constant = {} if task.baseline is None else {figure.name: figure for figure in figures(task.baseline)}
        for figure in figures(task.ours):
            row = [f"  {figure.name}"]
            if ours:
                row += [figure.text(), _interval(figure, task)]
            if gap:
                row.append(theirs[figure.name].text() if figure.name in theirs else NONE)
            row.append(constant[figure.name].text() if figure.name in constant else "")
            rows.append(tuple(row))
        rows += [(f"  not asked: {reason}", str(count)) for reason, count in task.left_out.items()]
    return without_empty_columns(Table(header=(*header, "constant answer"), rows=tuple(rows)))


def class_table(task: TaskResult, columns: Columns = "both") -> Table:
    """Make a table of detection by class: precision, recall and F1 at both thresholds, ours and the authors'."""
    scores = task.gap if columns == "gap" else task.ours
    assert isinstance(scores, DetectionScores)
    theirs = task.gap if columns == "both" and isinstance(task.gap, DetectionScores) else None
    header = ["class", "true", "predicted"]
    for limit in scores.by_class:
        header += [f"P {limit}", f"R {limit}", f"F1 {limit}", f"AP {limit}"]
        header += [f"F1 {limit} authors'"] if theirs is not None else []
    rows = []
    for label in sorted({name for counts in scores.by_class.values() for name in counts}):
        first = next(iter(scores.by_class.values())).get(label, Counts())
        row = [label, str(first.true_positives + first.false_negatives)]
        row.append(str(first.true_positives + first.false_positives))
        for limit, classes in scores.by_class.items():
            counts = classes.get(label, Counts())
            shares = (counts.precision, counts.recall, counts.f1, scores.ap_by_class[limit].get(label, math.nan))
            row += [percent(value) for value in shares]
            if theirs is not None:
                row.append(percent(theirs.by_class[limit].get(label, Counts()).f1))
        rows.append(tuple(row))
    return without_empty_columns(Table(header=tuple(header), rows=tuple(rows)))


def _named(figure: NamedFigure, task: TaskResult) -> dict[str, Any]:
    interval = task.intervals.get(figure.name)
    constant = {} if task.baseline is None else {item.name: item.value for item in figures(task.baseline)}
    known = {"interval": interval, "constant": constant.get(figure.name)}
    row: dict[str, Any] = _plain({**dataclasses.asdict(figure), **known})
    return row


def _interval(figure: NamedFigure, task: TaskResult) -> str:
    found = task.intervals.get(figure.name)
    return "" if found is None else " .. ".join(dataclasses.replace(figure, value=end).text() for end in found)


def _notes(task: TaskResult) -> list[str]:
    why = WHY.get({"reconstruction": "pointmap"}.get(task.task, task.task))
    return [*([] if why is None or task.gap is None or task.task == "reconstruction" else [why]), *task.notes]


def _plain(value: Any) -> Any:
    if isinstance(value, Counts):
        names = ("true_positives", "false_positives", "false_negatives", "precision", "recall", "f1")
        return {name: getattr(value, name) for name in names}
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
