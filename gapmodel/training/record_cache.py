"""Decoded records that a process keeps: a small build is decoded once, a large one does not fill memory.

All streams of a process share one cache, because its memory is one: with a cache for each, a mixture of four tasks
read by eight loader processes kept 16 GiB a rank.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from gapmodel.training.augment import DecodedRecord

CACHE_BYTES = 512 * 2**20
"""Bytes of decoded frames that one process keeps."""


class RecordCache:
    """The records that were used last, as many as fit.

    Args:
        capacity: bytes of images, depth and masks; the record in use is kept even where it alone exceeds that.
    """

    def __init__(self, capacity: int = CACHE_BYTES) -> None:
        self._capacity = capacity
        self._records: OrderedDict[Hashable, DecodedRecord] = OrderedDict()
        self.size = 0
        """Bytes kept now."""

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: Hashable, decode: Callable[[], DecodedRecord]) -> DecodedRecord:
        """Return the record under ``key``, decoded now if it is not kept."""
        record = self._records.get(key)
        if record is not None:
            self._records.move_to_end(key)
            return record
        record = self._records[key] = decode()
        self.size += record.nbytes
        while self.size > self._capacity and len(self._records) > 1:
            _, oldest = self._records.popitem(last=False)
            self.size -= oldest.nbytes
        return record
