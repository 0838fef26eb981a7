"""Each task's main figure, in a form whose difference between two sets of answers has an interval.

===================== =============================================================== ==================
task                  main figure                                                     is a
===================== =============================================================== ==================
pointmap              mean of max(0, 1 - error / 1 m)                                 mean over questions
detection             F1 at IoU 0.25 over all boxes                                   ratio of sums over views
grounding             accuracy at IoU 0.25 (in one pass and in two stages)            mean over questions
captioning            CIDEr at IoU 0.50                                               mean over objects
a spatial type        mean relative accuracy of numbers, accuracy of letters          mean over questions
benchmarks            score by the benchmark's rules                                  mean over questions
===================== =============================================================== ==================

Every figure is a function of counts that are summed over questions, so that scenes can be drawn with replacement. All
are shares, or a score that is published times 100, and a difference of 0.01 is called a point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.tasks.detection import DetectionAnswer
from gapdata.tasks.predictions import BENCHMARKS
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.wordings import convention_of
from gapmodel.evaluation import captioning, detection, pointmap
from gapmodel.evaluation.asking import TaskQuestions, truth
from gapmodel.evaluation.benchmark_results import benchmark_answers
from gapmodel.evaluation.benchmark_scores import RULES, type_of
from gapmodel.evaluation.scoring import Texts, caption_of, detection_counts, f1_of, grounding_result, true_point
from gapmodel.evaluation.spatial_results import spatial_answers

LIMIT = 0.25
"""IoU of detection and grounding: small models reach hardly any higher one."""
CAPTION_LIMIT = 0.5
"""IoU at which Scan2Cap reports captions."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MainFigure:
    """A task's main figure of some answers."""

    name: str
    counts: NDArray[np.float64]  # (N, K): of each question, object or view
    scenes: tuple[str, ...]  # (N,)
    kinds: tuple[str, ...]  # (N,) the question's type or form, empty where the task has one
    of_sums: Callable[[NDArray[np.float64]], NDArray[np.float64]]  # (..., K) to (...)

    def value(self, rows: NDArray[np.bool_] | None = None) -> float:
        """Return the figure of all rows, or of some; NaN without any."""
        chosen = self.counts if rows is None else self.counts[rows]
        return float(self.of_sums(chosen.sum(axis=0))) if len(chosen) else float("nan")


def main_figure(questions: TaskQuestions, texts: Texts) -> MainFigure:
    """Return the main figure of a task's answers."""
    if questions.task == "pointmap":
        return _closeness(questions, texts)
    if questions.task == "detection":
        return _detection(questions, texts)
    if questions.task == "captioning":
        return _captioning(questions, texts)
    if questions.task in KINDS:
        return _spatial(questions, texts)
    if questions.task in BENCHMARKS:
        return _benchmark(questions, texts)
    return _grounding(questions, texts)


def together(figures: Sequence[MainFigure]) -> MainFigure:
    """Return the mean over the questions of several tasks whose figures are means."""
    return MainFigure(
        name="mean score of all questions",
        counts=np.concatenate([figure.counts for figure in figures]),
        scenes=tuple(scene for figure in figures for scene in figure.scenes),
        kinds=("",) * sum(len(figure.kinds) for figure in figures),
        of_sums=mean_of,
    )


def mean_of(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of summed (value, 1)."""
    return np.asarray(np.divide(sums[..., 0], sums[..., 1]))


def mean_figure(name: str, values: Sequence[float], scenes: Sequence[str], kinds: Sequence[str] = ()) -> MainFigure:
    """Return the figure that is the mean of a value for each question."""
    counts = np.column_stack([np.asarray(values, dtype=np.float64), np.ones(len(values))])
    kinds = tuple(kinds) or ("",) * len(values)
    return MainFigure(name=name, counts=counts, scenes=tuple(scenes), kinds=kinds, of_sums=mean_of)


def _closeness(questions: TaskQuestions, texts: Texts) -> MainFigure:
    records = [questions.records[item.index] for item in questions.asked]
    truths = [true_point(record, item) for record, item in zip(records, questions.asked, strict=True)]
    errors = pointmap.point_errors([pointmap.read(texts[item.id]) for item in questions.asked], truths)
    frames = [record.prompts[item.number].frame for record, item in zip(records, questions.asked, strict=True)]
    return mean_figure(
        "mean of max(0, 1 - error / 1 m)",
        np.maximum(0.0, 1.0 - errors / pointmap.FARTHEST).tolist(),
        [record.scene_id for record in records],
        # A point of a later frame has to be brought into the first camera, which takes the frames' relative pose.
        ["mark in a later frame" if frame else "mark in the first frame" for frame in frames],
    )


def _detection(questions: TaskQuestions, texts: Texts) -> MainFigure:
    records = [questions.records[item.index] for item in questions.asked]
    options = questions.asking.options
    answers = [detection.read(texts[item.id]) for item in questions.asked]
    boxes = [answer.boxes if isinstance(answer, DetectionAnswer) else () for answer in answers]
    truths = [truth(record, questions.asking) for record in records]
    views = detection.overlapped(boxes, truths, convention_of(options.wording, options.convention))
    name = detection.naming()
    labels = sorted({name(box.label) or "" for view in views for box in (*view.predicted, *view.true)})
    return MainFigure(
        name=f"F1 at IoU {LIMIT:.2f}",
        counts=detection_counts(views, labels, LIMIT, name).sum(axis=1),
        scenes=tuple(record.scene_id for record in records),
        kinds=("",) * len(records),
        of_sums=f1_of,
    )


def _grounding(questions: TaskQuestions, texts: Texts) -> MainFigure:
    found = [grounding_result(questions, item, texts, "none") for item in questions.asked]
    return mean_figure(
        f"accuracy at IoU {LIMIT:.2f}",
        [float(item.iou >= LIMIT) for item in found],
        [item.scene for item in found],
        [{True: "unique", False: "multiple", None: ""}[item.unique] for item in found],
    )


def _spatial(questions: TaskQuestions, texts: Texts) -> MainFigure:
    answers = spatial_answers(questions, texts)
    name = "mean relative accuracy" if KINDS[questions.task].metric != "letter" else "accuracy"
    return mean_figure(
        name,
        [answer.score for answer in answers],
        [answer.scene for answer in answers],
        [answer.form for answer in answers],
    )


def _captioning(questions: TaskQuestions, texts: Texts) -> MainFigure:
    given = questions.asking.options.caption_point == "truth"
    asked = [(item.index, item.number, texts[item.id]) for item in questions.asked]
    captions = [
        caption_of(questions.records[index], number, text, given)
        for index, number, text in (*asked, *((index, number, None) for index, number in questions.missed))
    ]
    values, _ = captioning.item_scores(captions, CAPTION_LIMIT)
    return mean_figure(f"CIDEr at IoU {CAPTION_LIMIT:.2f}", values, [item.scene for item in captions])


def _benchmark(questions: TaskQuestions, texts: Texts) -> MainFigure:
    found = benchmark_answers(questions, texts)
    name = RULES[questions.task]
    scores, scenes = [item.published[name] for _, item in found], [item.scene for _, item in found]
    return mean_figure(name, scores, scenes, [type_of(given) for given, _ in found])
