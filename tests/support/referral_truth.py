"""What relations plainly mean, decided on the vertices of the true mesh: no code of the generator's own relations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.synthetic.releases.referrals import Referral
from gapdata.synthetic.releases.relations import Constraint
from gapdata.synthetic.scene import Scene

# sRGB examples of colour words, and words that one may use for each other.
PROTOTYPES = {
    "black": [(18, 18, 18), (45, 42, 40)],
    "gray": [(85, 85, 85), (128, 128, 128), (165, 165, 165), (105, 115, 125), (190, 190, 190)],
    "white": [(225, 225, 222), (245, 245, 245), (224, 219, 209)],
    "red": [(190, 30, 40), (140, 30, 35), (165, 70, 70)],
    "orange": [(235, 130, 40), (220, 105, 30)],
    "brown": [(90, 60, 38), (125, 85, 55), (140, 77, 43), (82, 60, 43), (60, 45, 35)],
    "beige": [(206, 176, 130), (184, 143, 97), (200, 185, 160), (220, 200, 170)],
    "yellow": [(230, 210, 60), (200, 180, 70)],
    "green": [(60, 110, 50), (40, 80, 40), (110, 160, 100), (70, 130, 110), (150, 180, 150)],
    "blue": [(40, 70, 150), (90, 120, 170), (140, 178, 200), (50, 90, 110), (120, 150, 160)],
    "purple": [(110, 70, 140), (130, 110, 150), (90, 60, 100)],
    "pink": [(220, 150, 160), (190, 130, 140), (150, 100, 115), (205, 165, 165)],
}
NEIGHBOURS = [
    ("black", "gray"), ("gray", "white"), ("gray", "beige"), ("gray", "blue"), ("gray", "green"), ("gray", "purple"),
    ("white", "beige"), ("red", "brown"), ("red", "pink"), ("red", "orange"), ("red", "purple"), ("orange", "brown"),
    ("orange", "yellow"), ("orange", "beige"), ("brown", "beige"), ("brown", "black"), ("beige", "yellow"),
    ("beige", "pink"), ("yellow", "green"), ("green", "blue"), ("blue", "purple"), ("purple", "pink"),
]  # fmt: skip
KINDS = {"wooden": "wood", "leather": "leather", "metal": "steel"}


@dataclass(frozen=True)
class Truth:
    """One scene's objects as points of the aligned world."""

    scene: Scene

    @cached_property
    def points(self) -> list[NDArray[np.float64]]:
        vertices = transform(self.scene.axis_alignment, self.scene.mesh.vertices)
        return [vertices[self.scene.vertex_object == k] for k in range(len(self.scene.labels))]

    def family(self, referral: Referral) -> list[int]:
        return [k for k, label in enumerate(self.scene.labels) if label in referral.noun.family]

    def fits(self, constraint: Constraint, k: int, family: list[int]) -> bool:
        anchors = [anchor.object_id for anchor in constraint.anchors]
        if k in anchors:
            return False
        check = getattr(self, f"_{constraint.relation}")
        if constraint.value:
            return bool(check(k, constraint.value))
        if constraint.relation in ("closest", "farthest", "largest", "smallest", "tallest", "shortest", "leftmost",
                                   "rightmost"):  # fmt: skip
            return bool(check(k, [other for other in family if other not in anchors], *anchors))
        return bool(check(k, *anchors))

    def middle(self, k: int) -> NDArray[np.float64]:
        return (self.points[k].min(axis=0) + self.points[k].max(axis=0)) / 2

    def distance(self, a: int, b: int, dimensions: int = 2) -> float:
        first, second = (p[:: max(1, len(p) // 700), :dimensions] for p in (self.points[a], self.points[b]))
        squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None] - 2 * first @ second.T
        return float(np.sqrt(max(squares.min(), 0.0)))

    def front(self, k: int) -> NDArray[np.float64]:
        """Away from its wall for what hangs or stands in one, else as it was turned."""
        if self.scene.labels[k] in ("door", "window"):
            size = np.ptp(self.points[k][:, :2], axis=0)
            direction = np.zeros(2)
            direction[int(np.argmin(size))] = 1.0
            inside = self.scene.plan.inside(self.middle(k)[:2] + 0.6 * direction)
            return direction if inside else -direction
        yaw = np.radians(self.scene.object_yaw[k])
        return np.array([-np.sin(yaw), np.cos(yaw)])

    def side(self, k: int, anchor: int, *, entering: bool = False) -> float:
        """Metres to the right hand of a viewer who looks at the anchor from its front, or out of it."""
        eye = self.middle(anchor)[:2] + (0 if entering else 2.5) * self.front(anchor)
        gaze = self.front(anchor) if entering else -self.front(anchor)
        offset = self.middle(k)[:2] - eye
        return float(-(gaze[0] * offset[1] - gaze[1] * offset[0]))

    def _color(self, k: int, name: str) -> bool:
        faces = self.scene.face_object == k
        triangles = self.scene.mesh.faces[faces]
        corners = self.scene.mesh.vertices[triangles]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        rgb = 255 * self.scene.albedo[triangles].mean(axis=1) ** (1 / 2.2)
        table = [(word, np.array(example)) for word, examples in PROTOTYPES.items() for example in examples]
        apart = np.stack([((rgb - example) ** 2).sum(axis=1) for _, example in table])
        words = np.array([word for word, _ in table])[apart.argmin(axis=0)]
        like = [name, *(b if a == name else a for a, b in NEIGHBOURS if name in (a, b))]
        return bool(area[np.isin(words, like)].sum() > 0.5 * area.sum())

    def _material(self, k: int, name: str) -> bool:
        kinds = np.array(self.scene.palette.kinds)
        faces = self.scene.face_object == k
        corners = self.scene.mesh.vertices[self.scene.mesh.faces[faces]]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        return bool(area[kinds[self.scene.mesh.material[faces]] == KINDS[name]].sum() > 0.4 * area.sum())

    def _on(self, k: int, anchor: int) -> bool:
        low = self.points[k][:, 2].min()
        below = self.points[anchor]
        centre = self.middle(k)[:2]
        inside = (below[:, :2].min(axis=0) < centre).all() and (centre < below[:, :2].max(axis=0)).all()
        near = below[np.linalg.norm(below[:, :2] - centre, axis=1) < 0.25]
        return bool(inside and len(near) and abs(near[:, 2] - low).min() < 0.14)

    def _on_a(self, k: int, label: str) -> bool:
        return any(self._on(k, j) for j, name in enumerate(self.scene.labels) if name == label and j != k)

    def _next_to(self, k: int, anchor: int) -> bool:
        return self.distance(k, anchor, 3) < 0.75

    def _under(self, k: int, anchor: int) -> bool:
        cover, own = self.points[anchor], self.points[k]
        inside = (cover.min(axis=0)[:2] < self.middle(k)[:2]).all() and (
            self.middle(k)[:2] < cover.max(axis=0)[:2]
        ).all()
        return bool(inside and own[:, 2].max() < cover[:, 2].max())

    def _stacked(self, k: int, anchor: int) -> bool:
        across = np.array([-self.front(anchor)[1], self.front(anchor)[0]])
        a, b = self.points[k][:, :2] @ across, self.points[anchor][:, :2] @ across
        return self.distance(k, anchor) < 0.8 and min(a.max(), b.max()) > max(a.min(), b.min())

    def _above(self, k: int, anchor: int) -> bool:
        return self._stacked(k, anchor) and self.points[k][:, 2].min() > self.points[anchor][:, 2].max() - 0.4

    def _below(self, k: int, anchor: int) -> bool:
        return self._stacked(k, anchor) and self.points[k][:, 2].max() < self.points[anchor][:, 2].min() + 0.4

    def _left_of(self, k: int, anchor: int) -> bool:
        return self.side(k, anchor) < 0

    def _right_of(self, k: int, anchor: int) -> bool:
        return self.side(k, anchor) > 0

    def _enter_left(self, k: int, door: int) -> bool:
        return self.side(k, door, entering=True) < 0

    def _enter_right(self, k: int, door: int) -> bool:
        return self.side(k, door, entering=True) > 0

    def _between(self, k: int, first: int, second: int) -> bool:
        a, b = (self.middle(j)[:2] - self.middle(k)[:2] for j in (first, second))
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) < np.cos(np.radians(100))

    def _corner(self, k: int) -> bool:
        corners = self.scene.plan.corners
        a, b = corners - np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0) - corners
        inner = corners[a[:, 0] * b[:, 1] > a[:, 1] * b[:, 0]]
        return float(np.linalg.norm(self.points[k][:, None, :2] - inner[None], axis=2).min()) < 0.85

    def _closest(self, k: int, family: list[int], anchor: int) -> bool:
        return k == min(family, key=lambda j: self.distance(j, anchor))

    def _farthest(self, k: int, family: list[int], anchor: int) -> bool:
        return k == max(family, key=lambda j: self.distance(j, anchor))

    def _volume(self, k: int) -> float:
        yaw = np.radians(self.scene.object_yaw[k])
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        return float(np.prod(np.ptp(self.points[k][:, :2] @ turn, axis=0)) * np.ptp(self.points[k][:, 2]))

    def _largest(self, k: int, family: list[int]) -> bool:
        return k == max(family, key=self._volume)

    def _smallest(self, k: int, family: list[int]) -> bool:
        return k == min(family, key=self._volume)

    def _tallest(self, k: int, family: list[int]) -> bool:
        return k == max(family, key=lambda j: float(self.points[j][:, 2].max()))

    def _shortest(self, k: int, family: list[int]) -> bool:
        return k == min(family, key=lambda j: float(self.points[j][:, 2].max()))

    def _leftmost(self, k: int, family: list[int], anchor: int) -> bool:
        return k == min(family, key=lambda j: self.side(j, anchor))

    def _rightmost(self, k: int, family: list[int], anchor: int) -> bool:
        return k == max(family, key=lambda j: self.side(j, anchor))
