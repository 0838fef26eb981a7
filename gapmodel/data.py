"""Records to batches, in an order that is a pure function of (seed, number of questions consumed).

One integer is the whole state: visit number ``n`` belongs to epoch ``n // len`` and asks the question at position ``n
% len`` of that epoch's permutation, with variations drawn from (seed, n) alone. Any number of loader workers gives
the same batches.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from gapdata.errors import UsageError
from gapdata.geometry.boxes import EulerConvention
from gapdata.records.schema import Record
from gapdata.tasks import detection, pointmap
from gapdata.tasks.chat import Question
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
        """(record, number of the question) pairs; for stored prompts the number is the prompt's position."""
        record = self.reader[index]
        if self.recipe.task == "detection":
            return [(index, 0)]
        if self.recipe.prompts == "sampled":
            return [(index, number) for number in range(self.recipe.questions_per_view) if record.objects]
        frames = self.recipe.frames or len(record)
        return [(index, number) for number, prompt in enumerate(record.prompts) if prompt.frame < frames]

    def __len__(self) -> int:
        """Questions in one epoch."""
        return len(self.items)

    def __getitem__(self, visit: int) -> Example:
        """The question of visit number ``visit``, with its answer."""
        epoch, position = divmod(visit, len(self.items))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.items))
        index, number = self.items[int(order[position])]
        rng = np.random.default_rng([self.seed, epoch, position])
        view, question = self._varied(self._view(index), number, rng)
        targets = None if self.classes is None else dense_targets(view, question, self.processor.config, self.classes)
        return self.processor.encode(view.record.key, list(view.images), question, with_answer=True, targets=targets)

    def _varied(self, view: View, number: int, rng: np.random.Generator) -> tuple[View, Question]:
        recipe = self.recipe
        asked = recipe.task == "pointmap" and recipe.prompts == "stored"
        frames = recipe.frames or len(view.record)
        if recipe.reframe and not asked:
            view = subview(view, rng.permutation(len(view.record))[:frames].tolist())
        elif frames < len(view.record):
            view = subview(view, range(frames))
        if recipe.mirror and rng.random() < 0.5:
            view = mirror(view)
        if recipe.task == "detection":
            return view, detection_question(view.record, recipe)
        prompt = view.record.prompts[number] if asked else sample_prompt(view, rng)
        if prompt is None:
            raise UsageError(f"record {view.record.key}: no pixel to ask about", cure="use data.prompts = 'stored'")
        return view, pointmap.render(view.record, prompt)

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
    return "intrinsic_zxy" if recipe.convention == "intrinsic_zxy" else "extrinsic_zxy"


def detection_question(record: Record, recipe: DataRecipe) -> Question:
    """The recipe's detection question about a record."""
    return detection.render(
        record,
        wording="gap" if recipe.wording == "gap" else "consistent",
        convention=euler_convention(recipe),
        min_visible_pixels=recipe.min_visible_pixels,
        max_objects=recipe.max_objects or None,
    )


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
    or -1, ``mark`` (T,) 1 for the token that contains the marked pixel, and ``asked`` (1, 3) the marked pixel's
    point."""
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
        if question.mark is not None and question.mark.frame == frame:
            column = int((question.mark.pixel[0] + 0.5 - window.left) * columns / window.width)
            row = int((question.mark.pixel[1] + 0.5 - window.top) * rows / window.height)
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
