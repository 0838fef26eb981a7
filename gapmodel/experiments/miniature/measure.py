"""Measure a run of the miniature on held-out scenes: scores, and whether geometry plays a part in them.

Geometry is taken away as :mod:`gapmodel.inspection.geometry_treatments` says: *zeroed*, or *strange*, another place's.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch

from gapdata.shards.reader import ShardReader
from gapdata.tasks import image_space
from gapdata.tasks.image_space import ImagePoint
from gapmodel.evaluation import detection, pointmap
from gapmodel.evaluation.answering import Answerer
from gapmodel.evaluation.asking import TOKENS_PER_BOX, TaskQuestions, task_questions, truth
from gapmodel.evaluation.detection import DetectionScores
from gapmodel.evaluation.pointmap import PointmapScores
from gapmodel.evaluation.run import asking_as_trained, known_records
from gapmodel.evaluation.scoring import score_task
from gapmodel.experiments.miniature.answer_parts import nats_by_part
from gapmodel.experiments.miniature.correction import corrected_f1
from gapmodel.experiments.miniature.recipe import MeasureRecipe
from gapmodel.generate import generate_answers
from gapmodel.inspection.geometry_treatments import Treatment
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.packing import IGNORED, in_batches
from gapmodel.processing import GapProcessor
from gapmodel.questions.options import euler_convention
from gapmodel.questions.recipe import DataRecipe
from gapmodel.training.distributed import Ranks
from gapmodel.training.held_out import Geometry, HeldOutQuestions, without_answer
from gapmodel.training.learner import Learner
from gapmodel.training.loading import make_streams
from gapmodel.training.recipe import TrainingRecipe

SPLIT = "val"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model that is measured."""

    model: GapForConditionalGeneration
    processor: GapProcessor
    reader: ShardReader
    """The build of the held-out scenes."""
    training: ShardReader
    """The build that it was trained on, from which the constant answer comes."""
    device: torch.device


def detect(subject: Subject, data: DataRecipe, recipe: MeasureRecipe) -> dict[str, Any]:
    """Return detection scores on held-out windows, beside those of the constant answer.

    An answer ends after one box more than there can be: a model that does not stop is not waited for.
    """
    asking = asking_as_trained(data, SPLIT)
    questions = task_questions(subject.reader, asking, "detection", recipe.windows)
    if data.max_objects:
        longest = TOKENS_PER_BOX * (data.max_objects + 1)
        questions = replace(questions, asked=tuple(replace(item, tokens=longest) for item in questions.asked))
    texts = _answers(subject, questions, recipe.batch_size)
    (result,) = score_task(questions, texts, training=known_records(subject.training, questions))
    ours = _detection_figures(cast("DetectionScores", result.ours))
    constant = _detection_figures(cast("DetectionScores", result.baseline))
    corrected = corrected_f1(
        [texts[item.id] for item in questions.asked],
        [truth(questions.records[item.index], questions.asking) for item in questions.asked],
        euler_convention(data),
    )
    intervals = {name: list(span) for name, span in result.intervals.items()}
    return {**ours, "corrected": corrected, "constant": constant, "intervals": intervals}


def locate(
    subject: Subject, data: DataRecipe, recipe: MeasureRecipe, treatment: Treatment | None = None
) -> dict[str, Any]:
    """Return point errors and label accuracy at held-out marks, beside those of the constant answer.

    With a ``treatment`` the model is without its geometry.
    """
    questions = task_questions(subject.reader, asking_as_trained(data, SPLIT), "pointmap", recipe.prompts)
    texts = _answers(subject, questions, recipe.batch_size, treatment)
    result = score_task(questions, texts, training=known_records(subject.training, questions))[0]
    ours = _pointmap_figures(cast("PointmapScores", result.ours))
    return {**ours, "constant": _pointmap_figures(cast("PointmapScores", result.baseline))}


def answer_losses(
    subject: Subject, recipe: TrainingRecipe, questions: int, geometry: Geometry = "own"
) -> dict[str, Any]:
    """Return the cross-entropy of the true answers to held-out questions of either stage.

    ``loss`` is the mean of a token, ``nats`` has that of each part of a box or marked point
    (:mod:`gapmodel.experiments.miniature.answer_parts`).
    """
    recipe = replace(recipe, run=replace(recipe.run, evaluate_split=SPLIT, evaluate_visits=questions))
    held_out, learner = HeldOutQuestions(recipe, {"": subject.reader}, subject.processor), Learner(subject.model).eval()
    answers: list[tuple[list[str], list[float]]] = []
    for batch, losses in held_out.answers(0, learner, Ranks(device=subject.device), geometry):
        known = batch.labels[:, 1:] != IGNORED
        found = torch.split(losses.answer.cpu(), known.sum(dim=1).tolist())
        for row, asked, values in zip(batch.labels[:, 1:], known, found, strict=True):
            answers.append(([subject.processor.decode([token]) for token in row[asked].tolist()], values.tolist()))
    every = [value for _, values in answers for value in values]
    return {"loss": statistics.fmean(every), "nats": nats_by_part(answers)}


