"""From published benchmarks' questions and the texts that answer them to figures by type and overall."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gapdata.records.expressions import Conversation, conversations
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.spatial.mra import best_number
from gapdata.tasks.spatial.question import parse_number
from gapmodel.evaluation.asking import TaskQuestions
from gapmodel.evaluation.benchmark_scores import (
    ALL,
    RULES,
    SQA3D_GROUPS,
    VSI_GROUPS,
    benchmark_answer,
    caption_figures,
    is_letter,
    type_of,
)
from gapmodel.evaluation.confidence import Interval, mean_interval
from gapmodel.evaluation.grouped_means import Answers, OverallFigure, Part, grouped_figure
from gapmodel.evaluation.published import short_answers, spar
from gapmodel.evaluation.spatial_scores import SpatialAnswer, mean

EVERY = "all questions"
MOST_CONSTANTS = 300
"""Different true numbers of a type that are tried as the constant answer, spread over their range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeFigures:
    """The scores of one type of a benchmark's questions."""

    questions: int
    unparsable: int
    reasons: dict[str, int]
    published: dict[str, float]  # by the benchmark's rules first, then by others that are in use
    interval: Interval | None  # 95 % bootstrap interval of the score by the benchmark's rules
    ours: float
    constant: float
    """Of the constant answer that is best for these very questions; NaN where there is no such answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkOverall:
    """An overall figure of a benchmark."""

    published: dict[str, OverallFigure]  # by the scorer's name
    ours: OverallFigure


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkResult:
    """All figures of one benchmark."""

    benchmark: str
    types: dict[str, TypeFigures]
    overall: dict[str, BenchmarkOverall]
    captions: dict[str, float] = field(default_factory=dict)
    """Of ScanQA: the scores of captions, over all answers."""


def score_benchmark(questions: TaskQuestions, texts: Mapping[str, str], seed: int = 0) -> BenchmarkResult:
    """Score the answers to one benchmark's questions.

    Args:
        questions: of the benchmark.
        texts: the answer to each, by id.
        seed: of the bootstrap.
    """
    name = questions.task
    found = benchmark_answers(questions, texts)
    answers: dict[str, list[SpatialAnswer]] = {}
    grouped: dict[str, list[Conversation]] = {}
    for item, answer in found:
        answers.setdefault(type_of(item), []).append(answer)
        grouped.setdefault(type_of(item), []).append(item)
    overall = {
        title: _overall(name, title, groups, answers, seed) for title, groups in overall_groups(name, answers).items()
    }
    if name == "spar-bench":
        # lmms-eval loses the level of the change of view, so its Middle is the mean of the other two tasks.
        two = [[(task, "")] for task in spar.LEVELS["Middle"] if task != spar.VIEW_CHANGE]
        overall["Middle as lmms-eval has it"] = _overall(name, "Middle of two", two, answers, seed)
    said = [texts[item.id] for item in questions.asked] if name == "scanqa" else []
    return BenchmarkResult(
        benchmark=name,
        types={kind: _figures(answers[kind], grouped[kind], seed) for kind in _ordered(name, answers)},
        overall=overall,
        captions=caption_figures([item for item, _ in found], said) if said else {},
    )


def benchmark_answers(questions: TaskQuestions, texts: Mapping[str, str]) -> list[tuple[Conversation, SpatialAnswer]]:
    """Return the questions of a benchmark with their scored answers, in their order."""
    known = {index: (conversations(record), record.scene_id) for index, record in questions.records.items()}
    found = []
    for asked in questions.asked:
        held, scene = known[asked.index]
        item = held[asked.number]
        found.append((item, benchmark_answer(item, texts[asked.id], scene)))
    return found


def overall_groups(name: str, answers: Answers) -> dict[str, list[list[Part]]]:
    """Return which types each overall figure of a benchmark is the mean of, averaged within groups first."""
    if name == "vsi-bench":
        return {"mean of eight": [[(kind, "") for kind in group] for group in VSI_GROUPS]}
    if name == "spar-bench":
        levels = {level: [[(task, "")] for task in tasks] for level, tasks in spar.LEVELS.items()}
        return {**levels, "mean of twenty": [group for groups in levels.values() for group in groups]}
    return {EVERY: [[(EVERY, "")]]}


def best_constant(items: Sequence[Conversation]) -> float:
    """Return the score of the constant answer that is best for these questions, which no blind answerer exceeds."""
    if items[0].benchmark in ("scanqa", "sqa3d"):
        accepted = Counter(
            text for item in items for text in {short_answers.cleaned(a) for a in item.answers or (item.answer,)}
        )
        return max(accepted.values()) / len(items)
    if type_of(items[0]) == spar.VIEW_CHANGE:
        return math.nan
    if is_letter(items[0]):
        return max(Counter(item.answer for item in items).values()) / len(items)
    read = [parse_number(item.answer) for item in items]
    truths = np.array([value for value in read if not isinstance(value, Unparsable)])
    tried = np.unique(truths)
    tried = tried[np.unique(np.linspace(0, len(tried) - 1, min(len(tried), MOST_CONSTANTS)).round().astype(int))]
    return best_number(tried, truths)[1] if len(truths) else math.nan


def _overall(name: str, title: str, groups: Sequence[Sequence[Part]], answers: Answers, seed: int) -> BenchmarkOverall:
    whole = {**answers, EVERY: [item for items in answers.values() for item in items]}
    scorers = whole[EVERY][0].published if whole[EVERY] else {RULES[name]: math.nan}
    label = f"{name} {title}"
    return BenchmarkOverall(
        published={scorer: grouped_figure(whole, groups, seed, label, scorer) for scorer in scorers},
        ours=grouped_figure(whole, groups, seed, label),
    )


def _figures(answers: Sequence[SpatialAnswer], items: Sequence[Conversation], seed: int) -> TypeFigures:
    scorers = list(answers[0].published)
    scenes, kind = [item.scene for item in answers], type_of(items[0])
    reasons = Counter(item.reason for item in answers if item.reason is not None)
    return TypeFigures(
        questions=len(answers),
        unparsable=reasons.total(),
        reasons=dict(sorted(reasons.items())),
        published={name: mean([item.published[name] for item in answers]) for name in scorers},
        interval=mean_interval([item.published[scorers[0]] for item in answers], scenes, seed, kind),
        ours=mean([item.score for item in answers]),
        constant=best_constant(items),
    )


def _ordered(name: str, answers: Answers) -> list[str]:
    """Return the types that occur, in the benchmark's order."""
    known = {
        "vsi-bench": [kind for group in VSI_GROUPS for kind in group],
        "spar-bench": [task for tasks in spar.LEVELS.values() for task in tasks],
        "sqa3d": list(SQA3D_GROUPS),
        "scanqa": [ALL],
    }[name]
    return [*(kind for kind in known if kind in answers), *sorted(set(answers) - set(known))]
