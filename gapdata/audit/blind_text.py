"""The blind table as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from gapdata.audit.spatial_blind import LARGEST_EXCESS, BlindRow, BlindScore
from gapdata.audit.text_guesses import OF_LETTERS

COLUMNS = ("constant", "category", "words")
HEAD = ("type", "form", "asked", "places", "chance", *COLUMNS, "best other")


def format_blind(rows: Sequence[BlindRow]) -> str:
    """Return a line for each form, in percent with 95 % intervals over places, and what exceeds chance."""
    if not rows:
        return "blind: there are too few questions or places to learn from some and guess others"
    lines = [HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(HEAD))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    fitted = {
        "train": "fitted on the train split, scored on the others",
        "folds": "fitted and scored on folds of places",
    }
    ways = "; ".join(sorted({fitted[row.fitted] for row in rows}))
    head = (
        f"what text alone reaches, in percent with 95 % intervals over places ({ways}; numbers by relative accuracy):"
    )
    found = [_listed(row) for row in rows if row.exceeding]
    limit = f"{100 * LARGEST_EXCESS:g} points"
    end = (
        f"more than {limit} above chance (*): {'; '.join(found)}"
        if found
        else f"no letters are known to exceed chance by {limit}"
    )
    return "\n".join([head, *(f"  {line}" for line in table), end])


def best_other(row: BlindRow) -> str:
    """Return the name of the rule for letters that scores best, or nothing where there is none."""
    return max((name for name in OF_LETTERS if name in row.scores), key=lambda name: row.scores[name].score, default="")


def percent(score: BlindScore) -> str:
    """Return a score with its interval."""
    if score.interval is None:
        return f"{100 * score.score:.1f}"
    low, high = (100 * end for end in score.interval)
    return f"{100 * score.score:.1f} ({low:.0f}-{high:.0f})"


def _cells(row: BlindRow) -> tuple[str, ...]:
    told = [percent(row.scores[name]) + " *" * (name in row.exceeding) for name in COLUMNS]
    other = best_other(row)
    if other:
        told.append(f"{other} {percent(row.scores[other])}" + " *" * (other in row.exceeding))
    cells = (row.kind, row.form, str(row.questions), str(row.places), f"{100 * row.chance:.1f}", *told)
    return cells if other else (*cells, "")


def _listed(row: BlindRow) -> str:
    most = max(row.exceeding, key=lambda name: row.scores[name].excess)
    return f"{row.kind}{row.form and ' ' + row.form} +{100 * row.scores[most].excess:.0f} by {most}"
