"""Do rooms of different splits look alike? For scenes whose names cannot tell that they show one place.

ScanNet and ScanNet++ share places, and rooms of one's own have any name. The rooms' shapes are compared
(:mod:`gapdata.geometry.room_shape`); what is found is a warning, because a hotel has many equal rooms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.audit.leaks import HELD_OUT, TRAINED, SeenScene
from gapdata.files.storage import Location
from gapdata.geometry.camera import transform
from gapdata.geometry.room_shape import ALIKE, RoomShape, likeness, room_shape, upward
from gapdata.records.reading import record_from_json
from gapdata.records.schema import Record
from gapdata.shards.index import read_index
from gapdata.shards.reader import ShardReader

UNKNOWN = "unknown"
RECORDS = 12
"""Records of a scene that are looked at: views of the whole scene first, else others, evenly spread."""
FRAMES = 64
"""Frames of a scene that are looked at."""
POINTMAP = "pointmap.npy"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlikeRooms:
    """Two scenes of different splits that look alike."""

    trained: SeenScene
    held_out: SeenScene
    likeness: float

    def __str__(self) -> str:
        return f"{self.likeness:.2f}  {self.trained} looks like {self.held_out}"


def alike_rooms(
    shapes: Mapping[SeenScene, RoomShape], progress: Callable[[int], None] = lambda pairs: None
) -> list[AlikeRooms]:
    """Return the pairs of a trained and a held-out scene that look alike, the most alike first.

    Args:
        shapes: of all scenes.
        progress: called with the number of pairs that are done.
    """
    found = []
    for trained, held_out in pairs_to_compare(list(shapes)):
        value = likeness(shapes[trained], shapes[held_out])
        if value >= ALIKE:
            found.append(AlikeRooms(trained=trained, held_out=held_out, likeness=round(value, 3)))
        progress(1)
    return sorted(found, key=lambda pair: -pair.likeness)


def pairs_to_compare(scenes: Sequence[SeenScene]) -> list[tuple[SeenScene, SeenScene]]:
    """Return the pairs of a trained and a held-out scene of which names cannot tell whether they show one place.

    Two scenes of one data set that names its places are known to show one place, or two. A scene of an unknown split
    may be either, beside scenes of other builds.
    """
    trained = [scene for scene in scenes if scene.split in (*TRAINED, UNKNOWN)]
    held_out = [scene for scene in scenes if scene.split in (*HELD_OUT, UNKNOWN)]
    return [(a, b) for a in trained for b in held_out if _may_leak(a, b)]


def _may_leak(trained: SeenScene, held_out: SeenScene) -> bool:
    if trained.source == held_out.source and trained.named and held_out.named:
        return False
    if UNKNOWN not in (trained.split, held_out.split):
        return True
    # Two scenes of unknown splits are one pair, whichever of the two comes first.
    both = trained.split == held_out.split
    return trained.build < held_out.build if both else trained.build != held_out.build


def shapes_of(
    build: Location, scenes: Sequence[SeenScene], progress: Callable[[int], None] = lambda scenes: None
) -> dict[SeenScene, RoomShape]:
    """Return the shapes of a build's scenes; those of which too little is seen are left out.

    Raises:
        UsageError: the place does not hold a finished build.
        ShardError: it is damaged.
    """
    reader = ShardReader(build)
    table = read_index(build)
    by_scene: dict[str, list[int]] = {}
    whole = [view == "scene" for view in table.column("view").to_pylist()]
    for position, scene_id in enumerate(table.column("scene_id").to_pylist()):
        by_scene.setdefault(scene_id, []).append(position)
    shapes = {}
    for scene in scenes:
        positions = by_scene.get(scene.scene_id, [])
        shape = _shape(reader, [at for at in positions if whole[at]] or positions)
        if shape is not None:
            shapes[scene] = shape
        progress(1)
    return shapes


def _shape(reader: ShardReader, positions: Sequence[int]) -> RoomShape | None:
    clouds, ups, seen, given = [], [], 0, None
    for at in positions[:: max(1, len(positions) // RECORDS)]:
        if seen >= FRAMES:
            break
        record = _record(reader, at)
        if POINTMAP not in record.members:
            continue
        first_to_world = record.camera_to_world[0]
        clouds.append(transform(first_to_world, record.stored_pointmap().astype(np.float64)))
        ups.append(-record.camera_to_world[:, :3, 1])
        seen += len(record)
        given = record.axis_alignment
    if not clouds:
        return None
    points = np.concatenate(clouds)
    return room_shape(points.reshape(-1, 3), _up(points, np.concatenate(ups), given))


def _up(
    points: NDArray[np.float64], ups: NDArray[np.float64], alignment: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return the vertical: that of the aligned world where the record has one, else that of horizontal surfaces."""
    if alignment is not None:
        return np.asarray(alignment[2, :3] / np.linalg.norm(alignment[2, :3]))
    return upward(points, ups.mean(axis=0))


def _record(reader: ShardReader, position: int) -> Record:
    """Return a record with its pointmap, and without its images."""
    members = {name: bytes(data) for name, data in reader.members(position, {"json", POINTMAP}).items()}
    return record_from_json(members.pop("json"), members)
