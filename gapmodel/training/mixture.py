"""The order in which training visits the records of several streams: a pure function of the seed.

A *visit* asks a share of one record's questions, or a single one. Within a stream visits follow
:class:`gapdata.shards.order.RecordOrder`; an epoch of a stream is ``visits`` rounds of that order, so that each record
is visited once before any is visited again. Streams are interleaved evenly: the k-th visit of a stream that has r
visits in an epoch of the mixture is due at the time (k + 1/2) / r, and visits are served in the order of their times.
Therefore the number of visits of each stream among the first n is known without going through them, and it is all the
state of a run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapdata.runtime.counting import counted
from gapdata.shards.order import RecordOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One visit: which share of a record's questions is asked, in which epoch of its stream."""

    stream: int
    record: int  # position in the build
    epoch: int
    share: int


class StreamOrder:
    """The endless sequence of a stream's visits.

    Args:
        name: the stream's.
        records: the order in which a round goes through the records.
        shares: rounds in an epoch of the stream; each asks a share of every record's questions.
        weight: how often an epoch of the mixture goes through an epoch of the stream.
        items: where each question is visited alone, what ``records`` goes through instead: record and share of each.
    """

    def __init__(
        self,
        name: str,
        records: RecordOrder,
        shares: int,
        weight: float = 1.0,
        items: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        self.name = name
        self.items = items
        self.records = records
        self.shares = shares
        self.rate = weight * shares * len(records)
        """Visits in an epoch of the mixture."""
        self._rounds: dict[int, NDArray[np.int64]] = {}

    def visit(self, stream: int, number: int) -> Visit:
        """Return the visit with this number; it is labelled as a visit of stream number ``stream``."""
        round_number, position = divmod(number, len(self.records))
        if round_number not in self._rounds:
            # A batch may lie across the border of two rounds.
            self._rounds = {old: order for old, order in self._rounds.items() if old == round_number - 1}
            self._rounds[round_number] = self.records.epoch(round_number)
        epoch, share = divmod(round_number, self.shares)
        record = int(self._rounds[round_number][position])
        if self.items is not None:
            record, share = self.items[record]
        return Visit(stream=stream, record=record, epoch=epoch, share=share)


class Mixture:
    """All streams as one endless sequence of visits.

    :meth:`positions` makes it an order that :func:`gapdata.shards.order.rank_batches` slices: what it serves are the
    numbers of visits in the whole sequence, which :meth:`visit` resolves.
    """

    def __init__(self, streams: Sequence[StreamOrder]) -> None:
        empty = [stream.name for stream in streams if not len(stream.records)]
        if not streams or empty:
            raise UsageError(f"streams without records: {', '.join(empty)}", cure="choose another split or view")
        self.streams = tuple(streams)
        self._total = sum(stream.rate for stream in streams)
        self._known: tuple[int, list[int]] = (0, [0] * len(streams))

    def __len__(self) -> int:
        """Visits in an epoch of the mixture."""
        return max(1, round(self._total))

    def positions(self, start: int, count: int) -> NDArray[np.int64]:
        """Return the numbers of ``count`` visits, from number ``start`` on."""
        return np.arange(start, start + count)

    def consumed(self, visits: int) -> dict[str, int]:
        """Return how many of the first ``visits`` visits belong to each stream: the state of a run."""
        return dict(zip((stream.name for stream in self.streams), self._counts(visits), strict=True))

    def visits_of(self, consumed: Mapping[str, int]) -> int:
        """Return the number of visits of a state of :meth:`consumed`.

        Raises:
            UsageError: no number of visits leads to that state.
        """
        visits = sum(consumed.values())
        if self.consumed(visits) != dict(consumed):
            raise UsageError(
                f"the checkpoint's visits of each stream, {dict(consumed)}, do not fit this mixture, which makes"
                f" {self.consumed(visits)} of {counted(visits, 'visit')}",
                cure="go on with the recipe and the builds that the run was started with",
            )
        return visits

    def visit(self, number: int) -> Visit:
        """Return the visit with this number in the whole sequence."""
        before = self._counts(number)
        stream = self._next(before)
        return self.streams[stream].visit(stream, before[stream])

    def _counts(self, visits: int) -> list[int]:
        """Return how many of the first ``visits`` visits each stream has."""
        at, counts = self._known
        if not at <= visits <= at + 4096:
            # All visits due up to a time that is early enough, then one by one.
            time = max(0.0, (visits - 2 * len(self.streams)) / self._total)
            counts = [max(0, math.ceil(stream.rate * time - 0.5)) for stream in self.streams]
            at = sum(counts)
        counts = list(counts)
        for _ in range(visits - at):
            counts[self._next(counts)] += 1
        self._known = (visits, counts)
        return counts

    def _next(self, counts: Sequence[int]) -> int:
        due = [(count + 0.5) / stream.rate for count, stream in zip(counts, self.streams, strict=True)]
        return due.index(min(due))
