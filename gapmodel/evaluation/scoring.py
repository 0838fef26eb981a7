"""From questions and answers to results: pure functions of the records and the texts, without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gapdata.records.expressions import descriptions
from gapdata.records.schema import Record
from gapdata.tasks.captioning import references
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.detection import DetectionAnswer
from gapdata.tasks.pointmap import PointmapAnswer
from gapdata.tasks.wordings import convention_of
from gapmodel.evaluation import captioning, detection, grounding, pointmap, reconstruction
from gapmodel.evaluation.asking import Asked, TaskQuestions, second_id, truth
from gapmodel.evaluation.average_precision import SCORE
from gapmodel.evaluation.compat import Compat
from gapmodel.evaluation.confidence import Interval, mean_interval, median_interval, ratio_interval
from gapmodel.evaluation.detection import ScoredView
from gapmodel.evaluation.results import TaskResult

Texts = Mapping[str, str]


def score_task(
    questions: TaskQuestions, texts: Texts, *, seed: int = 0, training: Sequence[Record] = ()
) -> list[TaskResult]:
    """Score one task; ``pointmap`` gives two results, because its points are also scored scene by scene.

    Args:
        questions: what was asked.
        texts: the answer to each of them, by id.
        seed: of the bootstrap.
        training: records that the constant answer is taken from, if the task has one.
    """
    if questions.task == "pointmap":
        return _pointmap(questions, texts, seed, training)
    if questions.task == "detection":
        return [_detection(questions, texts, seed, training)]
    if questions.task == "captioning":
        return [_captioning(questions, texts, seed)]
    return [_grounding(questions, texts, seed)]


def _pointmap(questions: TaskQuestions, texts: Texts, seed: int, training: Sequence[Record]) -> list[TaskResult]:
    answers = [texts[item.id] for item in questions.asked]
    truths = [true_point(questions.records[item.index], item) for item in questions.asked]
    scenes = [questions.records[item.index].scene_id for item in questions.asked]
    known = [PointmapAnswer(point=prompt.point, label=prompt.label) for record in training for prompt in record.prompts]
    constant = [pointmap.constant_baseline(known)] * len(truths)
    points = TaskResult(
        task="pointmap",
        ours=pointmap.score(answers, truths),
        gap=pointmap.score(answers, truths, compat="gap"),
        baseline=pointmap.score(constant, truths),
        intervals=_point_intervals(answers, truths, scenes, seed),
        left_out=questions.left_out,
    )
    ours = reconstruction.score(scenes, answers, truths)
    clouds = TaskResult(
        task="reconstruction",
        ours=ours,
        gap=reconstruction.score(scenes, answers, truths, compat="gap"),
        baseline=reconstruction.score(scenes, constant, truths),
        intervals=_cloud_intervals(ours, seed),
    )
    return [points, clouds]


def _point_intervals(
    answers: Sequence[str], truths: Sequence[PointmapAnswer], scenes: Sequence[str], seed: int
) -> dict[str, Interval]:
    parsed = [pointmap.read(answer) for answer in answers]
    errors = pointmap.point_errors(parsed, truths)
    near = np.isfinite(errors)
    where = [scene for scene, readable in zip(scenes, near, strict=True) if readable]
    named = [(pointmap.label_is_right(p, t), s) for p, t, s in zip(parsed, truths, scenes, strict=True) if t.label]
    return _known(
        {
            "median point error": median_interval(errors[near].tolist(), where, seed, "median point error"),
            "mean point error": mean_interval(errors[near].tolist(), where, seed, "mean point error"),
            **{
                f"within {limit:.2f} m": mean_interval((errors < limit).tolist(), scenes, seed, f"within {limit:.2f} m")
                for limit in pointmap.WITHIN
            },
            "label accuracy": mean_interval([a for a, _ in named], [s for _, s in named], seed, "label accuracy"),
        }
    )


def _cloud_intervals(scores: reconstruction.ReconstructionScores, seed: int) -> dict[str, Interval]:
    scenes = [item.scene for item in scores.scenes]
    return _known(
        {
            name: mean_interval([getattr(item, kind).overall for item in scores.scenes], scenes, seed, name)
            for kind, name in (("raw", "overall"), ("aligned", "overall, aligned"))
        }
    )


def true_point(record: Record, item: Asked) -> PointmapAnswer:
    """Return the true point of a question in metres, and its label in the taxonomy that was asked for."""
    prompt = record.prompts[item.number]
    asked = pointmap.read(item.question.answer)
    # The answer of the question has the label in the taxonomy that was asked for, but rounded metres.
    return PointmapAnswer(point=prompt.point, label=asked.label if isinstance(asked, PointmapAnswer) else None)


def _detection(questions: TaskQuestions, texts: Texts, seed: int, training: Sequence[Record]) -> TaskResult:
    answers = [texts[item.id] for item in questions.asked]
    records = [questions.records[item.index] for item in questions.asked]
    truths = [truth(record, questions.asking) for record in records]
    convention = convention_of(questions.asking.options.wording, questions.asking.options.convention)
    constant = detection.constant_baseline([truth(record, questions.asking) for record in training])
    parsed = [detection.read(answer) for answer in answers]
    boxes = [answer.boxes if isinstance(answer, DetectionAnswer) else () for answer in parsed]
    views = detection.overlapped(boxes, truths, convention)
    return TaskResult(
        task="detection",
        ours=detection.score(answers, truths, convention),
        gap=detection.score(answers, truths, convention, compat="gap"),
        baseline=detection.score([constant] * len(truths), truths, convention),
        intervals=_detection_intervals(views, [record.scene_id for record in records], seed),
        left_out=questions.left_out,
        notes=(f"AP ranks predictions by {SCORE}; predictions of equal score enter the curve together.",),
    )


def _detection_intervals(views: Sequence[ScoredView], scenes: Sequence[str], seed: int) -> dict[str, Interval]:
    found: dict[str, Interval | None] = {}
    for limit in detection.THRESHOLDS:
        name = f"F1 at IoU {limit:.2f}"
        every = sorted({detection.naming()(box.label) or "" for view in views for box in (*view.predicted, *view.true)})
        counts = detection_counts(views, every, limit, detection.naming())
        found[name] = ratio_interval(counts.sum(axis=1), scenes, seed, name, f1_of)
        for list_name in detection.LISTS:
            classes = detection.list_classes(views, list_name)
            if classes:
                name = f"F1 at IoU {limit:.2f}, {list_name}"
                counts = detection_counts(views, classes, limit, detection.list_naming(list_name))
                found[name] = ratio_interval(counts, scenes, seed, name, _mean_f1)
    return _known(found)


def detection_counts(
    views: Sequence[ScoredView], classes: Sequence[str], limit: float, name: detection.Naming
) -> NDArray[np.float64]:
    """Count hits, false alarms and misses of each view and class, (V, C, 3)."""
    place = {label: index for index, label in enumerate(classes)}
    counts = np.zeros((len(views), len(classes), 3))
    for row, view in enumerate(views):
        for label, overlap in detection.by_label(view, name).items():
            if label in place:
                found = detection.match(overlap, limit)
                counts[row, place[label]] = found.true_positives, found.false_positives, found.false_negatives
    return counts


def f1_of(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return F1 of summed hits, false alarms and misses (..., 3); 0 where there is nothing."""
    whole = 2 * sums[..., 0] + sums[..., 1] + sums[..., 2]
    return np.divide(2 * sums[..., 0], whole, out=np.zeros_like(whole), where=whole > 0)


