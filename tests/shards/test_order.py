"""The order of training data depends on seed and epoch alone; stopping and resuming loses and repeats nothing."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.errors import UsageError
from gapdata.shards.order import RecordOrder, order_of, rank_batches

orders = st.builds(
    lambda sizes, seed, group: order_of(
        range(sum(sizes)),
        [f"shard-{index:06d}" for index, size in enumerate(sizes) for _ in range(size)],
        seed=seed,
        shards_per_group=group,
    ),
    st.lists(st.integers(1, 9), min_size=1, max_size=8),
    st.integers(0, 99),
    st.integers(1, 4),
)


def served(order: RecordOrder, batch: int, world: int, workers: int, consumed: int, batches: int) -> list[int]:
    """What a job of ``world`` ranks with ``workers`` loader workers each serves, in global order."""
    ranks = []
    for rank in range(world):
        streams = [
            rank_batches(
                order, batch_size=batch, consumed=consumed, rank=rank, world_size=world, worker=worker, workers=workers
            )
            for worker in range(workers)
        ]
        ranks.append([next(streams[number % workers]).tolist() for number in range(batches)])
    return [position for number in range(batches) for rank in ranks for position in rank[number]]


@given(orders, st.integers(0, 3))
def test_an_epoch_visits_every_record_once(order: RecordOrder, epoch: int) -> None:
    assert sorted(order.epoch(epoch).tolist()) == list(range(len(order)))


@given(orders)
def test_records_are_mixed_only_within_groups_of_shards(order: RecordOrder) -> None:
    shard_of = {position: index for index, shard in enumerate(order.shards) for position in shard}
    visited = [shard_of[position] for position in order.epoch(0).tolist()]
    last_seen = {shard: index for index, shard in enumerate(visited)}
    first_seen = {shard: visited.index(shard) for shard in last_seen}
    for index in range(len(visited)):
        open_shards = [shard for shard in first_seen if first_seen[shard] <= index <= last_seen[shard]]
        assert len(open_shards) <= order.shards_per_group


@given(orders, st.integers(4, 12), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3))
def test_any_world_size_and_worker_count_serves_the_same_sequence(
    order: RecordOrder, batch: int, world: int, workers: int, other_world: int, other_workers: int
) -> None:
    reference = order.positions(0, 6 * batch).tolist()
    assert served(order, batch, world, workers, 0, 6) == reference
    before = served(order, batch, world, workers, 0, 2)
    after = served(order, batch, other_world, other_workers, 2 * batch, 4)
    assert before + after == reference


@given(orders, st.integers(4, 12), st.integers(1, 4))
def test_a_bounded_run_serves_every_record_exactly_once(order: RecordOrder, batch: int, world: int) -> None:
    counts = Counter(
        position
        for rank in range(world)
        for part in rank_batches(order, batch_size=batch, rank=rank, world_size=world, epochs=1)
        for position in part.tolist()
    )
    assert counts == Counter(range(len(order)))


def test_epochs_and_seeds_differ_and_are_repeatable() -> None:
    names = [f"shard-{index // 5}" for index in range(40)]
    one, same, other = (order_of(range(40), names, seed=seed) for seed in (1, 1, 2))
    assert one.epoch(0).tolist() == same.epoch(0).tolist()
    assert one.epoch(0).tolist() != one.epoch(1).tolist()
    assert one.epoch(0).tolist() != other.epoch(0).tolist()


def test_only_chosen_records_take_part() -> None:
    order = order_of([3, 5, 8], ["a"] * 5 + ["b"] * 5, seed=0)
    assert sorted(order.epoch(0).tolist()) == [3, 5, 8]
    assert [len(batch) for batch in islice(rank_batches(order, batch_size=2), 4)] == [2, 2, 2, 2]


def test_numbers_that_contradict_each_other_are_refused() -> None:
    order = order_of(range(4), ["a"] * 4, seed=0)
    with pytest.raises(UsageError, match="give 0 <= rank < world_size <= batch_size"):
        next(rank_batches(order, batch_size=1, world_size=2))
    with pytest.raises(UsageError, match="no record takes part in this order"):
        next(rank_batches(order_of([], [], seed=0), batch_size=1))
    assert order.positions(2, 0).dtype == np.int64
