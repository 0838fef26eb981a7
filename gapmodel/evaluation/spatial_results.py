"""From spatial questions and the texts that answer them to results with intervals and blind baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gapdata.tasks.spatial.question import SpatialQuestion
from gapmodel.evaluation.asking import TaskQuestions
from gapmodel.evaluation.confidence import Interval, mean_interval, median_interval
from gapmodel.evaluation.results import SpatialEvaluation, SpatialResult
from gapmodel.evaluation.spatial_baselines import fit_blind
from gapmodel.evaluation.spatial_overall import overall
from gapmodel.evaluation.spatial_scores import SpatialAnswer, SpatialScores, answer_scored, summarised

Training = Mapping[str, Sequence[SpatialQuestion]]
"""Questions about training scenes by type, on which constant answers are fitted."""


def score_spatial(
    tasks: Sequence[TaskQuestions], texts: Mapping[str, str], training: Training, seed: int = 0
) -> SpatialEvaluation | None:
    """Score all types of spatial questions that were asked; return ``None`` where there is none.

    Args:
        tasks: the questions of each type.
        texts: the answer to each question, by id.
        training: what the constant answers are fitted on.
        seed: of the bootstrap.
    """
    answers = {task.task: spatial_answers(task, texts) for task in tasks}
    types = {task.task: _result(task, answers[task.task], training.get(task.task, ()), seed) for task in tasks}
    return SpatialEvaluation(types=types, overall=overall(answers, seed)) if types else None


def _result(
    task: TaskQuestions, answers: Sequence[SpatialAnswer], training: Sequence[SpatialQuestion], seed: int
) -> SpatialResult:
    blind = fit_blind(training)
    baselines: list[SpatialScores | None] = [None, None]
    if blind is not None:
        asked = {item.id: item.spatial for item in task.asked if item.spatial is not None}
        baselines = [
            summarised(
                spatial_answers(task, {name: blind.to(item, by_category=named) for name, item in asked.items()}),
                task.task,
            )
            for named in (False, True)
        ]
    return SpatialResult(
        task=task.task,
        ours=summarised(answers, task.task),
        constant=baselines[0],
        by_category=baselines[1],
        intervals=_intervals(answers, seed),
    )


def spatial_answers(task: TaskQuestions, texts: Mapping[str, str]) -> list[SpatialAnswer]:
    """Return the answers to the questions of one type with their scores."""
    found = []
    for item in task.asked:
        assert item.spatial is not None
        record = task.records[item.index]
        found.append(answer_scored(item.spatial, texts[item.id], record.scene_id, len(record)))
    return found


def _intervals(answers: Sequence[SpatialAnswer], seed: int) -> dict[str, Interval]:
    """Return the intervals of the score, of that of each form, and of the errors of the numbers that were read."""
    found: dict[str, Interval | None] = {"score": mean_interval(*_by_scene(answers), seed, "score")}
    for form in sorted({item.form for item in answers} - {""}):
        mine = [item for item in answers if item.form == form]
        found[f"score, {form}"] = mean_interval(*_by_scene(mine), seed, f"score, {form}")
    for name in ("error", "relative_error"):
        read = [(getattr(item, name), item.scene) for item in answers if math.isfinite(getattr(item, name))]
        values, scenes = [value for value, _ in read], [scene for _, scene in read]
        title = f"median {name.replace('_', ' ')}"
        found[title] = median_interval(values, scenes, seed, title) if read else None
    return {name: interval for name, interval in found.items() if interval is not None}


def _by_scene(answers: Sequence[SpatialAnswer]) -> tuple[list[float], list[str]]:
    return [item.score for item in answers], [item.scene for item in answers]
