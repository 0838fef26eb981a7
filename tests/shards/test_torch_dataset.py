"""A torch dataset that stops anywhere goes on exactly, whatever the number of loader workers and ranks is then."""

from __future__ import annotations

import pickle
import random
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from gapdata.errors import UsageError
from gapdata.shards.reader import ShardReader
from tests.records.test_records import make_record
from tests.support.builds import write_shards

RECORDS = 23
FIELDS = ("key", "depth")
Stop = tuple[int, int, int]  # ranks, loader workers, batches of each rank until it stops


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> ShardReader:
    records = [make_record(seed, key=f"s{seed:02d}-clip-00000", scene_id=f"s{seed:02d}") for seed in range(RECORDS)]
    return ShardReader(write_shards(tmp_path_factory.mktemp("torch") / "build", records, per_shard=3))


def dataset(build: ShardReader, rank: int = 0, world_size: int = 1, **options: Any) -> Any:
    given: dict[str, Any] = {"split": "train", "view": "clip", "seed": 5, "fields": FIELDS, "batch_size": 2}
    return build.torch(rank=rank, world_size=world_size, **{**given, **options})


def expected(build: ShardReader, epochs: int = 1, seed: int = 5) -> list[str]:
    order = build.order(seed=seed, split="train", view="clip")
    return [build.keys[position] for position in order.positions(0, epochs * RECORDS)]


def run(build: ShardReader, state: dict[str, Any] | None, stop: Stop, **options: Any) -> tuple[list[str], Any]:
    """Train on some batches of every rank; the keys in the job's order, and rank 0's state."""
    ranks, workers, batches = stop
    found: dict[int, str] = {}
    states = []
    for rank in range(ranks):
        data = dataset(build, rank, ranks, **options)
        if state is not None:
            data.load_state_dict(state)
        for step, batch in enumerate(DataLoader(data, batch_size=2, num_workers=workers)):
            if step == batches:
                break
            found |= dict(zip(batch["number"].tolist(), batch["key"], strict=True))
            data.mark_used(batch["number"])
        states.append(data.state_dict())
    return [found[number] for number in sorted(found)], states[0]


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("ranks", [1, 2])
def test_every_record_comes_once_in_the_order_of_its_epoch(build: ShardReader, ranks: int, workers: int) -> None:
    first, state = run(build, None, (ranks, workers, RECORDS))
    assert first == expected(build)
    assert state["used"] == RECORDS
    second, state = run(build, state, (ranks, workers, RECORDS))
    assert second == expected(build, epochs=2)[RECORDS:]
    assert second != first


@pytest.mark.parametrize(
    "stops",
    [
        ((1, 0, 3), (2, 3, 2), (1, 1, 99)),
        ((2, 1, 1), (1, 3, 5), (2, 0, 99)),
        ((1, 3, 4), (1, 0, 1), (2, 3, 1), (2, 1, 99)),
    ],
)
def test_a_stopped_job_goes_on_with_other_numbers_of_ranks_and_workers(
    build: ShardReader, stops: tuple[Stop, ...]
) -> None:
    found: list[str] = []
    state = None
    for stop in stops:
        part, state = run(build, state, stop)
        found += part
    assert found == expected(build)


@pytest.mark.parametrize(("workers", "persist"), [(0, False), (1, False), (2, False), (2, True)])
def test_a_rank_that_gets_nothing_of_what_is_left_of_an_epoch_goes_on_with_the_next(
    build: ShardReader, workers: int, persist: bool
) -> None:
    """Two of three ranks get nothing of an epoch's last record: their workers give them nothing to mark."""
    found: list[dict[int, str]] = [{}, {}, {}]
    for rank in range(3):
        data = dataset(build, rank, 3)
        data.load_state_dict({**data.state_dict(), "used": RECORDS - 1})
        loader = DataLoader(data, batch_size=2, num_workers=workers, persistent_workers=persist)
        for iteration in found:
            for batch in loader:
                iteration |= dict(zip(batch["number"].tolist(), batch["key"], strict=True))
                data.mark_used(batch["number"])
        assert data.state_dict()["used"] == 3 * RECORDS
        data.load_state_dict({**data.state_dict(), "used": 0})
        assert data.used == 0
    keys = expected(build, epochs=3)
    for iteration, start, end in zip(found, (RECORDS - 1, RECORDS, 2 * RECORDS), (1, 2, 3), strict=True):
        assert iteration == {number: keys[number] for number in range(start, end * RECORDS)}


