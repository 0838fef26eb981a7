"""Decoded views that a process keeps: a small build is decoded once, a large one does not fill memory.

All streams of a process share one cache, because its memory is one: with a cache for each, a mixture of four tasks
read by eight loader processes kept 16 GiB a rank.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from gapmodel.training.augment import View

CACHE_BYTES = 512 * 2**20
"""Bytes of decoded frames that one process keeps."""


class ViewCache:
    """The views that were used last, as many as fit.

    Args:
        capacity: bytes of images, depth and masks; the view in use is kept even where it alone exceeds that.
    """

    def __init__(self, capacity: int = CACHE_BYTES) -> None:
        self._capacity = capacity
        self._views: OrderedDict[Hashable, View] = OrderedDict()
        self.size = 0
        """Bytes kept now."""

    def __len__(self) -> int:
        return len(self._views)

    def get(self, key: Hashable, decode: Callable[[], View]) -> View:
        """Return the view under ``key``, decoded now if it is not kept."""
        view = self._views.get(key)
        if view is not None:
            self._views.move_to_end(key)
            return view
        view = self._views[key] = decode()
        self.size += _size(view)
        while self.size > self._capacity and len(self._views) > 1:
            _, oldest = self._views.popitem(last=False)
            self.size -= _size(oldest)
        return view


def _size(view: View) -> int:
    return view.images.nbytes + view.depth.nbytes + view.instances.nbytes
