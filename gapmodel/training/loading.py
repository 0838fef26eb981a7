"""Visits to batches: what one rank computes in one step, read, decoded and packed on loader workers.

Every rank takes its slice of each global batch of visits, every loader worker every so many-th step
(:func:`gapdata.shards.order.rank_batches`), so the questions of a step depend on neither number. A rank's questions are
laid out in rows, one each or packed into a token budget, and a few rows at a time make a micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from gapdata.shards.order import rank_batches
from gapdata.tasks.chat import IMAGE, Question
from gapmodel.data import Records, StreamQuestions, build_of, in_batches
from gapmodel.packing import IGNORED, Batch, Example, row_members
from gapmodel.processing import GapProcessor
from gapmodel.training.mixture import Mixture
from gapmodel.training.recipe import TrainingRecipe, TrainRecipe
from gapmodel.training.view_cache import ViewCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rank's part of a step."""

    batches: tuple[Batch, ...]
    visits: int  # of the rank
    answered: int  # tokens of the rank that are learnt
    tokens: int  # tokens of the rank, padding left out

    @property
    def asked(self) -> int:
        """The rank's questions that there is something to learn from."""
        return sum(len(batch.questions[batch.labels != IGNORED].unique()) for batch in self.batches)

    @property
    def keys(self) -> tuple[str, ...]:
        """The rank's questions."""
        return tuple(key for batch in self.batches for key in batch.keys)


class Steps(IterableDataset[Step]):
    """The steps of one rank from a position of the data on.

    Args:
        streams: the questions of each stream, in the order of ``mixture``.
        mixture: in which order they are visited.
        train: batch size, token budget and rows of a micro-batch.
        consumed: visits that the whole job has made.
        rank, world_size: this process among the job's.
    """

    def __init__(
        self,
        streams: Sequence[StreamQuestions],
        mixture: Mixture,
        train: TrainRecipe,
        *,
        consumed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.streams = list(streams)
        self.mixture = mixture
        self.train = train
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
        processor = self.streams[0].processor
        for numbers in slices:
            visits = [self.mixture.visit(number) for number in numbers.tolist()]
            examples = [example for visit in visits for example in self.streams[visit.stream].examples(visit)]
            yield lay_out(examples, processor, self.train, visits=len(visits))


def step_count(mixture: Mixture, train: TrainRecipe) -> int:
    """Steps of a whole run."""
    return train.steps or -(-train.epochs * len(mixture) // train.batch_size)


def visits_after(steps: int, mixture: Mixture, train: TrainRecipe) -> int:
    """Visits that the whole job has made after so many steps; the last step of an epoch may be a short one."""
    visits = steps * train.batch_size
    return visits if train.steps else min(visits, train.epochs * len(mixture))


def load(steps: Steps, *, workers: int) -> Iterator[Step]:
    """The steps in order, made by so many worker processes ahead of time; 0 makes each when it is asked for."""
    return iter(DataLoader(steps, batch_size=None, num_workers=workers))


def lay_out(examples: Sequence[Example], processor: GapProcessor, train: TrainRecipe, *, visits: int) -> Step:
    """A rank's questions of one step as micro-batches."""
    rows = [[example] for example in examples]
    if train.token_budget:
        rows = row_members(examples, train.token_budget)
    batches = []
    for group in in_batches(rows, train.micro_batch or max(1, len(rows))):
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


def blank_batch(processor: GapProcessor) -> Batch:
    """A batch without anything to learn, for a rank that has nothing to do while the others need it to take part."""
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
    cache: ViewCache | None = None,
) -> list[StreamQuestions]:
    """The recipe's streams over the builds of their names; they share ``cache``, or a new one.

    Raises:
        UsageError: a build was not given.
    """
    cache = ViewCache() if cache is None else cache
    streams = []
    for stream in recipe.streams:
        reader = build_of(stream, builds)
        streams.append(StreamQuestions(stream, reader, processor, recipe.seed, labels, raw=raw, cache=cache))
    return streams


def make_streams(
    recipe: TrainingRecipe,
    builds: Mapping[str, Records],
    processor: GapProcessor,
    labels: Sequence[str] | None = None,
    *,
    raw: bool = True,
    cache: ViewCache | None = None,
) -> tuple[list[StreamQuestions], Mixture]:
    """The streams of :func:`open_streams`, and all of them as one sequence of visits.

    Raises:
        UsageError: a build was not given, or has none of a stream's records.
    """
    streams = open_streams(recipe, builds, processor, labels, raw=raw, cache=cache)
    return streams, Mixture([stream.order() for stream in streams])