def test_ranks_of_an_endless_stream_get_equally_many_and_cross_epochs(build: ShardReader) -> None:
    found, state = run(build, None, (2, 1, 7), endless=True)
    more, state = run(build, state, (2, 0, 6), endless=True)
    assert found + more == expected(build, epochs=3)[: 2 * 2 * 13]
    assert state["used"] == 52
    with pytest.raises(TypeError, match="an endless stream has no length"):
        len(dataset(build, endless=True))


def test_a_stream_without_workers_counts_by_itself_at_any_sample(build: ShardReader) -> None:
    data, generator = dataset(build), random.Random(0)
    found: list[str] = []
    while len(found) < RECORDS:
        for sample in islice(data, generator.randint(1, 4)):
            found.append(sample["key"])
            assert data.state_dict()["used"] == len(found)
        other = dataset(build)
        other.load_state_dict(data.state_dict())
        data = other
    assert found == expected(build)


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_that_persist_go_on_where_the_job_is(build: ShardReader, start: str) -> None:
    data = dataset(build)
    loader = DataLoader(data, batch_size=2, num_workers=2, persistent_workers=True, multiprocessing_context=start)
    found = []
    for batches in (2, 1, 99, 99):
        for step, batch in enumerate(loader):
            if step == batches:
                break
            data.mark_used(batch["number"])
            found += batch["key"]
    assert found == expected(build, epochs=2)
    assert data.used == 2 * RECORDS


@pytest.mark.parametrize("persist", [False, True])
def test_workers_warn_of_an_epoch_that_comes_again_because_nothing_was_marked(
    build: ShardReader, capfd: pytest.CaptureFixture[str], persist: bool
) -> None:
    for marks, warned in ((True, 0), (False, 1)):
        data = dataset(build)
        loader = DataLoader(data, batch_size=2, num_workers=2, persistent_workers=persist)
        found: list[list[str]] = []
        for _ in range(3):
            found.append([])
            for batch in loader:
                found[-1] += batch["key"]
                if marks:
                    data.mark_used(batch["number"])
        assert (found[0] == found[1] == found[2]) == (not marks)
        told = capfd.readouterr().err
        assert told.count("come in the same order again, because none was marked as used") == warned


def begin_late(worker: int) -> None:
    time.sleep(0.3 * worker)


def test_a_worker_that_begins_late_begins_where_the_others_did(build: ShardReader) -> None:
    data = dataset(build)
    found = []
    for batch in DataLoader(data, batch_size=2, num_workers=3, worker_init_fn=begin_late):
        found += batch["key"]
        data.mark_used(batch["number"])
    assert found == expected(build)


def test_workers_save_and_restore_themselves_by_torchdatas_protocol(build: ShardReader) -> None:
    torchdata = pytest.importorskip("torchdata.stateful_dataloader")

    def loader() -> Any:
        return torchdata.StatefulDataLoader(dataset(build), batch_size=2, num_workers=3)

    whole = loader()
    found = []
    for step, batch in enumerate(whole):
        found += batch["key"]
        if step == 4:
            break
    again = loader()
    again.load_state_dict(whole.state_dict())
    for batch in again:
        found += batch["key"]
    assert found == expected(build)


def test_what_was_handed_out_and_not_marked_comes_again(build: ShardReader) -> None:
    data = dataset(build)
    batches = [batch["number"] for batch in islice(DataLoader(data, batch_size=2), 4)]
    assert data.used == 8
    data.mark_used(batches[0])
    data.mark_used(batches[1])
    assert data.state_dict()["used"] == 4
    assert next(iter(data))["number"] == 4


def worker_info(worker: int, workers: int, data: Any = None) -> Any:
    return torch.utils.data._utils.worker.WorkerInfo(id=worker, num_workers=workers, seed=0, dataset=data)


