"""Offer records to questions, pages and training: those of a build, or a list of them in memory."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Protocol, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.splits import SPLITS
from gapdata.errors import UsageError
from gapdata.records.schema import VIEW_KINDS, Record
from gapdata.runtime.choices import check_choice
from gapdata.runtime.counting import counted
from gapdata.shards.index import COUNTS, FIGURES, figure_of
from gapdata.shards.order import RecordOrder

Bounds = Mapping[str, tuple[float, float]]
"""The lowest and the highest value of quality figures, by their names."""
UNBOUND: Bounds = MappingProxyType({})


class Records(Protocol):
    """Records in a fixed sequence: a build (:class:`gapdata.shards.reader.ShardReader`) or a :class:`RecordList`."""

    @property
    def keys(self) -> Sequence[str]:
        """The key of each record."""
        ...

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint in the build's plan; ``None`` for records without a plan."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Record]: ...

    def __contains__(self, key: object, /) -> bool:
        """Return whether there is a record with this key."""
        ...

    def __getitem__(self, which: SupportsIndex | str, /) -> Record:
        """Return the record at a position, or the record with a key.

        Raises:
            IndexError: there is no such position.
            UsageError: there is no such key.
        """
        ...

    def without_images(self, index: int) -> Record:
        """Return a record without its members; nothing but its JSON is read."""
        ...

    def select(self, *, split: str | None = None, view: str | None = None, quality: Bounds = UNBOUND) -> list[int]:
        """Return the positions of the records of a split, of a kind of view, and within bounds of quality.

        A record is left out if a figure that ``quality`` bounds was not measured for it.

        Args:
            split: ``train``, ``val``, ...; ``None`` for all.
            view: ``clip``, ``scene`` or ``around``; ``None`` for all.
            quality: lowest and highest value by figure, as in ``{"neighbour_misalignment": (0, 0.02)}``.

        Raises:
            UsageError: no build has such a split, view or figure (:data:`gapdata.shards.index.FIGURES`).
        """
        ...

    def counts(self, name: str) -> NDArray[np.int32]:
        """Return how many ``prompts`` or ``objects`` each record has, (N,) int32."""
        ...

    def order(
        self, *, seed: int, split: str | None = None, view: str | None = None, quality: Bounds = UNBOUND
    ) -> RecordOrder:
        """Return the order in which training visits the records that :meth:`select` gives."""
        ...


class RecordList:
    """Records in memory, with the methods of a build's reader."""

    fingerprint: str | None = None

    def __init__(self, records: Iterable[Record]) -> None:
        self._records = tuple(records)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The key of each record."""
        return tuple(record.key for record in self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {counted(len(self), 'record')}>"

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def __contains__(self, key: object) -> bool:
        """Return whether there is a record with this key."""
        return key in self.keys

    def __getitem__(self, which: SupportsIndex | str, /) -> Record:
        if not isinstance(which, str):
            return self._records[checked_position(which, len(self))]
        if which not in self.keys:
            raise unknown_key(which, self.keys)
        return self._records[self.keys.index(which)]

    def without_images(self, index: int) -> Record:
        """Return a record without its members."""
        return dataclasses.replace(self._records[checked_position(index, len(self))], members={})

    def select(self, *, split: str | None = None, view: str | None = None, quality: Bounds = UNBOUND) -> list[int]:
        """Return the positions of the records of a split, of a kind of view, and within bounds of quality."""
        if split is not None:
            check_choice("split", split, tuple(dict.fromkeys((*SPLITS, *(record.split for record in self._records)))))
        if view is not None:
            check_choice("view", view, VIEW_KINDS)
        for name in quality:
            check_choice("quality figure", name, FIGURES)
        return [
            index
            for index, record in enumerate(self._records)
            if split in (None, record.split) and view in (None, record.view) and _within(record, quality)
        ]

    def counts(self, name: str) -> NDArray[np.int32]:
        """Return how many ``prompts`` or ``objects`` each record has, (N,) int32."""
        check_choice("count", name, COUNTS)
        return np.array([len(getattr(record, name)) for record in self._records], dtype=np.int32)

    def order(
        self, *, seed: int, split: str | None = None, view: str | None = None, quality: Bounds = UNBOUND
    ) -> RecordOrder:
        """Return the order in which training visits the records that :meth:`select` gives: all of them mixed."""
        chosen = self.select(split=split, view=view, quality=quality)
        return RecordOrder(shards=tuple((index,) for index in chosen), seed=seed, shards_per_group=max(1, len(chosen)))


def checked_position(which: SupportsIndex, count: int) -> int:
    """Return a record's position from the beginning; ``which`` may count from the end, and be an integer of NumPy.

    Raises:
        IndexError: there is no such position.
        TypeError: it is a slice or something else that is not one position.
    """
    try:
        index = operator.index(which)
    except TypeError:
        problem = f"a record is taken by its position or its key, not by a {type(which).__name__}"
        raise TypeError(f"{problem}; [build[i] for i in positions] takes several") from None
    if not -count <= index < count:
        raise IndexError(f"there is no record {index} among {counted(count, 'record')}")
    return index % count


def unknown_key(key: str, known: Sequence[str], path: object = None) -> UsageError:
    """Return the error for a key that no record has; ``path`` is the build."""
    near = [name for name in known if name.startswith(key[:12])][:3] or list(known[:3])
    return UsageError(f"has no record {key!r}", path=path, cure=f"keys look like {', '.join(near)}")


def _within(record: Record, quality: Bounds) -> bool:
    values = {name: figure_of(record.quality, name) for name in quality}
    return all(value is not None and quality[name][0] <= value <= quality[name][1] for name, value in values.items())
