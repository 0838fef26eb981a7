"""Order records for training: a pure function of seed and epoch, for any number of ranks and workers.

Shards are shuffled, and records are shuffled within groups of a few shards, so that reading stays local to the
group's files while neighbours in a batch come from many scenes. Every rank takes its slice of each global batch. All
that has to be saved is one integer: how many records the whole job has consumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapdata.seeding import generator_for


class Order(Protocol):
    """An endless sequence of positions with the length of its epoch, for :func:`rank_batches` to slice."""

    def __len__(self) -> int: ...

    def positions(self, start: int, count: int) -> NDArray[np.int64]:
        """Return ``count`` positions from the ``start``-th on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOrder:
    """The endless sequence of record positions, epoch after epoch.

    ``shards`` holds the positions of each shard's records (those that take part); ``shards_per_group`` says how many
    shards' records are mixed.
    """

    shards: tuple[tuple[int, ...], ...]
    seed: int
    shards_per_group: int = 8

    def __post_init__(self) -> None:
        if self.shards_per_group < 1:
            raise UsageError(f"shards_per_group is {self.shards_per_group}, expected at least 1")

    def __hash__(self) -> int:
        """Hash the size only: the hash of a million positions would be computed anew for every batch."""
        return hash((len(self.shards), self.seed, self.shards_per_group))

    def __len__(self) -> int:
        """Return the number of records in an epoch."""
        return sum(len(shard) for shard in self.shards)

    def epoch(self, number: int) -> NDArray[np.int64]:
        """Return all positions in the order of that epoch, each once; (n,) int64, read-only."""
        return _epoch(self, number)

    def positions(self, start: int, count: int) -> NDArray[np.int64]:
        """Return ``count`` positions from the ``start``-th record of the whole sequence on, across the ends of epochs.

        Raises:
            UsageError: the order has no record.
        """
        size = len(self)
        if size == 0:
            raise UsageError("no record takes part in this order", cure="choose another split or view")
        parts = []
        while count > 0:
            epoch, offset = divmod(start, size)
            part = self.epoch(epoch)[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def rank_batches(
    order: Order,
    *,
    batch_size: int,
    consumed: int = 0,
    rank: int = 0,
    world_size: int = 1,
    worker: int = 0,
    workers: int = 1,
    epochs: int | None = None,
) -> Iterator[NDArray[np.int64]]:
    """Yield a rank's slice of each global batch, as record positions.

    Args:
        order: the global order.
        batch_size: records of a *global* batch; ranks get slices that differ by at most one record.
        consumed: records that the job has consumed: the saved state.
        rank: this process among the job's.
        world_size: how many processes the job has.
        worker: this loader worker among the rank's. Worker i serves every ``workers``-th batch from the i-th on, which
            is the order in which torch's ``DataLoader`` asks its workers, so that the batches come out in order.
        workers: how many loader workers the rank has.
        epochs: stop after so many epochs (the last batch may then be short, and a rank's slice of it empty); ``None``
            never stops.

    Raises:
        UsageError: the numbers contradict each other.
    """
    if batch_size < world_size or not 0 <= rank < world_size or not 0 <= worker < workers or consumed < 0:
        raise UsageError(
            f"batch_size {batch_size}, rank {rank} of {world_size}, worker {worker} of {workers} and {consumed} records"
            " consumed contradict each other",
            cure="give 0 <= rank < world_size <= batch_size, 0 <= worker < workers, and consumed from 0 on",
        )
    end = None if epochs is None else epochs * len(order)
    start = consumed + worker * batch_size
    while end is None or start < end:
        size = batch_size if end is None else min(batch_size, end - start)
        batch = order.positions(start, size)
        yield batch[size * rank // world_size : size * (rank + 1) // world_size]
        start += workers * batch_size


def order_of(
    positions: Sequence[int] | NDArray[np.int64],
    shard_names: Sequence[str] | NDArray[np.integer],
    *,
    seed: int,
    shards_per_group: int = 8,
) -> RecordOrder:
    """Return the order of some records.

    Args:
        positions: of the records that take part, (n,).
        shard_names: the shard of each record of the build, (N,), by name or by a number that sorts like the names.
        seed: of the order.
        shards_per_group: how many shards' records are mixed.
    """
    chosen = np.asarray(positions, dtype=np.int64)
    ranks = np.unique(np.asarray(shard_names)[chosen], return_inverse=True)[1]
    sorted_by_shard, sizes = chosen[np.argsort(ranks, kind="stable")], np.bincount(ranks)
    parts = np.split(sorted_by_shard, np.cumsum(sizes)[:-1]) if len(chosen) else []
    shards = tuple(tuple(part.tolist()) for part in parts)
    return RecordOrder(shards=shards, seed=seed, shards_per_group=shards_per_group)


@lru_cache(maxsize=4)
def _epoch(order: RecordOrder, number: int) -> NDArray[np.int64]:
    rng = generator_for(order.seed, "order", str(number))
    shuffled = rng.permutation(len(order.shards))
    groups = []
    for start in range(0, len(shuffled), order.shards_per_group):
        members = [order.shards[index] for index in shuffled[start : start + order.shards_per_group]]
        groups.append(rng.permutation(np.concatenate([np.asarray(member, dtype=np.int64) for member in members])))
    sequence = np.concatenate(groups) if groups else np.empty(0, dtype=np.int64)
    sequence.flags.writeable = False
    return sequence
