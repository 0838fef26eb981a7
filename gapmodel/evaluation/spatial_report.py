"""The scores of spatial questions as tables: ours beside blind answers, errors of numbers, and published scorers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gapmodel.evaluation.grouped_means import OverallFigure
from gapmodel.evaluation.results import SpatialEvaluation, SpatialResult
from gapmodel.evaluation.spatial_scores import SpatialScores, published_scorers, unit_of
from gapmodel.evaluation.tables import Table, percent, span, without_empty_columns

HEADER = ("type", "asked", "unreadable", "score", "95 % interval", "constant", "by category", "chance", "above chance")
SAME = 5e-4
"""Figures that are nearer to each other look equal in the table."""
VSI_TITLE = "VSI-Bench's mean"
WHY_PUBLISHED = {
    "VSI-Bench": "reads the first blank-separated word alone.",
    "lmms-eval": "reads letters as VSI-Bench does, and the first number, in words too.",
    "VLMEvalKit": "reads the letter or number that a text ends with, and takes 0.05 for right where the truth is 0.",
    "SPAR-Bench": "takes the empty text, and one that begins with the right letter, for right, and of several frames "
    "the last number.",
}
"""What each published program does otherwise than we do."""


def spatial_tables(found: SpatialEvaluation) -> list[tuple[str, Table]]:
    """Return the tables with their titles: all types, the numbers among them, and how published programs score."""
    tables = [("Spatial questions", score_table(found))]
    if (numbers := number_table(found)).rows:
        tables.append(("Errors of the numbers among them", numbers))
    if (published := published_table(found)).rows:
        tables.append(("The same answers as published programs score them, where that differs", published))
    return tables


def spatial_notes(found: SpatialEvaluation) -> list[str]:
    """Return what has to be known to read the tables."""
    notes = [
        "spatial questions: the score is the mean relative accuracy of numbers and the accuracy of letters, in "
        "percent. Constant answers see no frame; they are fitted on training scenes for each form of a question, and "
        "by category for each name in it. Above chance is (hits - sum 1/n) / (N - sum 1/n) over questions of n options."
    ]
    if found.overall.vsi.missing:
        notes.append(
            f"{VSI_TITLE}: without {', '.join(found.overall.vsi.missing)}, so it cannot be compared with others'"
        )
    lacking = found.overall.spar["overall"].missing
    if lacking:
        notes.append(f"SPAR-Bench's levels: without {', '.join(lacking)}")
    unread = {title(result.task): result.ours.reasons for result in found.types.values() if result.ours.reasons}
    said = [
        f"{name}: {', '.join(f'{count} {why}' for why, count in reasons.items())}" for name, reasons in unread.items()
    ]
    notes += [f"unreadable answers: {'; '.join(said)}"] if said else []
    published = published_table(found)
    shown = published.header if published.rows else ()
    return [*notes, *(f"{name} {why}" for name, why in WHY_PUBLISHED.items() if name in shown)]


def score_table(found: SpatialEvaluation) -> Table:
    """Make a table of the scores of all types and forms, and of the overall figures."""
    rows: list[tuple[str, ...]] = []
    for result in found.types.values():
        rows += [_score_row(result, form) for form in ("", *result.ours.by_form)]
    overall = found.overall
    rows.append(("overall",))
    rows.append(_overall_row(VSI_TITLE, overall.vsi))
    rows += [_overall_row(f"SPAR-Bench {level}", figure) for level, figure in overall.spar.items()]
    return without_empty_columns(Table(header=HEADER, rows=tuple(rows)))


def number_table(found: SpatialEvaluation) -> Table:
    """Make a table of the errors of the types that are answered with a number."""
    rows = []
    for result in found.types.values():
        if result.ours.metric == "number":
            parts = {"": result.ours, **result.ours.by_form}
            rows += [_error_row(result, form, scores) for form, scores in parts.items()]
    header = ("type", "exact", "median error", "95 % interval", "median relative error", "95 % interval")
    return without_empty_columns(Table(header=header, rows=tuple(rows)))


def published_table(found: SpatialEvaluation) -> Table:
    """Make a table of the types that published programs score differently: our score, and theirs where it differs."""
    names = list(dict.fromkeys(name for kind in found.types for name in published_scorers(kind)))
    rows = []
    for result in found.types.values():
        for form, scores in {"": result.ours, **result.ours.by_form}.items():
            cells = _differing(scores.score, scores.published, names)
            if any(cells):
                rows.append((_name(result.task, form), percent(scores.score), *cells))
    mean = found.overall.vsi.of_asked
    cells = _differing(mean, found.overall.vsi_published, names)
    if any(cells):
        rows.append((VSI_TITLE, percent(mean), *cells))
    return without_empty_columns(Table(header=("type", "ours", *names), rows=tuple(rows)))


def title(kind: str) -> str:
    """Return a type's name in words."""
    return kind.replace("_", " ")


def _name(kind: str, form: str) -> str:
    return f"  {title(kind)}, {form}" if form else title(kind)


def _score_row(result: SpatialResult, form: str) -> tuple[str, ...]:
    parts = list(_of_form(result, form))
    ours = parts[0]
    assert ours is not None
    blind = ["" if part is None else percent(part.score) for part in parts[1:]]
    interval = result.intervals.get(f"score, {form}" if form else "score")
    return (
        _name(result.task, form),
        str(ours.questions),
        str(ours.unparsable),
        percent(ours.score),
        span(interval),
        *blind,
        *([percent(ours.chance), percent(ours.caa)] if ours.metric == "letter" else ["", ""]),
    )


def _of_form(result: SpatialResult, form: str) -> Iterator[SpatialScores | None]:
    for scores in (result.ours, result.constant, result.by_category):
        yield scores.by_form.get(form) if form and scores is not None else scores


def _overall_row(name: str, figure: OverallFigure) -> tuple[str, ...]:
    of = f" without {len(figure.missing)} of its parts" if figure.missing and not math.isnan(figure.of_asked) else ""
    return (f"{name}{of}", "", "", percent(figure.of_asked), span(figure.interval))


def _error_row(result: SpatialResult, form: str, scores: SpatialScores) -> tuple[str, ...]:
    unit = unit_of(result.task, form)
    intervals = {} if form else result.intervals
    return (
        _name(result.task, form),
        percent(scores.exact),
        "" if unit is None or math.isnan(scores.median_error) else f"{scores.median_error:.2f} {unit}".strip(),
        "" if unit is None else span(intervals.get("median error"), 1.0, 2),
        percent(scores.median_relative_error),
        span(intervals.get("median relative error")),
    )


def _differing(ours: float, published: dict[str, float], names: list[str]) -> list[str]:
    return [
        percent(published[name]) if name in published and abs(published[name] - ours) >= SAME else "" for name in names
    ]
