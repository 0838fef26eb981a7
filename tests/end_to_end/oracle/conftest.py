"""The builds that the exams are about: the plain rooms that other tests share, and noisy ones with small images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pytest

from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader
from gapdata.synthetic.dataset import SynthesisOptions
from tests.end_to_end.oracle.key.true_room import TrueRoom
from tests.end_to_end.oracle.rooms import build_rooms, truth_of
from tests.support.spatial_rooms import OPTIONS, spatial_rooms

NOISY = SynthesisOptions(scenes=2, frames=96, seed=5, color_size=(162, 121), depth_size=(81, 61))


@dataclass(frozen=True, eq=False)
class Rooms:
    """A build of some rooms, and the rooms themselves."""

    reader: ShardReader
    options: SynthesisOptions

    @cached_property
    def records(self) -> list[Record]:
        """All records, with their images."""
        return list(self.reader)

    @cached_property
    def _truths(self) -> dict[str, TrueRoom]:
        return {name: truth_of(name, self.options) for name in {record.scene_id for record in self.records}}

    def truth(self, scene_id: str) -> TrueRoom:
        """Return the room of a scan."""
        return self._truths[scene_id]


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Rooms:
    """Three rooms without sensor noise."""
    return Rooms(ShardReader(spatial_rooms(tmp_path_factory)), OPTIONS)


@pytest.fixture(scope="session")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Rooms:
    """Two rooms with the default noise of the sensor."""
    return Rooms(ShardReader(build_rooms(tmp_path_factory.mktemp("noisy"), NOISY, (160, 112))), NOISY)
