"""How a model does on questions that it is not trained on, while it is trained: their loss, and a few answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from gapmodel.data import Records
from gapmodel.distributed import Ranks
from gapmodel.learner import Learner
from gapmodel.loading import blank_batch, lay_out, make_streams
from gapmodel.packing import IGNORED, Example
from gapmodel.processing import GapProcessor
from gapmodel.recipe import TrainingRecipe


class HeldOut:
    """The same questions of each stream at every measurement: the first visits of its held-out records, unvaried.

    Raises:
        UsageError: the build has no such records.
    """

    def __init__(self, recipe: TrainingRecipe, builds: Mapping[str, Records], processor: GapProcessor) -> None:
        fixed = {"split": recipe.run.evaluate_split, "mirror": False, "reframe": False}
        mixture = recipe.mixture or {recipe.data.task: {}}
        changed = {name: {**fields, **fixed} for name, fields in mixture.items()}
        self.recipe = replace(recipe, mixture=changed)
        self.processor = processor
        self.streams, mixed = make_streams(self.recipe, builds, processor, raw=False)
        self.orders = mixed.streams

    def losses(self, learner: Learner, ranks: Ranks) -> dict[str, float]:
        """Mean loss of an answer's token, by stream; all ranks share the work and get the same figures."""
        return {stream.name: self._loss(index, learner, ranks) for index, stream in enumerate(self.orders)}

    def samples(self, learner: Learner, ranks: Ranks) -> list[dict[str, str]]:
        """A few questions with the true answer and the model's own; all ranks take part and get the same."""
        run = self.recipe.run
        shown: list[dict[str, str]] = []
        for number in range(run.samples):
            found = self._examples(number % len(self.streams), [number // len(self.streams)])[:1]
            if not found:
                continue
            asked = [without_answer(example) for example in found]
            with torch.no_grad(), ranks.precision():
                texts = learner.write(self.processor, asked, run.sample_tokens)
            shown += [
                {"key": example.key, "true": self._truth(example), "model": text}
                for example, text in zip(found, texts, strict=True)
            ]
        return shown

    def _loss(self, index: int, learner: Learner, ranks: Ranks) -> float:
        mine = range(ranks.rank, self._count(index), ranks.world_size)
        total, answered = 0.0, 0
        for start in range(0, -(-self._count(index) // ranks.world_size), self.recipe.train.batch_size):
            visits = list(mine[start : start + self.recipe.train.batch_size])
            step = lay_out(self._examples(index, visits), self.processor, self.recipe.train, visits=len(visits))
            (most,) = ranks.max([len(step.batches)])
            batches = [*step.batches, *[blank_batch(self.processor)] * (int(most) - len(step.batches))]
            for batch in batches:
                with torch.no_grad(), ranks.precision():
                    losses = learner(batch.to(ranks.device))
                total += losses.answer.double().sum().item()
            answered += step.answered
        total, count = ranks.sum([total, answered])
        return total / max(count, 1)

    def _count(self, index: int) -> int:
        order = self.orders[index]
        return min(self.recipe.run.evaluate_visits, order.shares * len(order.records))

    def _examples(self, index: int, visits: list[int]) -> list[Example]:
        order, stream = self.orders[index], self.streams[index]
        return [example for number in visits for example in stream.examples(order.visit(index, number))]

    def _truth(self, example: Example) -> str:
        return self.processor.decode(example.input_ids[example.labels != IGNORED].tolist())


def without_answer(example: Example) -> Example:
    """A question that was encoded with its answer, up to where the answer begins."""
    prompt = int((example.labels == IGNORED).sum())
    return replace(
        example, input_ids=example.input_ids[:prompt], labels=example.labels[:prompt], visual=example.visual[:prompt]
    )
