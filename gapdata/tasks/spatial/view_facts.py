"""What spatial questions need to know of a record, computed once: which objects have one name, and which are seen.

Only the record's JSON is needed; what needs pixels is read by the kinds that ask about them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.categories import background, normalised
from gapdata.geometry.box_distance import box_distance
from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.camera import transform
from gapdata.records.schema import Record, ViewObject
from gapdata.tasks.task import QuestionOptions

LEAST_PIXELS, LEAST_SHARE = 100, 0.002
"""An object is seen in a frame that shows this many of its pixels, and this share of the frame."""
MOST_CUT = 0.25
"""Share of a box's surface outside of the frame's field of view from which on the object counts as cut off."""
BOX_MARGIN = 0.02  # metres around a box in which its object may still lie
MOST_SLACK = 0.015
"""Metres by which the sides of a box could as well lie elsewhere, above which no length is told by it: lengths are
answered in centimetres."""
ROUND = "an object is round, and its box could as well be turned"
UNNAMED = frozenset(("others", "otherprop", "otherstructure", "otherfurniture", "object", "remove", "unknown"))
_GRID = np.linspace(-0.5, 0.5, 5)
_SURFACE = np.array(
    [point for point in np.stack(np.meshgrid(_GRID, _GRID, _GRID), -1).reshape(-1, 3) if np.abs(point).max() == 0.5]
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Named:
    """An object of the view with the name that questions use."""

    item: ViewObject
    name: str
    unique: bool
    """Whether no other object of the scan could be meant by the name."""
    box: OrientedBox  # metres, in the camera of the first frame
    seen: tuple[int, ...]  # positions of the frames that show it well

    @property
    def slack(self) -> float:
        """Metres by which the sides of its box could as well lie elsewhere."""
        return 0.0 if self.item.box_slack is None else self.item.box_slack[0]

    @property
    def firm(self) -> bool:
        """Whether there is one smallest box, from which lengths can be told."""
        return self.slack <= MOST_SLACK

    @property
    def widest_box(self) -> OrientedBox:
        """The box that holds all of the smallest ones; it is upright, and its third axis the vertical."""
        return replace(self.box, size=self.box.size + 2 * self.slack * np.array([1, 1, 0]))


class ViewFacts:
    """The facts about one record.

    Args:
        record: with or without its members.
        options: the taxonomy that names are taken from.
        depth: the frames' depth, (F, H, W) float32 metres, 0 where unknown, where it is decoded already.
        instances: their masks, (F, H, W) uint16 object id + 1, 0 where none, the same.
    """

    def __init__(
        self,
        record: Record,
        options: QuestionOptions,
        *,
        depth: NDArray[np.float32] | None = None,
        instances: NDArray[np.uint16] | None = None,
    ) -> None:
        self.record = record
        self._taxonomy = options.taxonomy
        self._gaps: dict[tuple[int, int], float] = {}
        self._depths: dict[int, NDArray[np.float32]] = {} if depth is None else dict(enumerate(depth))
        self._masks: dict[int, NDArray[np.uint16]] = {} if instances is None else dict(enumerate(instances))

    @property
    def has_pixels(self) -> bool:
        """Whether depth and masks are at hand, given or in the record's members."""
        return bool(self.record.members) or bool(self._depths and self._masks)

    @cached_property
    def first_to_aligned(self) -> NDArray[np.float64] | None:
        """The (4, 4) transform from the first camera to the world with z up; ``None`` where that is not known."""
        record = self.record
        return None if record.axis_alignment is None else record.axis_alignment @ record.camera_to_world[0]

    @cached_property
    def least_pixels(self) -> float:
        """The pixels of an object in a frame from which on the frame shows it well."""
        width, height = self.record.image_size
        return max(LEAST_PIXELS, LEAST_SHARE * width * height)

    @cached_property
    def objects(self) -> tuple[Named, ...]:
        """The objects of the view that are not background, in the record's order."""
        found = []
        for item in self.record.objects:
            name = self.name_of(item.labels, item.label)
            if name not in background() | UNNAMED:
                box, seen = item.box, self._seen(item)
                found.append(Named(item=item, name=name, unique=self._is_unique(item, name), box=box, seen=seen))
        return tuple(found)

    @cached_property
    def nameable(self) -> tuple[Named, ...]:
        """The objects that a question can name and that some frame shows well."""
        return tuple(item for item in self.objects if item.unique and item.seen)

    def name_of(self, labels: Mapping[str, str], label: str) -> str:
        """Return the name of an object in questions: that of the taxonomy where it has one, else the source's own."""
        return normalised(labels.get(self._taxonomy or "raw", label))

    def camera(self, frame: int) -> NDArray[np.float64]:
        """Return the (4, 4) transform from the first camera to that of a frame."""
        return np.asarray(np.linalg.inv(self.record.camera_to_first[frame]))

    def depth(self, frame: int) -> NDArray[np.float32]:
        """Return the depth of a frame, (H, W) float32 metres, 0 where unknown, decoded once."""
        if frame not in self._depths:
            self._depths[frame] = self.record.depth(frame)
        return self._depths[frame]

    def visible_points(self, item: Named, frame: int) -> NDArray[np.float64]:
        """Return the points (n, 3) of an object's pixels in a frame, metres, in that frame's camera."""
        depth = self.depth(frame)
        rows, columns = np.nonzero((self._mask(frame) == item.item.object_id + 1) & (depth > 0))
        return self.record.camera(frame).unproject(np.stack([columns, rows], axis=-1), depth[rows, columns])

    def hidden_points(self, item: Named, frame: int) -> NDArray[np.float64]:
        """Return where the points of an object's pixels without depth could lie at the nearest and at the farthest.

        Returns:
            (2 n, 3) metres, in the frame's camera: where the rays of the pixels enter and leave the object's box.
        """
        depth, mask = self.depth(frame), self._mask(frame)
        rows, columns = np.nonzero((mask == item.item.object_id + 1) & (depth <= 0))
        rays = self.record.camera(frame).unproject(np.stack([columns, rows], axis=-1), np.ones(len(rows)))
        box = item.box.transformed(self.camera(frame))
        # A ray along a face of the box never meets it: it is given a tiny slope, and meets it far away.
        along = rays @ box.rotation
        along = np.where(np.abs(along) < 1e-9, 1e-9, along)
        reach, start = box.size / 2 + BOX_MARGIN, -box.center @ box.rotation
        ends = np.sort(np.stack([(-reach - start) / along, (reach - start) / along]), axis=0)
        enter, leave = np.maximum(ends[0].max(axis=-1), 0), ends[1].min(axis=-1)
        met = leave > enter
        return np.concatenate([rays[met] * enter[met, None], rays[met] * leave[met, None]])

    def _mask(self, frame: int) -> NDArray[np.uint16]:
        if frame not in self._masks:
            self._masks[frame] = self.record.instances(frame)
        return self._masks[frame]

    def shows(self, frame: int, words: frozenset[str]) -> NDArray[np.bool_]:
        """Return which pixels (H, W) of a frame show objects with one of some words in a name; none without masks."""
        width, height = self.record.image_size
        if not (self._masks or self.record.has_instances):
            return np.zeros((height, width), dtype=bool)
        wanted = [
            item.object_id + 1
            for item in self.record.objects
            if any(words & set(normalised(name).split()) for name in (item.label, *item.labels.values()))
        ]
        return np.isin(self._mask(frame), wanted)

    def gap(self, one: Named, other: Named) -> float:
        """Return the distance of the boxes of two objects in metres, computed once."""
        pair = (min(one.item.object_id, other.item.object_id), max(one.item.object_id, other.item.object_id))
        if pair not in self._gaps:
            self._gaps[pair] = box_distance(one.box, other.box)
        return self._gaps[pair]

    def within_reach(self, at: Named, others: Iterable[Named], nearest: float, farthest: float) -> bool:
        """Return whether objects are so many metres from another one, whichever of its smallest boxes each has."""
        reaches = [(self.gap(at, other), at.slack + other.slack) for other in others]
        return all(nearest + slack <= gap <= farthest - slack for gap, slack in reaches)

    def is_ambiguous(self, name: str) -> bool:
        """Return whether the scan has objects of another kind that could be meant by the name of a kind."""
        others = [
            label
            for label in self.record.scene_objects
            if self.name_of(label.labels, label.labels.get("raw", "")) != name
        ]
        return any(_overlap(name, normalised(theirs)) for label in others for theirs in label.labels.values())

    def _is_unique(self, item: ViewObject, name: str) -> bool:
        """Return whether no other object of the scan shares the name, contains it or is contained in it."""
        own = dict(item.labels)
        for other in self.record.scene_objects:
            count = other.count - (dict(other.labels) == own)
            if count > 0 and any(_overlap(name, normalised(theirs)) for theirs in other.labels.values()):
                return False
        return bool(self.record.scene_objects)

    def _seen(self, item: ViewObject) -> tuple[int, ...]:
        return tuple(
            frame
            for frame, pixels in enumerate(item.visible_pixels)
            if pixels >= self.least_pixels and self.cut(item.box, frame) <= MOST_CUT
        )

    def cut(self, box: OrientedBox, frame: int) -> float:
        """Return the share of a box's surface that lies outside of a frame's field of view."""
        return float(1 - self.in_sight(transform(_placed(box), _SURFACE), frame).mean())

    def in_sight(self, points: NDArray[np.float64], frame: int) -> NDArray[np.bool_]:
        """Return which points (n, 3), in the first camera, project into a frame, (n,), whatever may hide them."""
        camera = self.record.camera(frame)
        pixels = camera.project(transform(self.camera(frame), points))
        with np.errstate(invalid="ignore"):
            return np.asarray(
                (pixels >= -0.5).all(axis=-1) & (pixels < [camera.width - 0.5, camera.height - 0.5]).all(axis=-1)
            )


def _placed(box: OrientedBox) -> NDArray[np.float64]:
    """Return the (4, 4) transform from the unit cube around 0 to a box."""
    matrix = np.eye(4)
    matrix[:3, :3] = box.rotation * box.size
    matrix[:3, 3] = box.center
    return matrix


def _overlap(name: str, other: str) -> bool:
    """Return whether one name contains the other, word by word."""
    if not other or other in UNNAMED:
        return False
    one, two = f" {name} ", f" {other} "
    return one in two or two in one
