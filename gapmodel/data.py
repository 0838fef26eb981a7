"""Records to batches, in an order that is a pure function of (seed, number of questions consumed).

One integer is the whole state: visit number ``n`` belongs to epoch ``n // len`` and asks the question at position ``n
% len`` of that epoch's permutation, with variations drawn from (seed, n) alone. Any number of loader workers gives
the same batches.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from gapdata.errors import UsageError
from gapdata.geometry.boxes import EulerConvention
from gapdata.records.schema import Record
from gapdata.tasks import pointmap
from gapdata.tasks.captioning import CaptionPoint
from gapdata.tasks.chat import Question
from gapdata.tasks.labels import MissingLabel
from gapdata.tasks.questions import QuestionOptions, questions
from gapdata.tasks.targets import TargetBox
from gapdata.tasks.wordings import Wording, convention_of
from gapmodel.augment import View, decode, mirror, sample_prompt, subview
from gapmodel.packing import Batch, Example
from gapmodel.processing import GapProcessor, ProcessorConfig
from gapmodel.recipe import DataRecipe

CACHE_BYTES = 512 * 2**20
"""Decoded views kept per process: a small build is decoded once, a large one does not fill memory."""


class Records(Protocol):
    """A shard reader, or a plain list of records."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Record: ...


def chosen_records(reader: Records, recipe: DataRecipe) -> list[int]:
    """Indices of the records of the recipe's split and view.

    Raises:
        UsageError: there is none.
    """
    if hasattr(reader, "select"):
        found = list(reader.select(split=recipe.split, view=recipe.view))
    else:
        wanted = (recipe.split, recipe.view)
        found = [i for i in range(len(reader)) if (reader[i].split, reader[i].view) == wanted]
    if not found:
        raise UsageError(
            f"the build has no {recipe.view} records of split {recipe.split}", cure="check --shards and the recipe"
        )
    return found


