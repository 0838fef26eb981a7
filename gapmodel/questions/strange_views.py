"""For each record another place's view, whose geometry it is given to see whether a model notices.

The choice follows from the record's key alone: not from the order of questions, the number of workers or the batch. It
never falls on a view of the same place, by the places that the build's plan names and by ScanNet's names of scans.
"""

from __future__ import annotations

import itertools
import re
from contextlib import suppress
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gapdata.audit.leaks import scenes_of
from gapdata.errors import UsageError
from gapdata.records.keys import scene_of_key
from gapdata.seeding import generator_for
from gapdata.shards.reader import ShardReader
from gapdata.shards.records import Records

SCANNET_SCAN = re.compile(r"(scene\d{4})_\d\d")
"""A scan of ScanNet; those with one number show one place."""


class StrangeViews:
    """The views of other places that stand in for records, each of the record's split, kind of view and image size."""

    def __init__(self, reader: Records) -> None:
        self.reader = reader
        self._views: dict[tuple[str, str], list[int]] = {}
        self._chosen: dict[int, int | None] = {}
        self._images: tuple[int, list[NDArray[np.uint8]]] = (-1, [])

    def index(self, index: int) -> int | None:
        """Return the position of the view that stands in for a record; ``None`` where there is no other place."""
        if index not in self._chosen:
            self._chosen[index] = self._choose(index)
        return self._chosen[index]

    def images(self, index: int, frames: int) -> list[NDArray[np.uint8]]:
        """Return as many frames (H, W, 3) uint8 RGB of the view that stands in; a shorter one begins again.

        Raises:
            UsageError: its split does not show another place.
        """
        other = self.checked(index)
        if self._images[0] != other:
            record = self.reader[other]
            self._images = (other, [record.image(frame) for frame in range(len(record))])
        return list(itertools.islice(itertools.cycle(self._images[1]), frames))

    def checked(self, index: int) -> int:
        """Return :meth:`index`.

        Raises:
            UsageError: the record's split does not show another place.
        """
        other = self.index(index)
        if other is None:
            raise UsageError(
                f"no view of another place, with frames of its size, can lend {self._key(index)} its geometry",
                cure="evaluate on more scenes, or leave strange out of --geometry",
            )
        return other

    def place(self, index: int) -> frozenset[str]:
        """Return the names of the places that a record shows; at least one."""
        scene = scene_of_key(self._key(index))
        scan = SCANNET_SCAN.fullmatch(scene)
        return self._named_places.get(scene, frozenset()) | {scene if scan is None else scan[1]}

    def _key(self, index: int) -> str:
        # Views that are made when they are asked for have positions after those that have a listed key.
        keys = self.reader.keys
        return keys[index] if index < len(keys) else self.reader.without_images(index).key

    def _choose(self, index: int) -> int | None:
        record = self.reader.without_images(index)
        kind = (record.split, record.view)
        if kind not in self._views:
            self._views[kind] = self.reader.select(split=record.split, view=record.view)
        known, own = self._views[kind], self.place(index)
        order: list[int] = generator_for(0, "strange view", record.key).permutation(known).tolist()
        for other in order:
            if own & self.place(other):
                continue
            if self.reader.without_images(other).image_size == record.image_size:
                return other
        return None

    @cached_property
    def _named_places(self) -> dict[str, frozenset[str]]:
        """The places of each scene that the plan of a build names; nothing for other records."""
        found: dict[str, frozenset[str]] = {}
        if isinstance(self.reader, ShardReader):
            # A build of an earlier engine has no plan that can be read.
            with suppress(UsageError):
                scenes = scenes_of([self.reader.build])
                found = {scene.scene_id: frozenset(scene.places) for scene in scenes if scene.named}
        return found
