"""What a synthetic walk truly shows, and how far the records of a build are from it, whatever format lay between.

The truth comes from the room's triangles and the walk's path alone, by the room's ray caster; no reader is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.upright import Turn
from gapdata.records.schema import Record, ViewObject
from gapdata.synthetic.formats.walk import Walk
from gapdata.synthetic.render import camera_rays, cast, object_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a camera at a place of the walk sees, per pixel (H, W)."""

    depth: NDArray[np.float64]  # z, metres, NaN where nothing is hit
    points: NDArray[np.float64]  # (H, W, 3) metres, the room's unaligned world
    objects: NDArray[np.int32]  # the room's own object ids, -1 none


def sight(walk: Walk, frame: int, camera: Intrinsics, turn: Turn = 0) -> Sight:
    """Cast the rays of any camera, upright or as it was held, at a frame of the walk."""
    rays = camera_rays(camera, walk.held(frame, turn)).reshape(-1, 6)
    hits = cast(walk.scene, rays)
    depth = np.where(hits.triangle >= 0, hits.distance, np.nan).astype(np.float64)
    shape = (camera.height, camera.width)
    return Sight(
        depth=depth.reshape(shape),
        points=(rays[:, :3] + depth[:, None] * rays[:, 3:]).reshape(*shape, 3),
        objects=object_ids(walk.scene, hits).reshape(shape),
    )


