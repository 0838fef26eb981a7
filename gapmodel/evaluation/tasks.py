"""The tasks that an evaluation asks: the named ones, or those that the model was taught, and why not the others.

``all`` stands for the five tasks of the paper, ``spatial`` for all types of spatial questions, and ``benchmarks`` for
the published benchmarks whose questions a build can hold. Types are asked where they are named or were taught,
benchmarks where they are named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gapdata.errors import UsageError
from gapdata.runtime.choices import unknown_choice
from gapdata.tasks.predictions import BENCHMARKS
from gapdata.tasks.questions import TASKS as TRAINED
from gapdata.tasks.spatial.kinds import KINDS
from gapmodel.evaluation.asking import TASKS
from gapmodel.questions.recipe import SPATIAL
from gapmodel.questions.taught import task_name

ALL = "all"
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType({ALL: TASKS, SPATIAL: tuple(KINDS), "benchmarks": BENCHMARKS})
"""Names that stand for several tasks; of these, those without questions in the split are left out, not refused."""
NAMES = (*TASKS, *GROUPS, *KINDS, *BENCHMARKS)
"""All that a command line can name."""
ANY = "conversation"
"""Other people's conversations may be about any task, so a model that was trained on them is asked everything."""
NEEDS = {"grounding_two_stage": ("grounding_frame", "grounding_box")}
"""The tasks that must have been taught for a task, where they are not the task itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChoice:
    """The tasks to ask; with ``optional`` those without questions in the split are left out, not refused."""

    tasks: tuple[str, ...]
    optional: bool
    taught: tuple[str, ...] | None = None  # None where it is not known
    named: bool = False  # whether a command line names them

    @property
    def untaught(self) -> tuple[str, ...]:
        """Tasks that are not asked because the model was not taught them."""
        return () if self.named else tuple(task for task in TASKS if task not in self.tasks)

    def without_questions(self, asked: Sequence[str]) -> tuple[str, ...]:
        """Return the tasks that are not asked because the split has no questions for them."""
        return tuple(task for task in self.tasks if task not in asked)


def choose_tasks(named: str | None, taught: Sequence[str] | None) -> TaskChoice:
    """Return the tasks that a command line names.

    Args:
        named: tasks with commas between them, names of :data:`GROUPS` among them, or ``None``, which takes the tasks
            that were taught.
        taught: the tasks of the model's training; ``None`` where they are not known.

    Raises:
        UsageError: a task is unknown or has no score, or the model was taught nothing that can be evaluated.
    """
    known = None if taught is None else tuple(taught)
    if named is not None:
        tasks = tuple(dict.fromkeys(name.strip() for name in named.split(",") if name.strip()))
        for task in tasks or ("",):
            _check(task)
        expanded, optional = expand(tasks)
        return TaskChoice(tasks=expanded, optional=optional, taught=known, named=True)
    tasks = TASKS if known is None else tuple(task for task in (*TASKS, *KINDS) if _by_default(task, known))
    if not tasks:
        raise UsageError(
            f"none of the tasks that the model was taught can be evaluated: {', '.join(taught or ()) or 'it has none'}",
            cure=f"name a task that is asked anyway with --task: {', '.join(TASKS)}",
        )
    return TaskChoice(tasks=tasks, optional=True, taught=known)


def expand(names: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Return the tasks that some names stand for, each once, and whether a group is among the names."""
    tasks = dict.fromkeys(task for name in names for task in GROUPS.get(name, (name,)))
    return tuple(tasks), any(name in GROUPS for name in names)


def is_taught(task: str, taught: Sequence[str]) -> bool:
    """Return whether a model that was taught these tasks can be expected to answer a task's questions."""
    return ANY in taught or set(NEEDS.get(task, (task,))) <= set(taught)


def remarks(choice: TaskChoice, asked: Sequence[str], split: str) -> tuple[str, ...]:
    """Return the lines about a report's tasks: which are not asked and why, and which were never taught."""
    return tuple(filter(None, (not_asked(choice, asked, split), untaught_note(choice, asked))))


def not_asked(choice: TaskChoice, asked: Sequence[str], split: str) -> str:
    """Return one line about the tasks that are not asked, and why; empty where all are asked."""
    parts = []
    if choice.untaught:
        names = ", ".join(choice.untaught)
        parts.append(f"{names} (not taught; --task {choice.untaught[0]} asks anyway)")
    if choice.optional and (silent := choice.without_questions(asked)):
        parts.append(f"{', '.join(silent)} (split {split} has no such questions)")
    return f"not asked: {'; '.join(parts)}" if parts else ""


def untaught_note(choice: TaskChoice, asked: Sequence[str]) -> str:
    """Return one line about the tasks that are asked although the model was not taught them; empty without such."""
    taught = choice.taught
    strange = [] if taught is None else [task for task in asked if not is_taught(task, taught)]
    return f"asked though not taught: {', '.join(strange)} (taught: {', '.join(taught or ())})" if strange else ""


def _by_default(task: str, taught: Sequence[str]) -> bool:
    # A model that was trained on other people's conversations is asked the paper's tasks, and not all types of
    # spatial questions, of which there are many.
    return is_taught(task, taught) if task in TASKS else task in taught


def _check(task: str) -> None:
    if task in NAMES:
        return
    trained = {name for base in TRAINED for name in (base, task_name(base, "image"))}
    if task in trained:
        raise UsageError(
            f"task {task!r} can be trained, but has no score of its own", cure=f"choose from {', '.join(NAMES)}"
        )
    raise unknown_choice("task", task, NAMES)
