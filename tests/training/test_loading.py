"""From visits to batches: the mixture's order, the ranks' slices, and that nobody is asked twice or left out."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gapdata.errors import UsageError
from gapdata.shards.order import RecordOrder, rank_batches
from gapdata.shards.reader import ShardReader
from gapdata.shards.records import RecordList
from gapmodel.questions.recipe import DataRecipe
from gapmodel.training.augment import decode
from gapmodel.training.census import census
from gapmodel.training.distributed import Ranks
from gapmodel.training.loading import Step, Steps, load, make_streams, step_count, visits_after
from gapmodel.training.mixture import Mixture, StreamOrder, Visit
from gapmodel.training.recipe import TrainingRecipe, TrainRecipe
from gapmodel.training.record_cache import RecordCache
from tests.model.test_processing import make_processor
from tests.questions.test_task_data import told_record
from tests.support.builds import write_build
from tests.support.models import make_record

PROCESSOR = make_processor()
RECORDS = RecordList([told_record(seed) for seed in range(3)])
RECIPE = TrainingRecipe(
    data=DataRecipe(prompts="sampled", questions_per_view=3, visits=3, min_visible_pixels=1),
    mixture={
        "marked": {"mirror": True, "reframe": True},
        "described": {"task": "grounding", "visits": 2, "weight": 2.0},
    },
    train=TrainRecipe(batch_size=4, token_budget=700),
)

mixtures = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4), st.floats(0.1, 5.0)), min_size=1, max_size=4).map(
    lambda parts: Mixture(
        [
            StreamOrder(f"s{i}", RecordOrder(shards=(tuple(range(size)),), seed=i), shares, weight)
            for i, (size, shares, weight) in enumerate(parts)
        ]
    )
)


def fresh(mixture: Mixture) -> Mixture:
    """The same mixture, with nothing remembered. Its rates are copied: a weight that is divided out of one and
    multiplied in again is another number, and ties are broken by the last bit.
    """
    orders = [StreamOrder(stream.name, stream.records, stream.shares) for stream in mixture.streams]
    for order, stream in zip(orders, mixture.streams, strict=True):
        order.rate = stream.rate
    return Mixture(orders)


@given(mixtures, st.integers(0, 20_000))
def test_any_place_in_the_sequence_is_found_without_going_there(mixture: Mixture, place: int) -> None:
    near = [mixture.visit(place + offset) for offset in range(6)]
    there = fresh(mixture)
    consumed = there.consumed(place)
    assert sum(consumed.values()) == place
    assert there.visits_of(consumed) == place
    for visit in near:
        name = there.streams[visit.stream].name
        assert there.streams[visit.stream].visit(visit.stream, consumed[name]) == visit
        consumed[name] += 1
    assert fresh(mixture).consumed(place + 6) == consumed


@given(mixtures, st.integers(0, 3000))
def test_streams_keep_their_shares_all_the_way(mixture: Mixture, visits: int) -> None:
    total = sum(stream.rate for stream in mixture.streams)
    for stream in mixture.streams:
        expected = visits * stream.rate / total
        assert abs(mixture.consumed(visits)[stream.name] - expected) <= len(mixture.streams)


@given(mixtures)
def test_an_epoch_of_equal_weights_makes_every_visit_once(mixture: Mixture) -> None:
    even = Mixture([StreamOrder(s.name, s.records, s.shares) for s in mixture.streams])
    for epoch in range(2):
        made = Counter(even.visit(epoch * len(even) + number) for number in range(len(even)))
        assert made == Counter(
            Visit(stream=index, record=record, epoch=epoch, share=share)
            for index, stream in enumerate(even.streams)
            for record in range(len(stream.records))
            for share in range(stream.shares)
        )


@given(mixtures, st.integers(4, 9), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3))
def test_any_number_of_ranks_and_workers_goes_on_with_the_next_visit(
    mixture: Mixture, batch: int, world: int, workers: int, other_world: int, other_workers: int
) -> None:
    def served(world: int, workers: int, consumed: int, steps: int) -> list[int]:
        numbers = []
        for rank in range(world):
            streams = [
                rank_batches(
                    mixture, batch_size=batch, consumed=consumed, rank=rank, world_size=world, worker=w, workers=workers
                )
                for w in range(workers)
            ]
            numbers.append([next(streams[step % workers]).tolist() for step in range(steps)])
        return [number for step in range(steps) for rank in numbers for number in rank[step]]

    before = served(world, workers, 0, 3)
    state = mixture.consumed(3 * batch)
    after = served(other_world, other_workers, fresh(mixture).visits_of(state), 3)
    assert before + after == list(range(6 * batch))


def test_a_position_of_another_mixture_is_refused() -> None:
    orders = [StreamOrder(name, RecordOrder(shards=((0, 1),), seed=0), 1) for name in "ab"]
    message = r"visits of each stream, \{'a': 9, 'b': 1\}, do not fit this mixture, which makes .* of 10 visits"
    with pytest.raises(UsageError, match=message):
        Mixture(orders).visits_of({"a": 9, "b": 1})


def steps_of(recipe: TrainingRecipe, count: int, *, workers: int = 0, **place: int) -> list[Step]:
    streams, mixture = make_streams(recipe, {"": RECORDS}, PROCESSOR)
    return list(islice(load(Steps(streams, mixture, recipe.train, **place), workers=workers), count))


def assert_equal_steps(one: Step, other: Step) -> None:
    assert one.keys == other.keys
    assert (one.visits, one.answered, one.tokens) == (other.visits, other.answered, other.tokens)
    for mine, theirs in zip(one.batches, other.batches, strict=True):
        for name, value in mine.inputs.items():
            assert torch.equal(value, theirs.inputs[name]) if isinstance(value, torch.Tensor) else True


def test_any_number_of_workers_gives_the_same_batches_from_any_position() -> None:
    here = steps_of(RECIPE, 5)
    for one, other in zip(here[2:], steps_of(RECIPE, 3, workers=2, consumed=8), strict=True):
        assert_equal_steps(one, other)


def test_ranks_share_a_step_without_overlap() -> None:
    alone = steps_of(RECIPE, 3)
    parts = [steps_of(RECIPE, 3, rank=rank, world_size=3) for rank in range(3)]
    for number, step in enumerate(alone):
        together = [key for rank in parts for key in rank[number].keys]
        assert Counter(together) == Counter(step.keys)
        assert sum(rank[number].answered for rank in parts) == step.answered


def test_visits_of_single_questions_ask_each_of_an_epoch_once_on_any_number_of_ranks() -> None:
    data = {"visits": 0}
    recipe = replace(RECIPE, mixture={"marked": data, "boxes": {**data, "task": "detection"}})
    recipe = replace(recipe, train=TrainRecipe(steps=0, batch_size=4))
    whole = steps_of(replace(recipe, mixture={"marked": {"visits": 1}, "boxes": {"task": "detection"}}), 100)
    wanted = Counter(key for step in whole for key in step.keys)
    alone = steps_of(recipe, 100)
    assert Counter(key for step in alone for key in step.keys) == wanted
    assert [len(step.keys) for step in alone[:-1]] == [4] * (len(alone) - 1)
    parts = [steps_of(recipe, 100, rank=rank, world_size=2, consumed=8) for rank in range(2)]
    for number, step in enumerate(alone[2:]):
        assert Counter(key for rank in parts for key in rank[number].keys) == Counter(step.keys)
    assert set(wanted.values()) == {1}


def test_a_bounded_run_ends_after_its_epochs_with_a_short_step() -> None:
    recipe = replace(
        RECIPE, mixture={"boxes": {"task": "detection", "visits": 1}}, train=TrainRecipe(steps=0, batch_size=2)
    )
    _, mixture = make_streams(recipe, {"": RECORDS}, PROCESSOR)
    assert step_count(mixture, recipe.train) == 2
    assert [visits_after(step, mixture, recipe.train) for step in (1, 2)] == [2, 3]
    steps = steps_of(recipe, 99)
    assert [step.visits for step in steps] == [2, 1]
    assert sorted(key for step in steps for key in step.keys) == [f"{record.key}/boxes/0" for record in RECORDS]


def test_questions_about_the_same_pixels_share_one_encoded_view() -> None:
    recipe = replace(
        RECIPE, mixture={"described": {"task": "grounding"}}, train=TrainRecipe(batch_size=1, token_budget=1500)
    )
    (step,) = steps_of(recipe, 1)
    (batch,) = step.batches
    assert len(batch.keys) > 1
    assert len(batch.inputs["image_grid_thw"]) == len(RECORDS[0])


def test_rows_keep_to_the_budget_and_micro_batches_to_their_rows() -> None:
    train = TrainRecipe(batch_size=6, token_budget=400, micro_batch=2)
    (step,) = steps_of(replace(RECIPE, train=train), 1)
    assert len(step.batches) > 1
    for batch in step.batches:
        rows, length = batch.inputs["input_ids"].shape
        assert rows <= 2
        assert length <= 400


def test_streams_draw_on_the_builds_of_their_names() -> None:
    recipe = replace(RECIPE, mixture={"near": {}, "far": {"build": "other"}})
    builds = {"": RecordList([RECORDS[0]]), "other": RecordList([make_record(8)])}
    streams, mixture = make_streams(recipe, builds, PROCESSOR)
    step = next(iter(Steps(streams, mixture, replace(recipe.train, batch_size=6))))
    assert {key.rpartition("/")[0] for key in step.keys} == {"room0000-clip-00000/near", "room0008-clip-00000/far"}
    with pytest.raises(
        UsageError, match=r"stream 'far' uses the build 'other', which .*; given: ''; add --shards other=DIR"
    ):
        make_streams(recipe, {"": RECORDS}, PROCESSOR)


def test_a_build_is_counted_like_the_records_it_holds_and_read_without_its_images(tmp_path: Path) -> None:
    records = [*RECORDS, replace(RECORDS[0], key="nothing-clip-00000", prompts=(), objects=())]
    reader = ShardReader(write_build(tmp_path / "build", records))
    for index, record in enumerate(records):
        found = reader.without_images(index)
        assert not found.members
        assert found.to_json() == RecordList(records).without_images(index).to_json() == record.to_json()
    for prompts in ("stored", "sampled"):
        recipe = replace(RECIPE, data=replace(RECIPE.data, prompts=prompts, visits=1, min_visible_pixels=3000))
        here, there = (census(recipe.streams, {"": source}) for source in (reader, RecordList(records)))
        assert here == there
        assert here["marked"].empty == 1
        lost = here["described"].left_out
        assert 0 < lost["no frame shows enough of the object"] < here["described"].descriptions


def test_records_outside_the_bounds_on_quality_are_left_out_counted_and_said(tmp_path: Path) -> None:
    figures: list[dict[str, Any]] = [
        {"neighbour_misalignment": value, "valid_depth": [0.5, 0.9]} for value in (0.01, 0.03)
    ]
    records = [replace(RECORDS[0], quality=figures[0]), replace(RECORDS[1], quality=figures[1]), RECORDS[2]]
    reader = ShardReader(write_build(tmp_path / "build", records))
    data = replace(RECIPE.data, visits=1, max_misalignment=0.02, min_valid_depth=0.6)
    recipe = replace(RECIPE, data=data, mixture={})
    for source in (reader, RecordList(records)):
        _, mixture = make_streams(recipe, {"": source}, PROCESSOR)
        assert len(mixture) == 1
        (found,) = census(recipe.streams, {"": source}).values()
        assert str(found).startswith("1 record; 2 more left out by the recipe's bounds on quality")
        with pytest.raises(UsageError, match="none of 3 clip records of split train has neighbour_misalignment of at"):
            make_streams(replace(recipe, data=replace(data, max_misalignment=0.005)), {"": source}, PROCESSOR)


def test_the_ranks_count_together_what_one_alone_would() -> None:
    recipe = replace(RECIPE, data=replace(RECIPE.data, visits=1, min_visible_pixels=3000))
    alone = census(recipe.streams, {"": RECORDS})
    barrier, shared = threading.Barrier(2), {}

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Threads(Ranks):
        def gathered(self, value: Any) -> list[Any]:
            shared[self.rank] = value
            barrier.wait()
            both = [shared[0], shared[1]]
            barrier.wait()
            return both

    with ThreadPoolExecutor(2) as pool:
        both = (Threads(rank=rank, world_size=2) for rank in range(2))
        found = list(pool.map(lambda ranks: census(recipe.streams, {"": RECORDS}, ranks), both))
    assert found == [alone, alone]


def test_all_streams_of_a_process_share_one_bounded_cache() -> None:
    cache = RecordCache(capacity=0)
    make_streams(RECIPE, {"": RECORDS}, PROCESSOR, cache=cache)
    streams, mixture = make_streams(RECIPE, {"": RECORDS}, PROCESSOR, cache=cache)
    for number in range(12):
        visit = mixture.visit(number)
        streams[visit.stream].examples(visit)
        assert len(cache) == 1  # the view in use
    roomy = RecordCache()
    streams, mixture = make_streams(RECIPE, {"": RECORDS}, PROCESSOR, cache=roomy)
    for number in range(len(mixture)):
        visit = mixture.visit(number)
        streams[visit.stream].examples(visit)
    views = [decode(record, geometry=geometry) for record in RECORDS for geometry in (True, False)]
    assert len(roomy) == len(views)
    assert roomy.size == sum(view.images.nbytes + view.depth.nbytes + view.instances.nbytes for view in views)


def test_a_view_that_streams_share_is_decoded_once() -> None:
    recipe = replace(RECIPE, mixture={"one": {}, "other": {"mirror": True}})
    decoded: Counter[int] = Counter()

    class Counted(RecordList):
        def __getitem__(self, index: Any) -> Any:
            decoded[index] += 1
            return super().__getitem__(index)

    streams, mixture = make_streams(recipe, {"": Counted([*RECORDS])}, PROCESSOR)
    decoded.clear()
    for number in range(len(mixture)):
        visit = mixture.visit(number)
        streams[visit.stream].examples(visit)
    assert decoded == Counter(range(len(RECORDS)))


def test_a_split_without_records_is_refused() -> None:
    recipe = TrainingRecipe(data=DataRecipe(split="val"))
    with pytest.raises(UsageError, match="the build has no clip records of split val"):
        make_streams(recipe, {"": RECORDS}, PROCESSOR)