def test_the_place_of_a_worker_is_saved_and_restored_in_the_worker(
    build: ShardReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = torch.utils.data._utils.worker
    served: dict[int, list[str]] = {}
    for worker in range(3):
        monkeypatch.setattr(module, "_worker_info", worker_info(worker, 3))
        data = dataset(build)
        first = [sample["key"] for sample in islice(data, 4)]
        again = dataset(build)
        again.load_state_dict(data.state_dict())
        served[worker] = first + [sample["key"] for sample in again]
    batches = {worker: [keys[at : at + 2] for at in range(0, len(keys), 2)] for worker, keys in served.items()}
    turns = [batches[number % 3][number // 3] for number in range(12)]
    assert [key for batch in turns for key in batch] == expected(build)
    monkeypatch.setattr(module, "_worker_info", None)
    with pytest.raises(UsageError, match="the state is that of a single loader worker"):
        dataset(build).load_state_dict(data.state_dict() | {"served": 4})


def test_a_batch_that_is_not_the_next_one_is_refused(build: ShardReader) -> None:
    data = dataset(build)
    with pytest.raises(
        UsageError, match=r"records numbered 2 to 3, but the next one is 0; give the DataLoader the bat"
    ):
        data.mark_used([2, 3])
    batch = next(iter(DataLoader(data, batch_size=4, num_workers=2)))  # the dataset was told 2
    with pytest.raises(UsageError, match="give the DataLoader the batch_size that the dataset has"):
        data.mark_used(batch["number"])
    data.mark_used(0)
    data.mark_used(torch.tensor([1, 2]))
    assert data.state_dict()["used"] == 3
    assert len(data) == RECORDS - 3


def test_states_and_arguments_that_do_not_fit_are_refused(build: ShardReader, tmp_path: Path) -> None:
    state = dataset(build).state_dict()
    same_number = [replace(record, split="val" if at % 2 else "train") for at, record in enumerate(list(build)[:6])]
    halves = ShardReader(write_shards(tmp_path / "halves", same_number, per_shard=1))
    saved = dataset(halves).state_dict()
    for other, name in (({"split": "val"}, "selection"), ({"shards_per_group": 2}, "shards_per_group")):
        with pytest.raises(UsageError, match=rf"the state is of another stream: {name} was \d+ and is \d+"):
            dataset(halves, **other).load_state_dict(saved)
    for wrong in ({"used": -1}, {"used": "3"}, {"used": None}, {"served": None}):
        with pytest.raises(UsageError, match="the state does not say how many records are used; load what state_dict"):
            dataset(build).load_state_dict({**state, **wrong})
    with pytest.raises(UsageError, match="shards_per_group is 0, expected at least 1"):
        dataset(build, shards_per_group=0)
    with pytest.raises(UsageError, match="the state is of another stream: seed was 5 and is 6"):
        dataset(build, seed=6).load_state_dict(state)
    with pytest.raises(UsageError, match="no record takes part in this order"):
        dataset(build, view="scene")
    with pytest.raises(UsageError, match="batch_size 2, rank 2 and world_size 2 contradict each other"):
        dataset(build, 2, 2)
    with pytest.raises(UsageError, match="field 'depths' is unknown; did you mean depth"):
        dataset(build, fields=("depths",))


def test_samples_hold_arrays_and_travel_to_other_processes(build: ShardReader) -> None:
    data = build.torch(split="train", seed=5)
    copy = pickle.loads(pickle.dumps(data))  # noqa: S301 - our own bytes
    sample, same = next(iter(data)), next(iter(copy))
    record = build[sample["key"]]
    np.testing.assert_array_equal(sample["images"], np.stack([record.image(frame) for frame in range(2)]))
    np.testing.assert_array_equal(sample["pointmap"], record.pointmap())
    np.testing.assert_array_equal(sample["depth"], same["depth"])
    assert sample["instances"].dtype == sample["prompt_masks"].dtype == np.uint16
    assert "record" not in sample
    batch = next(iter(DataLoader(data, batch_size=3)))
    assert batch["images"].shape == (3, 2, 24, 32, 3)
    told = next(iter(build.torch(fields=("record",))))
    assert told["record"].key in build.keys
    assert dict(told["record"].members) == {}


def test_rank_and_world_size_are_torchruns_unless_they_are_given(
    build: ShardReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert [sample["number"] for sample in build.torch(fields=("key",))] == list(range(1, RECORDS, 2))
    assert len(list(build.torch(fields=("key",), rank=0, world_size=1))) == RECORDS