def object_points(walk: Walk, object_id: int) -> NDArray[np.float64]:
    """The vertices of an object, (n, 3) metres, the room's unaligned world."""
    return np.asarray(walk.scene.mesh.vertices[walk.scene.vertex_object == object_id], dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """How far a format may be from the truth; the defaults are for exact depth in whole millimetres."""

    pose: float = 0.002  # metres, of any camera to the first
    turn: float = 0.1  # degrees, likewise
    depth: float = 0.003  # metres, median of |depth - truth| of each frame
    point: float = 0.008  # metres, median distance of a pixel's point to its true point, in the first camera
    close: float = 0.05  # metres: what counts as close
    share: float = 0.97  # of the pixels with depth, that have close depth and a close point; edges are not
    valid: float = 0.85  # of the pixels that see something, that have depth
    box: float = 0.02  # metres, of a box's centre, and of each of its sides' length
    mask: float = 0.85  # intersection over union of an object's pixels, mean over all that are looked at
    pixels: int = 60  # of an object, from which on its mask is looked at
    objects: int = 3  # that must be found in all


@dataclass(slots=True)
class Agreement:
    """The worst that was met; the shares are the lowest, all else the largest."""

    pose: float = 0.0
    turn: float = 0.0
    depth: float = 0.0
    point: float = 0.0
    share: float = 1.0
    valid: float = 1.0
    box: float = 0.0
    mask: float = 1.0
    frames: int = 0
    objects: set[int] = field(default_factory=set)
    """The room's own ids of the objects that records hold."""
    overlaps: list[float] = field(default_factory=list)


def compare_with_walk(
    records: Iterable[Record],
    walk: Walk,
    tolerances: Tolerances | None = None,
    *,
    walk_frame: Callable[[int], int] | Mapping[int, int] | None = None,
    turn: Turn = 0,
    annotated: bool = False,
    labels: Callable[[str], str] = lambda label: label,
) -> Agreement:
    """Compare all records of a walk with the truth, and return the worst deviations.

    A record's own cameras are used, at the places where the walk was; a world is only known up to a rigid motion, so
    all is compared in the camera of the first frame.

    Args:
        records: of one walk; there must be some.
        walk: the walk.
        tolerances: what is accepted.
        walk_frame: the frame of the walk for a record's frame id; by default they are the same.
        turn: by which a record's images would have to be turned to become upright: 0 unless the recipe keeps them as
            they were held.
        annotated: whether boxes and masks are compared; without, records have to be without objects.
        labels: the format's name for a label of the room.

    Raises:
        AssertionError: something is further from the truth than the tolerances allow.
    """
    limits, worst = tolerances or Tolerances(), Agreement()
    find = (lambda frame: frame) if walk_frame is None else walk_frame
    place = find.__getitem__ if isinstance(find, Mapping) else find
    for record in records:
        frames = [place(frame) for frame in record.frame_ids]
        _compare_geometry(record, walk, frames, turn, limits, worst)
        if annotated:
            _compare_objects(record, walk, frames, turn, limits.pixels, labels, worst)
        else:
            assert not record.objects, f"{record.key} has objects, but its format has no annotation"
    assert worst.frames, "there are no records"
    for name in ("pose", "turn", "depth", "point", "box"):
        assert getattr(worst, name) <= getattr(limits, name), f"{name} is off by {getattr(worst, name):g}: {worst}"
    for name in ("share", "valid"):
        assert getattr(worst, name) >= getattr(limits, name), f"{name} is {getattr(worst, name):g} only: {worst}"
    if annotated:
        assert len(worst.objects) >= limits.objects, f"{len(worst.objects)} objects only: {worst}"
        worst.mask = float(np.mean(worst.overlaps)) if worst.overlaps else 0.0
        assert worst.mask >= limits.mask, f"masks overlap by {worst.mask:g} only: {worst}"
    return worst


def _compare_geometry(
    record: Record, walk: Walk, frames: list[int], turn: Turn, limits: Tolerances, worst: Agreement
) -> None:
    world_to_first = np.linalg.inv(walk.held(frames[0], turn))
    clouds = record.pointmap()
    for position, frame in enumerate(frames):
        found, true = record.camera_to_first[position], world_to_first @ walk.held(frame, turn)
        worst.pose = max(worst.pose, float(np.linalg.norm(found[:3, 3] - true[:3, 3])))
        cosine = (np.trace(found[:3, :3].T @ true[:3, :3]) - 1) / 2
        worst.turn = max(worst.turn, float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
        seen = sight(walk, frame, record.camera(position), turn)
        depth = record.depth(position).astype(np.float64)
        known, visible = depth > 0, np.isfinite(seen.depth)
        assert known.any(), f"{record.key} frame {frame} has no depth"
        both = known & visible
        off = np.abs(depth - seen.depth)[both]
        points = seen.points[both] @ world_to_first[:3, :3].T + world_to_first[:3, 3]
        apart = np.linalg.norm(clouds[position][both] - points, axis=-1)
        worst.depth = max(worst.depth, float(np.median(off)))
        worst.point = max(worst.point, float(np.median(apart)))
        close = (off < limits.close) & (apart < limits.close)
        worst.share = min(worst.share, float(close.sum() / known.sum()))
        worst.valid = min(worst.valid, float(both.sum() / visible.sum()))
        worst.frames += 1


def _compare_objects(
    record: Record,
    walk: Walk,
    frames: list[int],
    turn: Turn,
    pixels: int,
    labels: Callable[[str], str],
    worst: Agreement,
) -> None:
    world_to_first = np.asarray(np.linalg.inv(walk.held(frames[0], turn)), dtype=np.float64)
    owners: dict[int, int] = {}
    for item in record.objects:
        owner, off = _owner(item, walk, world_to_first, labels)
        assert owner not in owners.values(), f"{record.key} has object {owner} twice"
        owners[item.object_id] = owner
        worst.box = max(worst.box, off)
        worst.objects.add(owner)
    for position, frame in enumerate(frames):
        seen = sight(walk, frame, record.camera(position), turn).objects
        found = record.instances(position).astype(np.int64) - 1
        for object_id, owner in owners.items():
            one, other = found == object_id, seen == owner
            if other.sum() >= pixels:
                worst.overlaps.append(float((one & other).sum() / (one | other).sum()))


def _owner(
    item: ViewObject, walk: Walk, world_to_first: NDArray[np.float64], labels: Callable[[str], str]
) -> tuple[int, float]:
    """The object of the room that a record's object is, and how far its box is from the vertices in metres.

    A box of any orientation fits if it ends where the vertices do along each of its own axes.
    """
    found: dict[int, float] = {}
    for owner, label in enumerate(walk.scene.labels):
        points = object_points(walk, owner)
        if labels(label) != item.labels.get("raw", item.label) or not len(points):
            continue
        local = (points @ world_to_first[:3, :3].T + world_to_first[:3, 3] - item.box.center) @ item.box.rotation
        low, high = local.min(axis=0), local.max(axis=0)
        found[owner] = float(max(np.abs((low + high) / 2).max(), np.abs(high - low - item.box.size).max()))
    assert found, f"the room has nothing that is a {item.label}"
    owner = min(found, key=lambda each: found[each])
    return owner, found[owner]