def place_sense(subject: Subject, recipe: TrainingRecipe, questions: int) -> dict[str, float]:
    """Return how well a model places stage 1's held-out marks, whatever it was asked since.

    ``point`` is the cross-entropy of the true points in nats, ``geometry`` how much more it is with another place's
    geometry.
    """
    own = answer_losses(subject, recipe, questions)["nats"]["centre"]
    strange = answer_losses(subject, recipe, questions, "strange")["nats"]["centre"]
    return {"point": own, "geometry": strange - own}


def name_and_point(subject: Subject, recipe: TrainingRecipe, measure: MeasureRecipe) -> dict[str, float]:
    """Return how well a model names held-out marks and points at them.

    The figures are the share that it names rightly, the share that has the commonest name, and the median distance of
    the written point from the true one, as a share of the image's sides.
    """
    processor = subject.processor
    asked_about = {"marks": {**recipe.mixture["marks"], "split": SPLIT, "mirror": False}}
    (stream,), mixture = make_streams(replace(recipe, mixture=asked_about), {"": subject.reader}, processor, raw=False)
    visits = [mixture.visit(number) for number in range(min(measure.prompts, len(mixture)))]
    examples = [example for visit in visits for example in stream.examples(visit)]
    truths = [processor.decode(example.input_ids[example.labels != IGNORED].tolist()) for example in examples]
    asked = [without_answer(example) for example in examples]
    longest = max(int((example.labels != IGNORED).sum()) for example in examples)
    model = subject.model.eval()
    found = [
        text
        for batch in in_batches(asked, measure.batch_size)
        for text in generate_answers(model, processor, batch, longest)
    ]
    answers, known = ([image_space.parse_point(text) for text in texts] for texts in (found, truths))
    pairs = [(one, other) for one, other in zip(answers, known, strict=True) if isinstance(other, ImagePoint)]
    names = [other.label for _, other in pairs]
    written = [(one, other) for one, other in pairs if isinstance(one, ImagePoint)]
    distances = [math.dist(one.point, other.point) / image_space.SCALE for one, other in written]
    return {
        "right": sum(one.label == other.label for one, other in written) / len(pairs),
        "commonest": max(map(names.count, names)) / len(pairs),
        "point_error": statistics.median(distances) if distances else math.nan,
    }


def _answers(
    subject: Subject, questions: TaskQuestions, batch: int, treatment: Treatment | None = None
) -> dict[str, str]:
    answerer = Answerer(
        model=subject.model.eval(),
        processor=subject.processor,
        reader=subject.reader,
        batch_size=batch,
        bar=False,
        treatment=treatment,
    )
    answerer.answer(questions)
    return answerer.texts


def _detection_figures(scores: DetectionScores) -> dict[str, float]:
    figures: dict[str, float] = {
        "windows": scores.views,
        "true": scores.true,
        "predicted": scores.predicted,
        "unparsable": scores.unparsable,
        "named": scores.named,
        "center_error": scores.median_center_error,
    }
    for limit in (f"{limit:.2f}" for limit in detection.THRESHOLDS):
        counts = scores.overall[limit]
        figures |= {f"{name}@{limit}": getattr(counts, name) for name in ("precision", "recall", "f1")}
        figures[f"class_f1@{limit}"] = scores.macro[limit]["f1"]
    return figures


def _pointmap_figures(scores: PointmapScores) -> dict[str, float]:
    names = ("questions", "unparsable", "median_error", "mean_error", "label_accuracy")
    near = {f"within_{limit:.2f}": share for limit, share in zip(pointmap.WITHIN, scores.within.values(), strict=True)}
    return {**{name: getattr(scores, name) for name in names}, **near}


def best_checkpoint(log: Sequence[dict[str, Any]], task: str) -> tuple[int, list[tuple[int, float]]]:
    """Return the number of steps after which the loss on the choosing scenes was least, and all (steps, loss).

    Args:
        log: the lines of a run's log (:func:`gapmodel.training.logbook.read_log`).
        task: the stream's name.
    """
    losses = [(line["step"] + 1, line[f"held_out.{task}"]) for line in log if f"held_out.{task}" in line]
    return min(losses, key=lambda item: item[1])[0], losses