class Questions(Dataset[Example]):
    """All questions of a build; item ``n`` is visit number ``n`` of training, so they never end.

    Args:
        reader: where the records are.
        processor: turns questions into model input.
        recipe: which questions.
        seed: of order and variations.
        labels: the classes of the dense targets (:mod:`gapmodel.dense`); ``None`` for none.
    """

    def __init__(
        self,
        reader: Records,
        processor: GapProcessor,
        recipe: DataRecipe,
        seed: int,
        labels: Sequence[str] | None = None,
    ) -> None:
        self.reader = reader
        self.processor = processor
        self.recipe = recipe
        self.seed = seed
        self.classes = None if labels is None else {label: index for index, label in enumerate(labels)}
        self.needs_geometry = labels is not None or recipe.prompts == "sampled"
        self.views: OrderedDict[int, View] = OrderedDict()
        self.items = [item for index in chosen_records(reader, recipe) for item in self._items(index)]
        if not self.items:
            raise UsageError(f"no record of split {recipe.split} has anything to ask for {recipe.task}")

    def _items(self, index: int) -> list[tuple[int, int]]:
        """(record, number of the question) pairs; for pointmaps the number is among the prompts of the used frames."""
        record = self.reader[index]
        if self.recipe.task == "detection":
            return [(index, 0)]
        if self.recipe.task != "pointmap":
            # The number of these questions does not depend on the draw.
            asked = questions(record, self.recipe.task, question_options(self.recipe), np.random.default_rng(0))
            return [(index, number) for number in range(len(asked))]
        if self.recipe.prompts == "sampled":
            return [(index, number) for number in range(self.recipe.questions_per_view) if record.objects]
        frames = self.recipe.frames or len(record)
        kept = sum(prompt.frame < frames for prompt in record.prompts)
        return [(index, number) for number in range(-(-kept // self.recipe.marks))]

    def __len__(self) -> int:
        """Questions in one epoch."""
        return len(self.items)

    def __getitem__(self, visit: int) -> Example:
        """The question of visit number ``visit``, with its answer."""
        epoch, position = divmod(visit, len(self.items))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.items))
        index, number = self.items[int(order[position])]
        rng = np.random.default_rng([self.seed, epoch, position])
        # Prompts are shared out among questions once an epoch, so that an epoch asks about each of them once.
        sharing = np.random.default_rng([self.seed, epoch, index, 1])
        view, question = self._varied(self._view(index), number, rng, sharing)
        targets = None if self.classes is None else dense_targets(view, question, self.processor.config, self.classes)
        return self.processor.encode(view.record.key, list(view.images), question, with_answer=True, targets=targets)

    def _varied(
        self, view: View, number: int, rng: np.random.Generator, sharing: np.random.Generator
    ) -> tuple[View, Question]:
        recipe = self.recipe
        asked = recipe.task == "pointmap" and recipe.prompts == "stored"
        frames = recipe.frames or len(view.record)
        if recipe.reframe and not asked:
            view = subview(view, rng.permutation(len(view.record))[:frames].tolist())
        elif frames < len(view.record):
            view = subview(view, range(frames))
        if recipe.mirror and rng.random() < 0.5:
            view = mirror(view)
        options = question_options(recipe)
        if recipe.task != "pointmap" or asked:
            return view, questions(view.record, recipe.task, options, sharing)[number]
        prompt = sample_prompt(view, rng)
        if prompt is None:
            raise UsageError(f"record {view.record.key}: no pixel to ask about", cure="use data.prompts = 'stored'")
        return view, pointmap.render(
            view.record, prompt, taxonomy=options.taxonomy, missing_label=options.missing_label
        )

    def _view(self, index: int) -> View:
        if index in self.views:
            self.views.move_to_end(index)
            return self.views[index]
        view = decode(self.reader[index], geometry=self.needs_geometry)
        self.views[index] = view
        size = view.images.nbytes + view.depth.nbytes + view.instances.nbytes
        while len(self.views) > max(1, CACHE_BYTES // size):
            self.views.popitem(last=False)
        return view


def euler_convention(recipe: DataRecipe) -> EulerConvention:
    """The convention in which the recipe's nine numbers are written."""
    named = cast("EulerConvention", recipe.convention) if recipe.convention else None
    return convention_of(cast("Wording", recipe.wording), named)


def question_options(recipe: DataRecipe) -> QuestionOptions:
    """How the recipe asks; its words were checked when it was read."""
    return QuestionOptions(
        wording=cast("Wording", recipe.wording),
        convention=euler_convention(recipe),
        taxonomy=recipe.taxonomy or None,
        missing_label=cast("MissingLabel", recipe.missing_label),
        min_visible_pixels=recipe.min_visible_pixels,
        max_objects=recipe.max_objects or None,
        marks=recipe.marks,
        boxes=cast("TargetBox", recipe.boxes),
        caption_point=cast("CaptionPoint", recipe.caption_point),
    )


def detection_question(record: Record, recipe: DataRecipe) -> Question:
    """The recipe's detection question about a record."""
    return questions(record, "detection", question_options(recipe), np.random.default_rng(0))[0]


def batches(
    questions: Questions, batch_size: int, steps: int, *, consumed: int = 0, workers: int = 0
) -> Iterator[Batch]:
    """``steps`` batches that follow the first ``consumed`` questions."""
    visits = range(consumed, consumed + steps * batch_size)
    loader = DataLoader(
        questions, batch_size, sampler=visits, collate_fn=questions.processor.collate, num_workers=workers
    )
    return iter(loader)


def dense_targets(
    view: View, question: Question, config: ProcessorConfig, classes: Mapping[str, int]
) -> dict[str, NDArray[Any]]:
    """What each visual token shows at its centre: ``point`` (T, 3) metres first camera or NaN, ``label`` (T,) class
    or -1, ``mark`` (T,) 1 for a token that contains a marked pixel, and ``asked`` (1, 3) the point of the only marked
    pixel, NaN where there is none or several."""
    window = config.window(*view.record.image_size)
    rows, columns = (side // config.merge_size for side in window.grid)
    u = (window.left + (np.arange(columns) + 0.5) * window.width / columns).astype(np.int64)
    v = (window.top + (np.arange(rows) + 0.5) * window.height / rows).astype(np.int64)
    pixels = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)  # (T / F, 2), raster order, as merged tokens come
    table = np.full(int(view.instances.max()) + 2, -1, dtype=np.int64)
    for item in view.record.objects:
        if item.object_id + 1 < len(table):
            table[item.object_id + 1] = classes.get(item.label, -1)
    points, labels, marks = [], [], []
    for frame in range(len(view.record)):
        points.append(view.points(frame, pixels))
        labels.append(table[view.instances[frame][pixels[:, 1], pixels[:, 0]]])
        mark = np.zeros((rows, columns), dtype=np.float32)
        for drawn in (drawn for drawn in question.marks if drawn.frame == frame):
            column = int((drawn.pixel[0] + 0.5 - window.left) * columns / window.width)
            row = int((drawn.pixel[1] + 0.5 - window.top) * rows / window.height)
            if 0 <= row < rows and 0 <= column < columns:
                mark[row, column] = 1.0
        marks.append(mark.reshape(-1))
    asked = np.full((1, 3), np.nan)
    if question.mark is not None:
        asked = view.points(question.mark.frame, np.array([question.mark.pixel]))
    return {
        "asked": asked.astype(np.float32),
        "point": np.concatenate(points).astype(np.float32),
        "label": np.concatenate(labels),
        "mark": np.concatenate(marks),
    }
