"""What spatial questions need to know of a record, computed once: which objects have one name, and which are seen.

Only the record's JSON is needed; what needs pixels is read by the kinds that ask about them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.categories import normalised
from gapdata.annotations.object_names import is_name
from gapdata.geometry.box_distance import box_distances
from gapdata.geometry.boxes import OrientedBox, box_corners
from gapdata.geometry.camera import Intrinsics
from gapdata.records.schema import Record, SceneLabel, ViewObject
from gapdata.records.unique_names import is_like, means_one
from gapdata.tasks.task import QuestionOptions

LEAST_PIXELS, LEAST_SHARE = 100, 0.002
"""An object is seen in a frame that shows this many of its pixels, and this share of the frame."""
MOST_CUT = 0.25
"""Share of a box's surface outside of the frame's field of view from which on the object counts as cut off. A record
does not hold how much of a mask's border the frame cuts; the box is known, and also what lies behind other things."""
AGREES, AGREES_SHARE = 0.05, 0.1
"""Metres by which the distances of boxes and of meshes may differ, or this share of the boxes' distance."""
BOX_MARGIN = 0.02  # metres around a box in which its object may still lie
MOST_SLACK = 0.015
"""Metres by which the sides of a box could as well lie elsewhere, above which no length is told by it: lengths are
answered in centimetres."""
ROUND = "an object is round, and its box could as well be turned"
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


@lru_cache(maxsize=4)
def _ray_lengths(camera: Intrinsics) -> NDArray[np.float32]:
    return np.asarray(np.linalg.norm(camera.rays(), axis=-1), dtype=np.float32)


