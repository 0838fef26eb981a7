"""Audit an evaluation whose questions have been answered with and without the model's geometry.

::

    OUT/geometry/<treatment>/...   the answers with a treatment, as OUT itself has those without one
    OUT/geometry/levels.json       the figures of the fusion levels, and what they belong to
    OUT/geometry.json  OUT/geometry.md  OUT/geometry.png
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gapdata.errors import UsageError
from gapdata.files.atomic import write_atomically
from gapdata.runtime.choices import check_choice
from gapdata.runtime.counting import counted
from gapdata.shards.records import Records
from gapmodel.audit.contribution import audit_tasks
from gapmodel.audit.levels import LevelFigures, level_figures, one_a_view
from gapmodel.audit.plot import draw
from gapmodel.audit.results import DECIDING, GeometryAudit, as_dict, as_markdown
from gapmodel.evaluation.answering import missing
from gapmodel.evaluation.asking import TaskQuestions
from gapmodel.evaluation.authors_view import View, load_for_view
from gapmodel.evaluation.predictions import read_answers
from gapmodel.evaluation.run import TREATED_FOLDER, answers_folder
from gapmodel.inspection.geometry_treatments import CHANGES, OWN, ChangeName, Treatment
from gapmodel.questions.strange_views import StrangeViews

LEVELS_FILE = "levels.json"
PICTURE = "geometry.png"


def named_treatments(names: str, streams: Sequence[str]) -> tuple[Treatment, ...]:
    """Return the treatments that a command line names.

    Args:
        names: with commas between them; ``own`` adds nothing, because it is always asked, and ``all`` stands for all.
        streams: those of which each is also treated alone; ``blind`` has no levels.

    Raises:
        UsageError: a name is unknown.
    """
    chosen: dict[ChangeName, None] = {}
    for name in filter(None, map(str.strip, names.split(","))):
        check_choice("geometry", name, (OWN, *CHANGES, "all"))
        chosen |= dict.fromkeys(change for change in CHANGES if name in (change, "all"))
    return tuple(
        Treatment(change=change, stream=stream)
        for change in chosen
        for stream in ("", *(streams if change != "blind" else ()))
    )


def refuse_one_place(reader: Records, questions: Sequence[TaskQuestions], treatments: Sequence[Treatment]) -> None:
    """Refuse to lend geometry where there is one place only, before anything is asked.

    Raises:
        UsageError: ``strange`` is among the treatments, and a record has no view of another place.
    """
    if any(item.change == "strange" for item in treatments):
        views = StrangeViews(reader)
        for index in sorted({index for task in questions for index in task.records}):
            views.checked(index)


def audit_directory(
    directory: Path,
    reader: Records,
    questions: Sequence[TaskQuestions],
    out: Path,
    treatments: Sequence[Treatment],
    *,
    seed: int = 0,
    device: str = "cpu",
    view: View = "own",
) -> GeometryAudit:
    """Compare the answers in ``out``, look at the fusion levels, and write both down.

    Args:
        directory: the model's.
        reader: the build.
        questions: what was asked.
        out: the evaluation's directory.
        treatments: with which it was asked, too.
        seed: of the bootstrap.
        device: where the model runs, for the levels.
        view: what was shown and said to the model.

    Raises:
        UsageError: some questions have no answer yet.
    """
    texts = {treatment: read_answers(answers_folder(out, treatment)) for treatment in (None, *treatments)}
    lacking = sum(missing(questions, found) for found in texts.values())
    if lacking:
        raise UsageError(
            f"{counted(lacking, 'question')} without an answer yet", path=out, cure="run the same command again"
        )
    own = texts.pop(None)
    treated = {treatment: found for treatment, found in texts.items() if treatment is not None}
    whole = [item for item in treatments if not item.stream]
    moving = next((item for name in DECIDING for item in whole if item.change == name), None)
    levels = () if moving is None else _levels(directory, reader, questions, out / TREATED_FOLDER, moving, device, view)
    audit = GeometryAudit(
        split=questions[0].asking.split,
        tasks=tuple(audit_tasks(questions, own, treated, seed)),
        levels=tuple(levels),
        moved_by="" if moving is None else moving.change,
    )
    _write(audit, out)
    return audit


def _levels(
    directory: Path,
    reader: Records,
    questions: Sequence[TaskQuestions],
    folder: Path,
    treatment: Treatment,
    device: str,
    view: View,
) -> Sequence[LevelFigures]:
    """Return the figures of the levels; they are kept, because the model is large."""
    asked = one_a_view(questions)
    belongs: dict[str, Any] = {"questions": [item.id for item in asked], "treatment": treatment.name}
    path = folder / LEVELS_FILE
    kept = json.loads(path.read_bytes()) if path.is_file() else {}
    if {name: kept.get(name) for name in belongs} == belongs:
        return [LevelFigures(**fields) for fields in kept["levels"]]
    model, processor = load_for_view(directory, view)
    found = level_figures(model.eval().to(device), processor, reader, asked, treatment)
    kept = {**belongs, "levels": [dataclasses.asdict(level) for level in found]}
    write_atomically(path, json.dumps(kept, indent=2).encode())
    return found


def _write(audit: GeometryAudit, out: Path) -> None:
    write_atomically(out / "geometry.json", (json.dumps(as_dict(audit), indent=2) + "\n").encode())
    write_atomically(out / "geometry.md", as_markdown(audit, PICTURE).encode())
    write_atomically(out / PICTURE, draw(audit))
