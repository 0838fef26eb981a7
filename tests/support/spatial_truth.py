"""The answers to spatial questions about a varied view, worked out from the record as it was stored.

A variation shows some of a record's frames in another order, or the mirrored world. Here every answer is computed in
the world of the stored record, with complex numbers on the floor, and only then left and right change places.
"""

from __future__ import annotations

import cmath
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.box_distance import box_distance, distance_to_box
from gapdata.geometry.camera import transform
from gapdata.records.schema import Record, ViewObject
from gapdata.tasks.chat import Mark
from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion

SIDES = {"left": "right", "right": "left", "front left": "front right", "front right": "front left"}
SIDES |= {"back left": "back right", "back right": "back left"}


@dataclass(frozen=True, kw_only=True)
class Variation:
    """How a view was made of a stored record."""

    record: Record  # as stored, with its members
    frames: tuple[int, ...]  # those that are shown, by their places in the record, in the order shown
    mirrored: bool

    @classmethod
    def of(cls, stored: Record, shown: Record) -> Variation:
        frames = tuple(stored.frame_ids.index(number) for number in shown.frame_ids)
        same = np.allclose(shown.camera_to_world[0], stored.camera_to_world[frames[0]])
        return cls(record=stored, frames=frames, mirrored=not same)

    def truth(self, item: SpatialQuestion) -> Any:
        """The right answer: the number, or the text of the right option."""
        found = getattr(self, f"_{item.kind}")(item)
        return SIDES.get(found, found) if self.mirrored and isinstance(found, str) and item.kind != "nearest" else found

    def _object(self, number: int) -> ViewObject:
        return next(item for item in self.record.objects if item.object_id == number)

    def _objects(self, item: SpatialQuestion) -> list[ViewObject]:
        return [self._object(number) for number in item.object_ids]

    def _floor(self, points: NDArray[np.float64]) -> NDArray[np.complex128]:
        assert self.record.axis_alignment is not None
        placed = transform(self.record.axis_alignment @ self.record.camera_to_world[0], points)
        return np.asarray(placed[..., 0] + 1j * placed[..., 1])

    def _centre(self, item: ViewObject) -> complex:
        return complex(self._floor(np.array(item.center)))

    def _point(self, mark: Mark) -> NDArray[np.float64]:
        """What a mark shows, (3,) metres in the camera of its frame."""
        frame, (u, v) = self.frames[mark.frame], mark.pixel
        u = self.record.image_size[0] - 1 - u if self.mirrored else u
        z = np.float64(self.record.depth(frame)[v, u])
        return self.record.camera(frame).unproject(np.array([u, v]), z)

    def _between(self, item: SpatialQuestion) -> NDArray[np.float64]:
        first, second = (self.record.camera_to_world[self.frames[place]] for place in item.frames)
        moved = np.linalg.inv(first) @ second
        return np.diag([-1.0, 1, 1, 1]) @ moved @ np.diag([-1.0, 1, 1, 1]) if self.mirrored else np.asarray(moved)

    def _count(self, item: SpatialQuestion) -> float:
        return sum(label.count for label in self.record.scene_objects if item.names[0] in label.labels.values())

    def _distance(self, item: SpatialQuestion) -> float:
        one, other = self._objects(item)
        return box_distance(one.box, other.box)

    def _nearest(self, item: SpatialQuestion) -> str:
        target, *options = self._objects(item)
        nearest = min(options, key=lambda other: box_distance(target.box, other.box))
        return item.names[item.object_ids.index(nearest.object_id)]

    def _size(self, item: SpatialQuestion) -> float:
        return 100 * max(self._objects(item)[0].size)

    def _room(self, item: SpatialQuestion) -> float:
        assert self.record.room is not None
        assert len(self.frames) == len(self.record)
        return self.record.room.area

    def _direction(self, item: SpatialQuestion) -> str:
        at, to, what = (self._centre(each) for each in self._objects(item))
        angle = np.degrees(cmath.phase((what - at) / (to - at)))
        side = "left" if angle > 0 else "right"
        if item.form == "quarters":
            return f"{'front' if abs(angle) < 90 else 'back'} {side}"
        return "behind" if item.form == "thirds" and abs(angle) > 135 else side

    def _route(self, item: SpatialQuestion) -> str:
        start, way, end = (self._centre(each) for each in self._objects(item))
        turn = np.degrees(cmath.phase((end - way) / (way - start)))
        if abs(turn) < 45:
            return "straight on"
        return "back" if abs(turn) > 135 else "left" if turn > 0 else "right"

    def _imagined_view(self, item: SpatialQuestion) -> str:
        at, to, one, other = self._objects(item)
        ahead = (self._centre(to) - self._centre(at)) / abs(self._centre(to) - self._centre(at))
        places = [(self._floor(each.box.corners) - self._centre(at)) / ahead for each in (one, other)]
        if item.form == "side":
            return "left" if places[0].imag.min() > places[1].imag.max() else "right"
        return "nearer" if places[0].real.max() < places[1].real.min() else "farther"

    def _order(self, item: SpatialQuestion) -> str:
        least = max(100, 0.002 * self.record.image_size[0] * self.record.image_size[1])
        first = {
            name: min(place for place, frame in enumerate(self.frames) if each.visible_pixels[frame] >= least)
            for name, each in zip(item.names, self._objects(item), strict=True)
        }
        return ", ".join(sorted(first, key=first.__getitem__))

    def _camera_distance(self, item: SpatialQuestion) -> float:
        eye = self.record.camera_to_first[self.frames[item.frames[0]], :3, 3]
        return float(distance_to_box(eye, self._objects(item)[0].box))

    def _camera_motion(self, item: SpatialQuestion) -> float:
        moved = self._between(item)
        right, down, ahead = moved[:3, 3] if "move" in item.text else moved[:3, 2]
        if "move" in item.text:
            return float(right if "move right" in item.text else -down if "move up" in item.text else ahead)
        across = np.hypot(right, ahead)
        return float(np.degrees(np.arctan2(right, ahead) if "turn right" in item.text else np.arctan2(-down, across)))

    def _camera_direction(self, item: SpatialQuestion) -> str:
        # Mirrored already, and mirrored again by :meth:`truth`.
        right, down, ahead = self._between(item)[:3, 3] * [-1 if self.mirrored else 1, 1, 1]
        ways = {"right": right, "left": -right, "down": down, "up": -down, "forward": ahead, "backward": -ahead}
        return max(ways, key=ways.__getitem__)

    def _pixel_depth(self, item: SpatialQuestion) -> float:
        point = self._point(item.marks[0])
        return float(np.linalg.norm(point) if "straight line" in item.text else point[2])

    def _depth_order(self, item: SpatialQuestion) -> str:
        return f"cross {min(item.marks, key=lambda mark: self._point(mark)[2]).number}"

    def _correspondence(self, item: SpatialQuestion) -> str:
        asked, *others = [
            transform(self.record.camera_to_world[self.frames[mark.frame]], self._point(mark)) for mark in item.marks
        ]
        return f"cross {2 + int(np.argmin([np.linalg.norm(other - asked) for other in others]))}"

    def _relation(self, item: SpatialQuestion) -> str:
        frame = self.frames[item.frames[0]]
        depth, masks = self.record.depth(frame), self.record.instances(frame)
        spans = []
        for number in item.object_ids:
            v, u = np.nonzero((masks == number + 1) & (depth > 0))
            spans.append(self.record.camera(frame).unproject(np.stack([u, v], axis=-1), depth[v, u]))
        axis, answers = {"side": (0, ("left", "right")), "height": (1, ("above", "below"))}.get(
            item.form, (2, ("nearer", "farther"))
        )
        return answers[int(np.median(spans[0][:, axis]) > np.median(spans[1][:, axis]))]


def answer_of(item: SpatialQuestion) -> float | str:
    """What a question says is right: its unrounded number, or the text behind its letter."""
    return item.options[LETTERS.index(item.answer)] if item.options else item.value