@lru_cache(maxsize=1)
def facts_of(record: Record, options: QuestionOptions) -> ViewFacts:
    """Return the facts about a record; those about the last one are kept, since each type asks for them."""
    return ViewFacts(record, options)


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
        self._depths: dict[int, NDArray[np.float32]] = {} if depth is None else dict(enumerate(depth))
        self._with_word: dict[frozenset[str], list[int]] = {}
        self.usable: dict[tuple[int, float], NDArray[np.bool_]] = {}
        """What :func:`gapdata.tasks.spatial.marked_pixels.usable_pixels` found, by frame and step."""
        self._masks: dict[int, NDArray[np.uint16]] = {} if instances is None else dict(enumerate(instances))

    @property
    def has_pixels(self) -> bool:
        """Whether depth and masks are at hand, given or in the record's members."""
        return bool(self.record.members) or bool(self._depths and self._masks)

    @property
    def has_instances(self) -> bool:
        """Whether instance masks are at hand."""
        return bool(self._masks) or self.record.has_instances

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
        listed = [(item, self.name_of(item.labels, item.label)) for item in self.record.objects]
        listed = [(item, name) for item, name in listed if is_name(name)]
        boxes, seen = [item.box for item, _ in listed], self._seen([item for item, _ in listed])
        unique = [_means_one(name, _frozen(item.labels), self._scene) for item, name in listed]
        return tuple(
            Named(item=item, name=name, unique=unique[place], box=boxes[place], seen=seen[place])
            for place, (item, name) in enumerate(listed)
        )

    @cached_property
    def nameable(self) -> tuple[Named, ...]:
        """The objects that a question can name and that some frame shows well."""
        return tuple(item for item in self.objects if item.unique and item.seen)

    def name_of(self, labels: Mapping[str, str], label: str) -> str:
        """Return the name of an object in questions: that of the taxonomy where it has one, else the source's own.

        :attr:`gapdata.tasks.task.QuestionOptions.taxonomy` says why the source's own is taken unless another is wanted.
        """
        return normalised(labels.get(self._taxonomy or "raw", label))

    @cached_property
    def world_to_cameras(self) -> NDArray[np.float64]:
        """The (F, 4, 4) transforms from the first camera to that of each frame."""
        return np.asarray(np.linalg.inv(self.record.camera_to_first))

    def camera(self, frame: int) -> NDArray[np.float64]:
        """Return the (4, 4) transform from the first camera to that of a frame."""
        return np.asarray(self.world_to_cameras[frame])

    def depth(self, frame: int) -> NDArray[np.float32]:
        """Return the depth of a frame, (H, W) float32 metres, 0 where unknown, decoded once."""
        if frame not in self._depths:
            self._depths[frame] = self.record.depth(frame)
        return self._depths[frame]

    def ray_lengths(self, frame: int) -> NDArray[np.float32]:
        """Return how much longer than its depth the way from the camera to a pixel's point is, (H, W)."""
        return _ray_lengths(self.record.camera(frame))

    def visible_points(self, item: Named, frame: int) -> NDArray[np.float64]:
        """Return the points (n, 3) of an object's pixels in a frame, metres, in that frame's camera."""
        depth = self.depth(frame)
        rows, columns = np.nonzero((self.instances(frame) == item.item.object_id + 1) & (depth > 0))
        return self.record.camera(frame).unproject(np.stack([columns, rows], axis=-1), depth[rows, columns])

    def hidden_points(self, item: Named, frame: int) -> NDArray[np.float64]:
        """Return where the points of an object's pixels without depth could lie at the nearest and at the farthest.

        Returns:
            (2 n, 3) metres, in the frame's camera: where the rays of the pixels enter and leave the object's box.
        """
        depth, mask = self.depth(frame), self.instances(frame)
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

    def shows(self, frame: int, words: frozenset[str]) -> NDArray[np.bool_]:
        """Return which pixels (H, W) of a frame show objects with one of some words in a name; none without masks."""
        width, height = self.record.image_size
        if not self.has_instances:
            return np.zeros((height, width), dtype=bool)
        if words not in self._with_word:
            self._with_word[words] = [
                item.object_id + 1
                for item in self.record.objects
                if any(words & set(normalised(name).split()) for name in (item.label, *item.labels.values()))
            ]
        if not self._with_word[words]:
            return np.zeros((height, width), dtype=bool)
        return np.isin(self.instances(frame), self._with_word[words])

    def instances(self, frame: int) -> NDArray[np.uint16]:
        """Return the instance mask of a frame, (H, W) uint16 object id + 1, decoded once."""
        if frame not in self._masks:
            self._masks[frame] = self.record.instances(frame)
        return self._masks[frame]

    @cached_property
    def gaps(self) -> NDArray[np.float64]:
        """The distances (n, n) of the boxes of all pairs of :attr:`nameable` objects, metres, 0 on the diagonal."""
        count = len(self.nameable)
        gaps = np.zeros((count, count))
        rows, columns = np.triu_indices(count, 1)
        boxes = [item.box for item in self.nameable]
        gaps[rows, columns] = box_distances([boxes[i] for i in rows], [boxes[i] for i in columns])
        return gaps + gaps.T

    @cached_property
    def mesh_gaps(self) -> NDArray[np.float64]:
        """The distances (n, n) of the meshes of :attr:`nameable` objects, metres, NaN where they are not known."""
        count, known = len(self.nameable), self.record.mesh_distances
        gaps = np.full((count, count), np.nan)
        if known is None:
            return gaps
        place = {object_id: index for index, object_id in enumerate(known.object_ids)}
        ids = [item.item.object_id for item in self.nameable]
        listed = [index for index, object_id in enumerate(ids) if object_id in place]
        theirs = [place[ids[index]] for index in listed]
        gaps[np.ix_(listed, listed)] = known.metres[np.ix_(theirs, theirs)]
        return gaps

    @cached_property
    def agreed(self) -> NDArray[np.bool_]:
        """Which pairs of :attr:`nameable` objects (n, n) are as far apart by their meshes as by their boxes.

        Of a scan without a labelled mesh all do: its boxes are all that is known.
        """
        if self.record.mesh_distances is None:
            return np.ones(self.gaps.shape, dtype=bool)
        off = np.abs(self.mesh_gaps - self.gaps)  # NaN, and so not agreed, where a pair was not measured
        return np.asarray(off <= np.maximum(AGREES, AGREES_SHARE * self.gaps))

    def is_ambiguous(self, name: str, labels: Mapping[str, str]) -> bool:
        """Return whether the scan has objects of another kind that could be meant by the name of a kind."""
        others = [
            label
            for label in self.record.scene_objects
            if self.name_of(label.labels, label.labels.get("raw", "")) != name
        ]
        return any(is_like(name, labels, label.labels) for label in others)

    @cached_property
    def _scene(self) -> tuple[tuple[tuple[tuple[str, str], ...], int], ...]:
        return tuple((_frozen(label.labels), label.count) for label in self.record.scene_objects)

    def _seen(self, items: list[ViewObject]) -> list[tuple[int, ...]]:
        """Return the frames that show each object well: enough of its pixels, and most of its box in sight."""
        if not items:
            return []
        pixels = np.array([item.visible_pixels for item in items])
        places, frames = np.nonzero(pixels >= self.least_pixels)
        size = np.array([item.size for item in items])
        rotation, center = np.array([item.rotation for item in items]), np.array([item.center for item in items])
        points = (_SURFACE * size[:, None]) @ np.swapaxes(rotation, 1, 2) + center[:, None]  # (items, points, 3)
        well = 1 - self._in_sight(points[places], frames).mean(axis=-1) <= MOST_CUT
        return [tuple(frames[(places == place) & well].tolist()) for place in range(len(items))]

    @cached_property
    def corners(self) -> NDArray[np.float64]:
        """The corners (n, 8, 3) of the boxes of :attr:`nameable` objects, metres, in the first camera."""
        boxes = [item.box for item in self.nameable]
        center, size = np.array([box.center for box in boxes]), np.array([box.size for box in boxes])
        rotation = np.array([box.rotation for box in boxes])
        return box_corners(center.reshape(-1, 3), size.reshape(-1, 3), rotation.reshape(-1, 3, 3))

    def in_sight(self, points: NDArray[np.float64], frame: int) -> NDArray[np.bool_]:
        """Return which points (n, 3), in the first camera, project into a frame, (n,), whatever may hide them."""
        return np.asarray(self._in_sight(points[None], np.array([frame]))[0])

    def all_in_sight(self, box: OrientedBox) -> bool:
        """Return whether each part of a box's surface projects into some frame, whatever may hide it."""
        points = (_SURFACE * box.size) @ box.rotation.T + box.center
        frames = np.arange(len(self.record))
        return bool(self._in_sight(points[None], frames).any(axis=0).all())

    def _in_sight(self, points: NDArray[np.float64], frames: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which points (m, n, 3), in the first camera, project into the frame (m,) of each row, (m, n)."""
        matrices, (fx, fy, cx, cy) = self.world_to_cameras[frames], self.record.intrinsics[frames].T[:, :, None]
        seen = points @ np.swapaxes(matrices[:, :3, :3], 1, 2) + matrices[:, None, :3, 3]
        ahead = seen[..., 2] > 0
        z = np.where(ahead, seen[..., 2], 1.0)
        u, v = seen[..., 0] / z * fx + cx, seen[..., 1] / z * fy + cy
        width, height = self.record.image_size
        return np.asarray(ahead & (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5))


def _frozen(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(labels.items())


@lru_cache(maxsize=4096)
def _means_one(
    name: str, labels: tuple[tuple[str, str], ...], scene: tuple[tuple[tuple[tuple[str, str], ...], int], ...]
) -> bool:
    """Return :func:`means_one`, once for all views of a scene."""
    return means_one(name, dict(labels), [SceneLabel(labels=dict(own), count=count) for own, count in scene])
