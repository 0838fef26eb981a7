"""The audit of a model: what geometry contributes to all tasks, in sentences, tables and plain types."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from gapdata.tasks.spatial.kinds import KINDS
from gapmodel.audit.contribution import FEWEST_SCENES, SPATIAL, WHOLE, Contribution, TaskAudit
from gapmodel.audit.levels import LevelFigures
from gapmodel.evaluation.tables import NONE, Table, as_text, in_markdown

TITLES = {
    "pointmap": "pointmap",
    "grounding": "grounding in one pass",
    "grounding_two_stage": "grounding in two stages",
    "captioning": "dense captioning",
    SPATIAL: "all questions about space together",
}
DECIDING = ("strange", "zeroed", "shuffled")
"""The treatment that a task's sentence is about: the first of these that was asked for."""
INSTEAD = {
    "strange": "another place's geometry",
    "zeroed": "no geometry",
    "shuffled": "the geometry of other frames",
    "blind": "no visual token at all",
}
RULE = (
    "A difference is the figure with the model's own geometry minus the figure without it, over the same answers' "
    f"questions; ± is half of its 95 % interval, for which scenes are drawn with replacement. With fewer than "
    f"{FEWEST_SCENES} scenes nothing is told from chance."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeometryAudit:
    """What geometry contributes to each task, and what each level does with it."""

    split: str
    tasks: tuple[TaskAudit, ...]
    levels: tuple[LevelFigures, ...] = ()
    moved_by: str = ""
    """The change by which the levels' tokens were moved."""


def sentences(audit: GeometryAudit) -> list[str]:
    """Say in one sentence for each task what geometry contributes to it."""
    return [sentence for task in audit.tasks if (sentence := task_sentence(task))]


def task_sentence(task: TaskAudit) -> str:
    """Say what geometry contributes to a task; empty where only the blind model was compared."""
    found = next((item for name in DECIDING if (item := task.whole(name)) is not None), None)
    if found is None:
        return ""
    title, instead = title_of(task.task), INSTEAD[found.treatment.change]
    about = f"{task.figure}: {found.own:.1f} with its own, {found.other:.1f} with {instead}"
    if found.interval is None or found.scenes < FEWEST_SCENES:
        few = f"{found.scenes} scene{'s' * (found.scenes != 1)}"
        return f"What geometry contributes to {title} cannot be told from {few} ({about})."
    if found.own == found.other == 0:
        return f"What geometry contributes to {title} cannot be told: {task.figure} is 0 with it and with {instead}."
    if not found.decided:
        return f"Geometry contributes nothing to {title} that can be told from chance ({about}; {span(found)})."
    amount = f"{abs(found.difference):.1f} ± {half_width(found):.1f} points"
    if found.difference > 0:
        return f"Geometry contributes {amount} to {title} ({about})."
    return f"Geometry costs {amount} of {title} ({about})."


def title_of(task: str) -> str:
    """Return a task's name as sentences have it."""
    title = TITLES.get(task, task.replace("_", " "))
    return f"{title} questions" if task in KINDS else title


def span(item: Contribution) -> str:
    """Return a contribution's interval in words."""
    if item.interval is None:
        return NONE
    return f"95 % interval {item.interval[0]:+.1f} to {item.interval[1]:+.1f}"


def half_width(item: Contribution) -> float:
    """Return half the width of a contribution's interval, in points."""
    return math.nan if item.interval is None else (item.interval[1] - item.interval[0]) / 2


def contribution_table(audit: GeometryAudit) -> Table:
    """Make a table with a row for each treatment of each task, and for each kind of its questions."""
    rows: list[tuple[str, ...]] = []
    for task in audit.tasks:
        rows.append((f"{title_of(task.task)}: {task.figure}",))
        for item in task.contributions:
            name = item.treatment.name if item.kind == WHOLE else f"  {item.kind}"
            ends = ("", "") if item.interval is None else tuple(f"{end:+.1f}" for end in item.interval)
            told = "yes" if item.decided else "no"
            figures = (str(item.questions), str(item.scenes), f"{item.own:.1f}", f"{item.other:.1f}")
            rows.append((f"  {name}", *figures, f"{item.difference:+.1f}", " .. ".join(filter(None, ends)), told))
    header = ("geometry", "questions", "scenes", "own", "treated", "difference", "95 % interval", "told from chance")
    return Table(header=(f"split {audit.split}, {header[0]}", *header[1:]), rows=tuple(rows))


def level_table(audit: GeometryAudit) -> Table:
    """Make a table with a row for each fusion level."""
    rows = []
    for level in audit.levels:
        gate = NONE if level.gate is None else f"{level.gate:.3f} ± {level.gate_spread:.3f}"
        rows.append((level.stream, level.strategy, gate, level.gate_of or NONE, f"{100 * level.moved:.1f} %"))
    header = ("level", "fusion", "gate", "share of", f"tokens moved by {INSTEAD[audit.moved_by]}")
    return Table(header=header, rows=tuple(rows))


def as_table(audit: GeometryAudit) -> str:
    """Return sentences and tables for a terminal."""
    tables = [contribution_table(audit), *([level_table(audit)] if audit.levels else [])]
    return "\n\n".join([*map(as_text, tables), "\n".join(sentences(audit))])


def as_markdown(audit: GeometryAudit, picture: str) -> str:
    """Return the audit as a Markdown document that shows the file ``picture``."""
    parts = ["# What geometry contributes", "\n".join(f"- {line}" for line in sentences(audit)), f"![]({picture})"]
    parts += [in_markdown(contribution_table(audit)), RULE]
    parts += ["## Fusion levels", in_markdown(level_table(audit))] if audit.levels else []
    return "\n\n".join(parts) + "\n"


def as_dict(audit: GeometryAudit) -> dict[str, Any]:
    """Return plain types for JSON; a figure that does not exist is ``None``."""
    tasks = {}
    for task in audit.tasks:
        rows = [{**_plain(dataclasses.asdict(item)), **_found(item)} for item in task.contributions]
        tasks[task.task] = {"figure": task.figure, "sentence": task_sentence(task), "treatments": rows}
    levels = [_plain(dataclasses.asdict(item)) for item in audit.levels]
    return {"split": audit.split, "tasks": tasks, "levels": levels, "moved_by": audit.moved_by}


def _found(item: Contribution) -> dict[str, Any]:
    return _plain({"treatment": item.treatment.name, "difference": item.difference, "decided": item.decided})


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in fields.items()
    }
