"""Questions that a model is not trained on: their loss, and a few answers, while it is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice, zip_longest

import torch

from gapdata.shards.records import Records
from gapmodel.packing import IGNORED, Batch, Example
from gapmodel.processing import GapProcessor
from gapmodel.questions.spatial import type_of
from gapmodel.training.distributed import Ranks
from gapmodel.training.learner import Learner, Losses
from gapmodel.training.loading import blank_batch, lay_out, open_streams
from gapmodel.training.recipe import TrainingRecipe
from gapmodel.training.record_cache import RecordCache


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

    def losses(self, learner: Learner, ranks: Ranks) -> dict[str, float]:
        """Return the mean loss of an answer's token, by stream; all ranks share the work and get the same figures.

        A stream of several types of questions about space has one of each type, too, as ``<stream>/<type>``. A stream
        or type is left out if its held-out records hold no question.
        """
        found: dict[str, float] = {}
        for index in range(len(self.orders)):
            found |= self._losses(index, learner, ranks)
        return found

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

    def _losses(self, index: int, learner: Learner, ranks: Ranks) -> dict[str, float]:
        stream = self.streams[index]
        name, types = stream.stream.name, stream.types if len(stream.types) > 1 else ()
        sums = {name: [0.0, 0.0], **{f"{name}/{kind}": [0.0, 0.0] for kind in types}}
        for batch, losses in self.answers(index, learner, ranks):
            for part, places in _parts(batch, losses, name, by_type=bool(types)):
                sums[part][0] += losses.answer[places].double().sum().item()
                sums[part][1] += int(places.sum())
        together = iter(ranks.sum([value for pair in sums.values() for value in pair]))
        found = {part: (next(together), next(together)) for part in sums}
        return {part: total / count for part, (total, count) in found.items() if count}

    def answers(self, index: int, learner: Learner, ranks: Ranks) -> Iterator[tuple[Batch, Losses]]:
        """Yield a rank's part of a stream's questions, and their losses; all ranks have equally many batches."""
        mine = range(ranks.rank, self._count(index), ranks.world_size)
        for start in range(0, -(-self._count(index) // ranks.world_size), self.recipe.train.batch_size):
            visits = list(mine[start : start + self.recipe.train.batch_size])
            examples, most_tokens = self._examples(index, visits), self.recipe.run.micro_tokens
            step = lay_out(examples, self.processor, self.recipe.train, visits=len(visits), micro_tokens=most_tokens)
            (most,) = ranks.max([len(step.batches)])
            batches = [*step.batches, *[blank_batch(self.processor)] * (int(most) - len(step.batches))]
            for batch in batches:
                with torch.no_grad(), ranks.precision():
                    yield batch, learner(batch.to(ranks.device))

    def _count(self, index: int) -> int:
        order = self.orders[index]
        return min(self.recipe.run.evaluate_visits, order.shares * len(order.records))

    def _examples(self, index: int, visits: list[int]) -> list[Example]:
        order, stream = self.orders[index], self.streams[index]
        return [example for number in visits for example in stream.examples(order.visit(index, number))]

    def _truth(self, example: Example) -> str:
        return self.processor.decode(example.input_ids[example.labels != IGNORED].tolist())


def _parts(batch: Batch, losses: Losses, name: str, *, by_type: bool) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield a stream's name with all places (n,) bool among a batch's losses, then those of each type of question."""
    yield name, torch.ones_like(losses.questions, dtype=torch.bool)
    if by_type:
        kinds = [type_of(batch.keys[question]) for question in losses.questions.tolist()]
        for kind in dict.fromkeys(kinds):
            yield f"{name}/{kind}", torch.tensor([other == kind for other in kinds], device=losses.questions.device)


def without_answer(example: Example) -> Example:
    """Return a question that was encoded with its answer without that answer."""
    prompt = int((example.labels == IGNORED).sum())
    return replace(
        example, input_ids=example.input_ids[:prompt], labels=example.labels[:prompt], visual=example.visual[:prompt]
    )
