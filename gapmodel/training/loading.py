"""Visits to batches: what one rank computes in one step, read, decoded and packed on loader workers.

Every rank takes its slice of each global batch of visits, and loader workers take turns with the steps
(:func:`gapdata.shards.order.rank_batches`), so a step has the same questions on any number of ranks and workers. A
rank's questions are laid out in rows, one in each or packed into a token budget; a few rows make a micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from gapdata.errors import UsageError
from gapdata.shards.order import rank_batches
from gapdata.shards.records import Records
from gapdata.tasks.chat import IMAGE, Question
from gapmodel.packing import IGNORED, Batch, Example, in_batches, row_members
from gapmodel.processing import GapProcessor
from gapmodel.training.mixture import Mixture
from gapmodel.training.recipe import MICRO_TOKENS, TrainingRecipe, TrainRecipe
from gapmodel.training.record_cache import RecordCache
from gapmodel.training.stream_questions import StreamQuestions, build_of

TRIED_VISITS = 64
"""Visits that are tried until one has a question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rank's part of a step."""

    batches: tuple[Batch, ...]
    visits: int  # of the rank
    answered: int  # tokens of the rank that have a loss
    tokens: int  # tokens of the rank, padding left out

    @property
    def asked(self) -> int:
        """The number of the rank's questions that have a loss."""
        return sum(len(torch.unique(batch.questions[batch.labels != IGNORED])) for batch in self.batches)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the rank's questions."""
        return tuple(key for batch in self.batches for key in batch.keys)