def _mean_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the classes with true boxes in a resample."""
    present = (sums[..., 0] + sums[..., 2]) > 0
    many = present.sum(axis=-1)
    total = np.where(present, f1_of(sums), 0.0).sum(axis=-1)
    return np.asarray(np.divide(total, many, out=np.full(len(sums), np.nan), where=many > 0))


def _grounding(questions: TaskQuestions, texts: Texts, seed: int) -> TaskResult:
    ours = [grounding_result(questions, item, texts, "none") for item in questions.asked]
    alike = questions.asking.options.boxes == "aligned"
    theirs = [grounding_result(questions, item, texts, "gap") for item in questions.asked] if alike else None
    scenes = [item.scene for item in ours]
    intervals = {
        "mean IoU": mean_interval([item.iou for item in ours], scenes, seed, "mean IoU"),
        **{
            f"accuracy at IoU {limit:.2f}": mean_interval(
                [item.iou >= limit for item in ours], scenes, seed, f"accuracy at IoU {limit:.2f}"
            )
            for limit in grounding.THRESHOLDS
        },
    }
    return TaskResult(
        task=questions.task,
        ours=grounding.summarise(ours),
        gap=None if theirs is None else replace(grounding.summarise(theirs), refined={}),  # they do not refine
        intervals=_known(intervals),
        left_out=questions.left_out,
        notes=() if alike else ("The authors' scoring is for ScanRefer's aligned boxes; these are oriented ones.",),
    )


def grounding_result(questions: TaskQuestions, item: Asked, texts: Texts, compat: Compat) -> grounding.GroundingResult:
    """Return the score of the answer, or of both answers, to a grounding question."""
    record = questions.records[item.index]
    expression = descriptions(record)[item.number]
    options = questions.asking.options
    convention = convention_of(options.wording, options.convention)
    text = texts[item.id]
    if questions.task == "grounding":
        return grounding.one_pass(record, expression, text, convention, boxes=options.boxes, compat=compat)
    frame = grounding.chosen_frame(text, len(record), compat=compat)
    second = texts[second_id(item, 0 if isinstance(frame, Unparsable) else frame)]
    return grounding.two_stage(record, expression, text, second, convention, boxes=options.boxes, compat=compat)


def _captioning(questions: TaskQuestions, texts: Texts, seed: int) -> TaskResult:
    given = questions.asking.options.caption_point == "truth"
    items = [(item.index, item.number, texts[item.id]) for item in questions.asked]
    captions = [
        caption_of(questions.records[index], number, text, given)
        for index, number, text in (*items, *((index, number, None) for index, number in questions.missed))
    ]
    scenes = [item.scene for item in captions]
    intervals: dict[str, Interval | None] = {}
    for limit in captioning.THRESHOLDS:
        for metric, values in zip(("CIDEr", "ROUGE-L"), captioning.item_scores(captions, limit), strict=True):
            name = f"{metric} at IoU {limit:.2f}"
            intervals[name] = mean_interval(values, scenes, seed, name)
    note = "Captions were asked for at the centres of the true boxes, so every object counts as found."
    return TaskResult(
        task="captioning",
        ours=captioning.score(captions),
        gap=captioning.score(captions, compat="gap"),
        intervals=_known(intervals),
        left_out=questions.left_out,
        notes=(note,) if given else (),
    )


def caption_of(record: Record, number: int, text: str | None, given: bool) -> captioning.Caption:
    """Return an object's caption; ``given`` where it was asked for at the centre of the true box."""
    said = descriptions(record)
    expression = said[number]
    item = next(item for item in record.objects if item.object_id == expression.object_id)
    iou = 1.0 if given else float((item.proposal or {"iou": 0.0})["iou"])
    return captioning.Caption(
        scene=record.scene_id,
        text=text,
        references=references(said)[expression.object_id, expression.object_name],
        iou=iou,
    )


def _known(intervals: Mapping[str, Interval | None]) -> dict[str, Interval]:
    return {name: interval for name, interval in intervals.items() if interval is not None}
