"""Questions that a model is not trained on: their loss, and a few answers, while it is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice, zip_longest
from typing import Literal

import torch

from gapdata.records.keys import scene_of_key
from gapdata.shards.records import Records
from gapmodel.inspection.geometry_treatments import Treatment, treated
from gapmodel.packing import IGNORED, Batch, Example
from gapmodel.processing import GapProcessor
from gapmodel.questions.spatial import type_of
from gapmodel.questions.strange_views import StrangeViews
from gapmodel.training.distributed import Ranks
from gapmodel.training.geometry_use import HeldOutLoss, SceneSums, held_out_loss
from gapmodel.training.learner import Learner, Losses
from gapmodel.training.loading import blank_batch, lay_out, open_streams
from gapmodel.training.recipe import TrainingRecipe
from gapmodel.training.record_cache import RecordCache

Geometry = Literal["own", "strange", "zeroed"]


class HeldOutQuestions:
    """The same questions of each stream at every measurement: the first visits of its held-out records, unvaried.

    Raises:
        UsageError: the build has no such records.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        builds: Mapping[str, Records],
        processor: GapProcessor,
        cache: RecordCache | None = None,
    ) -> None:
        fixed = {"split": recipe.run.evaluate_split, "mirror": False, "reframe": False}
        mixture = recipe.mixture or {recipe.data.task: {}}
        changed = {name: {**fields, **fixed} for name, fields in mixture.items()}
        self.recipe = replace(recipe, mixture=changed)
        self.processor = processor
        self.streams = open_streams(self.recipe, builds, processor, raw=False, cache=cache)
        self.orders = tuple(stream.order() for stream in self.streams)
        readers = {id(stream.reader): stream.reader for stream in self.streams}
        strange = {name: StrangeViews(reader) for name, reader in readers.items()}
        self.strange = tuple(strange[id(stream.reader)] for stream in self.streams)

    def losses(self, learner: Learner, ranks: Ranks) -> dict[str, HeldOutLoss]:
        """Return the losses of each stream; all ranks share the work and get the same figures.

        A stream of several types of questions about space has one of each type, too, as ``<stream>/<type>``. A stream
        or type is left out if its held-out records hold no question.
        """
        found: dict[str, HeldOutLoss | None] = {}
        for index in range(len(self.orders)):
            own = self._sums(index, learner, ranks, "own")
            strange = self._sums(index, learner, ranks, "strange") if self._lent(index) else {}
            found |= {part: held_out_loss(sums, strange.get(part)) for part, sums in own.items()}
        return {part: loss for part, loss in found.items() if loss is not None}

    def samples(self, learner: Learner, ranks: Ranks) -> list[dict[str, str]]:
        """Return a few questions with the true answer and the model's own; all ranks take part and get the same.

        The streams take turns; each shows the first questions of the first visits that have any.
        """
        run = self.recipe.run
        turns = zip_longest(*(self._first_questions(index) for index in range(len(self.streams))))
        shown: list[dict[str, str]] = []
        for example in islice((example for turn in turns for example in turn if example is not None), run.samples):
            with torch.no_grad(), ranks.precision():
                (text,) = learner.write(self.processor, [without_answer(example)], run.sample_tokens)
            shown.append({"key": example.key, "true": self._truth(example), "model": text})
        return shown

    def _first_questions(self, index: int) -> Iterator[Example]:
        """Yield the first question of each held-out visit of a stream; visits without a question are skipped."""
        for visit in range(self._count(index)):
            yield from self._examples(index, [visit])[:1]

    def _sums(self, index: int, learner: Learner, ranks: Ranks, geometry: Geometry) -> dict[str, SceneSums]:
        """Return the sums of a stream's losses over all ranks, by part and scene."""
        stream = self.streams[index]
        name, types = stream.stream.name, stream.types if len(stream.types) > 1 else ()
        mine: dict[tuple[str, str], tuple[float, float]] = {}
        for batch, losses in self.answers(index, learner, ranks, geometry):
            values, asked = losses.answer.double().tolist(), losses.questions.tolist()
            for value, question in zip(values, asked, strict=True):
                key = batch.keys[question]
                scene = scene_of_key(key.split("/")[0])
                for part in (name, f"{name}/{type_of(key)}") if types else (name,):
                    total, count = mine.get((part, scene), (0.0, 0.0))
                    mine[part, scene] = (total + value, count + 1)
        together: dict[str, dict[str, tuple[float, float]]] = {name: {}, **{f"{name}/{kind}": {} for kind in types}}
        for sums in ranks.gathered(mine):
            for (part, scene), (total, count) in sums.items():
                before = together[part].get(scene, (0.0, 0.0))
                together[part][scene] = (before[0] + total, before[1] + count)
        return {**together}

    def _lent(self, index: int) -> bool:
        """Return whether views of other places can lend their geometry to all of a stream's visits."""
        order, strange = self.orders[index], self.strange[index]
        records = {order.visit(index, number).record for number in range(self._count(index))}
        return all(strange.index(record) is not None for record in records)

    def answers(
        self, index: int, learner: Learner, ranks: Ranks, geometry: Geometry = "own"
    ) -> Iterator[tuple[Batch, Losses]]:
        """Yield a rank's part of a stream's questions, and their losses; all ranks have equally many batches.

        Args:
            index: of the stream.
            learner: in evaluation mode.
            ranks: this process among the job's.
            geometry: the view's own, ``strange`` or ``zeroed`` (:mod:`gapmodel.inspection.geometry_treatments`).
        """
        mine = range(ranks.rank, self._count(index), ranks.world_size)
        for start in range(0, -(-self._count(index) // ranks.world_size), self.recipe.train.batch_size):
            visits = list(mine[start : start + self.recipe.train.batch_size])
            strange = self.strange[index] if geometry == "strange" else None
            examples, most_tokens = self._examples(index, visits, strange), self.recipe.run.micro_tokens
            step = lay_out(examples, self.processor, self.recipe.train, visits=len(visits), micro_tokens=most_tokens)
            (most,) = ranks.max([len(step.batches)])
            batches = [*step.batches, *[blank_batch(self.processor)] * (int(most) - len(step.batches))]
            for batch in (batch.to(ranks.device) for batch in batches):
                given = batch
                if geometry == "zeroed":
                    given = replace(batch, inputs=treated(learner.model, batch.inputs, Treatment(change="zeroed")))
                with torch.no_grad(), ranks.precision():
                    yield batch, learner(given)

    def _count(self, index: int) -> int:
        order = self.orders[index]
        return min(self.recipe.run.evaluate_visits, order.shares * len(order.records))

    def _examples(self, index: int, visits: list[int], strange: StrangeViews | None = None) -> list[Example]:
        order, stream = self.orders[index], self.streams[index]
        return [example for number in visits for example in stream.examples(order.visit(index, number), strange)]

    def _truth(self, example: Example) -> str:
        return self.processor.decode(example.input_ids[example.labels != IGNORED].tolist())


def without_answer(example: Example) -> Example:
    """Return a question that was encoded with its answer without that answer."""
    prompt = int((example.labels == IGNORED).sum())
    return replace(
        example, input_ids=example.input_ids[:prompt], labels=example.labels[:prompt], visual=example.visual[:prompt]
    )
