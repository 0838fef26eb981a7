"""Read a build as a torch dataset that stops anywhere and goes on exactly, on any number of loader workers and ranks.

The records come in the order of :mod:`gapdata.shards.order`, numbered through all epochs. Of each ``world_size``
consecutive numbers a rank takes the one at its own place, and of the rank's records worker ``w`` of ``W`` serves the
batches ``w``, ``w + W``, ..., because torch's ``DataLoader`` asks its workers for batches in turn. So batches come out
in order, and one number says how far the whole job is: how many records it has used.

Workers read ahead, so they do not know that number. The process that trains knows it: every sample carries its
``number``, and :meth:`RecordStream.mark_used` takes the numbers of a batch once it is used. A stream that is read
without workers counts what it hands out, until something is marked.

This is the one file of gapdata that imports torch, and only inside its functions.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from gapdata.errors import UsageError
from gapdata.runtime.terminal import say
from gapdata.shards.order import RecordOrder
from gapdata.shards.records import Records
from gapdata.shards.samples import check_fields, decoded

NO_ITERATION = -1


class RecordStream:
    """The dataset without its torch base class; :func:`torch_dataset` makes it an ``IterableDataset``.

    An iteration goes from the first record that is not used to the end of its epoch, or on without end.
    """

    def __init__(
        self,
        records: Records,
        order: RecordOrder,
        *,
        fields: Collection[str],
        batch_size: int,
        rank: int,
        world_size: int,
        endless: bool,
    ) -> None:
        import torch

        check_fields(fields)
        order.positions(0, 0)  # refuses an order without records
        if batch_size < 1 or not 0 <= rank < world_size:
            problem = f"batch_size {batch_size}, rank {rank} and world_size {world_size} contradict each other"
            raise UsageError(problem, cure="give a batch_size of at least 1, and 0 <= rank < world_size")
        self.records, self.order, self.fields = records, order, tuple(fields)
        self.batch_size, self.rank, self.world_size, self.endless = batch_size, rank, world_size, endless
        # What a state belongs to; made once, because the fingerprint is read from the build and states are saved often.
        self._identity = {
            "records": len(order),
            "seed": order.seed,
            "shards_per_group": order.shards_per_group,
            "selection": crc32(np.fromiter(chain.from_iterable(order.shards), np.int64).tobytes()),
            "build": records.fingerprint,
        }
        self._marked = 0
        # The same number for workers that persist: their copy of the dataset is as old as they are.
        self._shared = torch.zeros((), dtype=torch.int64)
        self._shared.share_memory_()  # type: ignore[no-untyped-call]
        # Written by workers: an iteration, by its loader's seed, in which this rank got nothing, and its epoch's end.
        self._without_records = torch.tensor([NO_ITERATION, 0])
        self._without_records.share_memory_()  # type: ignore[no-untyped-call]
        # Likewise, an iteration that came to the end of its epoch, where it began, and whether that was warned of.
        self._completed = torch.tensor([NO_ITERATION, 0, 0])
        self._completed.share_memory_()  # type: ignore[no-untyped-call]
        self._iteration = NO_ITERATION
        # Without workers and marks: records that the job has used, if everything that was handed out is used.
        self._handed_out: int | None = None
        self._marking = False
        # In a worker only: the number at which its iteration began, and how many records it has served since.
        self._served: tuple[int, int] | None = None
        self._restored: tuple[int, int] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.__dict__,)

    @property
    def used(self) -> int:
        """How many records the whole job has used, over all epochs."""
        return max(self._marked, int(self._without_records[1])) if self._handed_out is None else self._handed_out

    def __len__(self) -> int:
        """Return the number of records that this rank still gets in this epoch.

        Raises:
            TypeError: the stream is endless.
        """
        if self.endless:
            raise TypeError("an endless stream has no length")
        return len(range(self.used + self.rank, self._epoch_end(self.used), self.world_size))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        from torch.utils.data import get_worker_info

        info = get_worker_info()
        if info is None:
            self._mark(self.used)
            return self._samples(0, 1, self._marked, 0)
        start, served = self._restored or (self._start_in_worker(info.seed - info.id), 0)
        if info.id == 0:
            self._warn_of_repetition(info.seed, start)
        self._restored, self._served = None, (start, served)
        return self._samples(info.id, info.num_workers, start, served)

    def _start_in_worker(self, iteration: int) -> int:
        """Return how many records the job had used when this iteration began; its workers have one loader's seed."""
        # That is known before any worker's sample can be marked: torch copies the dataset to all workers first, and
        # workers that persist tell that they have begun again.
        again = self._served is not None
        start = int(self._shared) if again else self._marked
        # A rank that gets nothing of what is left of an epoch has no batch to mark: its workers say that it is over.
        earlier, end = self._without_records.tolist()
        if again or earlier not in (NO_ITERATION, iteration):
            start = max(start, end)
        if not self.endless and start + self.rank >= self._epoch_end(start):
            self._without_records[0] = iteration
            self._without_records[1] = self._epoch_end(start)
        self._iteration = iteration
        return start

    def _warn_of_repetition(self, iteration: int, start: int) -> None:
        """Warn once, in a loader worker, if the iteration before served these records and none was marked as used."""
        completed, began, warned = self._completed.tolist()
        again = completed != NO_ITERATION and (self._served is not None or completed != iteration)
        if again and began == start and not warned:
            self._completed[2] = 1
            say(
                "warning: the records come in the same order again, because none was marked as used; for training, call"
                " dataset.mark_used(batch['number']) after each step",
                error=True,
            )

    def _samples(self, worker: int, workers: int, start: int, served: int) -> Iterator[dict[str, Any]]:
        alone = self._served is None
        end = None if self.endless else self._epoch_end(start)
        while True:
            batch, place = divmod(served, self.batch_size)
            row = (worker + workers * batch) * self.batch_size + place
            number = start + row * self.world_size + self.rank
            if end is not None and number >= end:
                if not alone:
                    self._completed[0], self._completed[1] = self._iteration, start
                break
            record = self.records[int(self.order.positions(number, 1)[0])]
            sample = {"number": number, **decoded(record, self.fields)}
            served += 1
            if not alone:
                self._served = (start, served)
            elif not self._marking:
                self._handed_out = self._used_with(number)
            yield sample
        if alone and not self._marking:
            self._handed_out = end

    def mark_used(self, numbers: int | Iterable[int]) -> None:
        """Count the records of a batch as used, in the state that is saved.

        Args:
            numbers: the batch's ``number``, as collated: one, a sequence, or a tensor.

        Raises:
            UsageError: these are not the rank's next records.
        """
        import torch

        found = torch.as_tensor(numbers).reshape(-1).tolist()
        if not found:
            return
        self._marking, self._handed_out = True, None
        first = self.used + self.rank
        if found != list(range(first, found[-1] + 1, self.world_size)):
            raise UsageError(
                f"the batch holds the records numbered {found[0]} to {found[-1]}, but the next one is {first}",
                cure="give the DataLoader the batch_size that the dataset has, and mark every batch in turn",
            )
        self._mark(self._used_with(found[-1]))

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the stream, as plain numbers.

        In a process that trains, ``used`` is the same on all ranks; only near the end of an epoch that does not divide
        by the number of ranks, save that of rank 0. In a loader worker, which ``torchdata.StatefulDataLoader`` asks,
        the state is that of the worker, for the same worker of the same number of workers.
        """
        from torch.utils.data import get_worker_info

        start, served = (self.used, 0) if get_worker_info() is None else self._served or (self._marked, 0)
        return {"used": start, "served": served, **self._identity}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of a stream of the same records and seed, with any number of ranks and workers.

        Raises:
            UsageError: the state is of other records or another order, or of a single loader worker.
        """
        from torch.utils.data import get_worker_info

        differences = [
            f"{name} was {state.get(name)!r} and is {value!r}"
            for name, value in self._identity.items()
            if state.get(name) != value
        ]
        if differences:
            raise UsageError(
                f"the state is of another stream: {', '.join(differences)}",
                cure="open the build, and select and seed as when the state was saved",
            )
        if not all(isinstance(state.get(name), int) and state[name] >= 0 for name in ("used", "served")):
            raise UsageError("the state does not say how many records are used", cure="load what state_dict() returned")
        if get_worker_info() is not None:
            self._restored = (int(state["used"]), int(state["served"]))
            return
        if state["served"]:
            raise UsageError(
                "the state is that of a single loader worker", cure="load it with the loader that saved it"
            )
        self._without_records[0] = self._completed[0] = NO_ITERATION
        self._without_records[1] = 0
        self._mark(int(state["used"]))

    def _mark(self, used: int) -> None:
        self._marked, self._handed_out = used, None
        self._shared.fill_(used)

    def _used_with(self, number: int) -> int:
        """Return how many records the job has used once this rank's record of that number is."""
        after = number - self.rank + self.world_size
        if self.endless:
            return after
        end = self._epoch_end(number)
        return end if after + self.rank >= end else after

    def _epoch_end(self, number: int) -> int:
        return (number // len(self.order) + 1) * len(self.order)


if TYPE_CHECKING:
    from torch.utils.data import IterableDataset

    class RecordDataset(RecordStream, IterableDataset[dict[str, Any]]):
        """A record stream that torch's loaders take; made when it is needed, because torch is imported then."""


def torch_dataset(
    records: Records,
    order: RecordOrder,
    *,
    fields: Collection[str],
    batch_size: int,
    rank: int | None,
    world_size: int | None,
    endless: bool,
) -> RecordDataset:
    """Return a :class:`RecordStream` that torch's loaders take: see :meth:`gapdata.shards.reader.ShardReader.torch`.

    Raises:
        UsageError: no record takes part, or the numbers contradict each other.
    """
    here = _place()
    return _dataset_class()(
        records,
        order,
        fields=fields,
        batch_size=batch_size,
        rank=here[0] if rank is None else rank,
        world_size=here[1] if world_size is None else world_size,
        endless=endless,
    )


@cache
def _dataset_class() -> type[RecordDataset]:
    from torch.utils.data import IterableDataset

    kind: type[RecordDataset] = type("RecordDataset", (RecordStream, IterableDataset), {"__module__": __name__})
    return kind


def _restore(fields: dict[str, Any]) -> RecordDataset:
    """Make a dataset again in another process, where its class is not known by name."""
    kind = _dataset_class()
    dataset = kind.__new__(kind)
    dataset.__dict__.update(fields)
    return dataset


def _place() -> tuple[int, int]:
    """Return rank and world size: of ``torch.distributed`` where it is set up, else of torchrun's environment."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