class Steps(IterableDataset[Step]):
    """The steps of one rank, from a position of the data on.

    Args:
        streams: the questions of each stream, in the order of ``mixture``.
        mixture: in which order they are visited.
        train: batch size, token budget and rows of a micro-batch.
        micro_tokens: see :class:`gapmodel.training.recipe.RunRecipe`.
        consumed: visits that the whole job has made.
        rank, world_size: this process among the job's.
    """

    def __init__(
        self,
        streams: Sequence[StreamQuestions],
        mixture: Mixture,
        train: TrainRecipe,
        *,
        micro_tokens: int = MICRO_TOKENS,
        consumed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.streams = list(streams)
        self.mixture = mixture
        self.train = train
        self.micro_tokens = micro_tokens
        self.consumed = consumed
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[Step]:
        worker = get_worker_info()
        slices = rank_batches(
            self.mixture,
            batch_size=self.train.batch_size,
            consumed=self.consumed,
            rank=self.rank,
            world_size=self.world_size,
            worker=0 if worker is None else worker.id,
            workers=1 if worker is None else worker.num_workers,
            epochs=None if self.train.steps else self.train.epochs,
        )
        for numbers in slices:
            yield self._step(numbers.tolist())

    def _step(self, numbers: list[int]) -> Step:
        # A method of its own, so that the questions are released once the batch is made.
        visits = [self.mixture.visit(number) for number in numbers]
        examples = [example for visit in visits for example in self.streams[visit.stream].examples(visit)]
        processor = self.streams[0].processor
        return lay_out(examples, processor, self.train, visits=len(visits), micro_tokens=self.micro_tokens)

    def single(self) -> Batch | None:
        """Return the longest question of the first visit that has one, as a batch to measure; ``None`` without any."""
        for number in range(min(len(self.mixture), TRIED_VISITS)):
            visit = self.mixture.visit(number)
            examples = self.streams[visit.stream].examples(visit)
            if examples:
                longest = max(examples, key=lambda example: len(example.input_ids))
                return lay_out([longest], self.streams[0].processor, self.train, visits=1).batches[0]
        return None


def step_count(mixture: Mixture, train: TrainRecipe) -> int:
    """Return the number of steps of a whole run."""
    return train.steps or -(-train.epochs * len(mixture) // train.batch_size)


def visits_after(steps: int, mixture: Mixture, train: TrainRecipe) -> int:
    """Return how many visits all ranks have made after ``steps`` steps; the last step of an epoch may be short."""
    visits = steps * train.batch_size
    return visits if train.steps else min(visits, train.epochs * len(mixture))


def load(steps: Steps, *, workers: int) -> Iterator[Step]:
    """Return the steps in order, made ahead of time by ``workers`` processes; 0 makes each when it is needed."""
    return iter(DataLoader(steps, batch_size=None, num_workers=workers))


def lay_out(
    examples: Sequence[Example],
    processor: GapProcessor,
    train: TrainRecipe,
    *,
    visits: int,
    micro_tokens: int = MICRO_TOKENS,
) -> Step:
    """Arrange a rank's questions of one step as micro-batches."""
    rows = [[example] for example in examples]
    if train.token_budget:
        rows = row_members(examples, train.token_budget)
    batches = []
    for group in micro_batches(rows, train, micro_tokens):
        members = [example for row in group for example in row]
        if train.token_budget:
            batches.append(processor.pack(members, train.token_budget))
        else:
            batches.append(processor.collate(members))
    return Step(
        batches=tuple(batches),
        visits=visits,
        answered=sum(int((batch.labels[:, 1:] != IGNORED).sum()) for batch in batches),
        tokens=sum(int((batch.questions >= 0).sum()) for batch in batches),
    )


def micro_batches(
    rows: Sequence[Sequence[Example]], train: TrainRecipe, micro_tokens: int
) -> Iterator[Sequence[Sequence[Example]]]:
    """Yield the rows that go through the model at once, in their order."""
    if train.micro_batch or not micro_tokens:
        yield from in_batches(rows, train.micro_batch or max(1, len(rows)))
        return
    group: list[Sequence[Example]] = []
    width = 0
    for row in rows:
        wider = max(width, train.token_budget or len(row[0].input_ids))
        if group and wider * (len(group) + 1) > micro_tokens:
            yield group
            group, wider = [], train.token_budget or len(row[0].input_ids)
        group.append(row)
        width = wider
    if group:
        yield group


def blank_batch(processor: GapProcessor) -> Batch:
    """Return a batch without a loss, for a rank that must take part in a step although it has nothing left to do."""
    width, height = processor.config.image_size
    image = np.zeros((height, width, 3), dtype=np.uint8)
    example = processor.encode("blank", [image], Question(text=IMAGE, answer=""), with_answer=True)
    batch = processor.collate([example])
    batch.labels.fill_(IGNORED)
    return batch


def open_streams(
    recipe: TrainingRecipe,
    builds: Mapping[str, Records],
    processor: GapProcessor,
    labels: Sequence[str] | None = None,
    *,
    raw: bool = True,
    cache: RecordCache | None = None,
) -> list[StreamQuestions]:
    """Return the recipe's streams over the builds of their names; they share ``cache``, or a new one.

    Raises:
        UsageError: a build was not given.
    """
    cache = RecordCache() if cache is None else cache
    streams = []
    for stream in recipe.streams:
        reader = build_of(stream, builds)
        streams.append(StreamQuestions(stream, reader, processor, recipe.seed, labels, raw=raw, cache=cache))
    return streams


def refuse_unmatched_builds(recipe: TrainingRecipe, builds: Mapping[str, Any]) -> None:
    """Check that every stream has a build and every build a stream.

    Raises:
        UsageError: a build is missing, or no stream uses it.
    """
    for stream in recipe.streams:
        build_of(stream, builds)
    wanted = sorted({stream.build for stream in recipe.streams})
    for name in builds:
        if name not in wanted:
            named = ", ".join(repr(build) for build in wanted)
            raise UsageError(
                f"--shards gives a build named {name!r}, which no stream of the recipe uses; they use {named}",
                cure="write --shards DIR for the build without a name, or give a stream build = NAME in the recipe",
            )


def make_streams(
    recipe: TrainingRecipe,
    builds: Mapping[str, Records],
    processor: GapProcessor,
    labels: Sequence[str] | None = None,
    *,
    raw: bool = True,
    cache: RecordCache | None = None,
) -> tuple[list[StreamQuestions], Mixture]:
    """Return the streams of :func:`open_streams`, and all of them as one sequence of visits.

    Raises:
        UsageError: a build was not given, or has none of a stream's records.
    """
    streams = open_streams(recipe, builds, processor, labels, raw=raw, cache=cache)
    return streams, Mixture([stream.order() for stream in streams])
