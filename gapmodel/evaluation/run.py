"""Ask a model the held-out questions of a build and score its answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from gapdata.errors import UsageError
from gapdata.records.schema import Prompt, Record
from gapdata.tasks import detection, pointmap
from gapdata.tasks.chat import Question
from gapdata.tasks.detection import DetectionAnswer, TextBox
from gapdata.tasks.pointmap import PointmapAnswer
from gapmodel.augment import decode
from gapmodel.data import Records, chosen_records, detection_question, euler_convention, question_options
from gapmodel.evaluation import detection as detection_scores
from gapmodel.evaluation import pointmap as pointmap_scores
from gapmodel.generate import generate_answers, in_batches
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.packing import Example
from gapmodel.processing import GapProcessor
from gapmodel.recipe import DataRecipe
from gapmodel.train import RECIPE_FILE

Item = TypeVar("Item")

POINTMAP_TOKENS = 64
DETECTION_TOKENS_PER_BOX = 75


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores of a model, of the answer that needs no looking, and the model's own texts by record key."""

    pointmap: pointmap_scores.PointmapScores | None = None
    pointmap_baseline: pointmap_scores.PointmapScores | None = None
    detection: detection_scores.DetectionScores | None = None
    detection_baseline: detection_scores.DetectionScores | None = None
    predictions: tuple[dict[str, str], ...] = ()


def model_data_recipe(directory: Path) -> DataRecipe:
    """How the model at ``directory`` was asked during training: frames of a view, detection's convention and limits."""
    fields = json.loads((directory / RECIPE_FILE).read_text(encoding="utf-8"))["data"]
    return DataRecipe(**fields)


def evaluate(
    model: GapForConditionalGeneration,
    processor: GapProcessor,
    reader: Records,
    asked: DataRecipe,
    *,
    split: str,
    tasks: Sequence[str],
    limit: int | None = None,
    batch_size: int = 32,
) -> Evaluation:
    """Score ``model`` on the records of ``split``.

    Args:
        model: put into evaluation mode here.
        processor: the model's.
        reader: the build; its ``train`` split serves the baselines.
        asked: frames, view and detection options as in training; its split and prompts are not used.
        split: the held-out split.
        tasks: ``pointmap``, ``detection`` or both.
        limit: at most so many questions of each task, spread evenly over the records.
        batch_size: questions answered at once.
    """
    model.eval()
    held_out, training = replace(asked, split=split), replace(asked, split="train")
    results = Evaluation()
    ask = _Asker(model=model, processor=processor, batch_size=batch_size)
    if "pointmap" in tasks:
        pairs = spread(stored_prompts(reader, held_out), limit)
        if not pairs:
            raise UsageError(f"no record of split {split} has a prompt", cure="evaluate on scenes with annotation")
        truths = [_truth(prompt) for _, prompt in pairs]
        texts = ask(
            "pointmap",
            [(record, pointmap.render(record, prompt)) for record, prompt in pairs],
            lambda record: POINTMAP_TOKENS,
        )
        known = stored_prompts(reader, training) if _has(reader, training) else []
        constant = pointmap_scores.constant_baseline([_truth(prompt) for _, prompt in known])
        results = replace(
            results,
            pointmap=pointmap_scores.score(texts, truths),
            pointmap_baseline=pointmap_scores.score([constant] * len(truths), truths),
            predictions=_predictions("pointmap", [record for record, _ in pairs], texts),
        )
    if "detection" in tasks:
        records = spread([_first_frames(reader[i], asked.frames) for i in chosen_records(reader, held_out)], limit)
        true_boxes = [detection_truth(record, asked) for record in records]
        longest = max((len(boxes) for boxes in true_boxes), default=0)
        texts = ask(
            "detection",
            [(record, detection_question(record, asked)) for record in records],
            lambda record: 16 + DETECTION_TOKENS_PER_BOX * (longest + 2),
        )
        known_boxes = []
        if _has(reader, training):
            known_boxes = [
                detection_truth(_first_frames(reader[i], asked.frames), asked) for i in chosen_records(reader, training)
            ]
        baseline: DetectionAnswer = detection_scores.constant_baseline(known_boxes)
        convention = euler_convention(asked)
        results = replace(
            results,
            detection=detection_scores.score(texts, true_boxes, convention),
            detection_baseline=detection_scores.score([baseline] * len(records), true_boxes, convention),
            predictions=results.predictions + _predictions("detection", records, texts),
        )
    return results


def stored_prompts(reader: Records, recipe: DataRecipe) -> list[tuple[Record, Prompt]]:
    """Every stored prompt of the recipe's records that lies in the frames that are used."""
    records = (_first_frames(reader[index], recipe.frames) for index in chosen_records(reader, recipe))
    return [(record, prompt) for record in records for prompt in record.prompts]


def detection_truth(record: Record, recipe: DataRecipe) -> list[TextBox]:
    """The boxes that a detector should report, unrounded."""
    options = question_options(recipe)
    taxonomy, missing = options.taxonomy, options.missing_label
    found = detection.targets(
        record,
        min_visible_pixels=options.min_visible_pixels,
        max_objects=options.max_objects,
        taxonomy=taxonomy,
        missing_label=missing,
    )
    return [
        detection.text_box(item, euler_convention(recipe), taxonomy=taxonomy, missing_label=missing) for item in found
    ]


def spread(items: Sequence[Item], limit: int | None) -> list[Item]:
    """At most ``limit`` of ``items``, evenly spaced, so that every scene is represented."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[index * len(items) // limit] for index in range(limit)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asker:
    model: GapForConditionalGeneration
    processor: GapProcessor
    batch_size: int

    def __call__(
        self, task: str, asked: Sequence[tuple[Record, Question]], budget: Callable[[Record], int]
    ) -> list[str]:
        texts: list[str] = []
        with tqdm(total=len(asked), desc=f"answering {task}", unit="question", mininterval=1.0, file=sys.stderr) as bar:
            for batch in in_batches(asked, self.batch_size):
                examples = [self._example(record, question) for record, question in batch]
                longest = max(budget(record) for record, _ in batch)
                texts += generate_answers(self.model, self.processor, examples, longest)
                bar.update(len(batch))
        return texts

    def _example(self, record: Record, question: Question) -> Example:
        images = list(decode(record, geometry=False).images)
        return self.processor.encode(record.key, images, question, with_answer=False)


def _first_frames(record: Record, frames: int) -> Record:
    if not frames or frames >= len(record):
        return record
    return replace(
        record,
        frame_ids=record.frame_ids[:frames],
        intrinsics=record.intrinsics[:frames],
        camera_to_world=record.camera_to_world[:frames],
        camera_to_first=record.camera_to_first[:frames],
        objects=tuple(replace(item, visible_pixels=item.visible_pixels[:frames]) for item in record.objects),
        prompts=tuple(prompt for prompt in record.prompts if prompt.frame < frames),
    )


def _truth(prompt: Prompt) -> PointmapAnswer:
    return PointmapAnswer(point=prompt.point, label=prompt.label)


def _predictions(task: str, records: Sequence[Record], texts: Sequence[str]) -> tuple[dict[str, str], ...]:
    return tuple({"task": task, "key": record.key, "text": text} for record, text in zip(records, texts, strict=True))


def _has(reader: Records, recipe: DataRecipe) -> bool:
    try:
        return bool(chosen_records(reader, recipe))
    except UsageError:
        return False
