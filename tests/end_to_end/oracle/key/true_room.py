"""The room that questions are about, from (seed, index) alone: what stands in it, where the camera was, what it saw.

All is in the room frame: x and y along the walls, z up, the floor at z = 0, metres.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.synthetic.annotation_files import aggregation_json, segment_ids
from gapdata.synthetic.dataset import SynthesisOptions
from gapdata.synthetic.scene import LAYOUT, Scene, build_scene, generator
from gapdata.synthetic.trajectory import scan_poses
from tests.end_to_end.oracle.key.lens import Lens
from tests.end_to_end.oracle.key.upright_boxes import Boxes, distances, smallest_box

Floats = NDArray[np.float64]
NOTHING = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """What a camera sees, pixel by pixel."""

    depth: NDArray[np.float32]  # (H, W) metres along the viewing direction, inf where nothing is
    objects: NDArray[np.int32]  # (H, W) object ids, NOTHING where none
    pixels: NDArray[np.int64]  # how many show each object, by object id


@dataclass(frozen=True, kw_only=True, eq=False)
class TrueRoom:
    """One furnished room and one walk of a camera through it."""

    labels: tuple[str, ...]  # by object id
    boxes: Boxes  # by object id
    corners: Floats  # (n, 2) of the floor's plan
    poses: Floats  # (frames, 4, 4) camera to room
    points: tuple[Floats, ...]  # by object id, (n, 3)
    vertices: Floats  # (V, 3)
    faces: NDArray[np.int32]  # (T, 3)
    face_object: NDArray[np.int32]  # (T,) object ids, NOTHING of what nobody annotated
    caster: Any  # open3d.t.geometry.RaycastingScene over the mesh
    eroded: int = 0
    """Pixels by which what is seen of each object is made smaller all round."""
    disturbed: bool = False
    """Whether cameras, boxes and masks are a little off: then the margins of questions are used up, and not asked for.
    """
    _gaps: dict[tuple[int, int], float] = field(default_factory=dict)
    _sights: dict[tuple[int, Lens], Sight] = field(default_factory=dict)
    seen: dict[tuple[int, Lens, int], bool] = field(default_factory=dict)
    """Whether a frame shows an object well, as far as that was asked (:mod:`tests.end_to_end.oracle.key.sightings`)."""

    def gap(self, one: int, other: int) -> float:
        """Return the distance of the boxes of two objects; those of one object to all are computed at once."""
        if (one, other) not in self._gaps:
            others = [place for place in range(len(self.labels)) if place != one]
            found = distances(self.boxes.part([one] * len(others)), self.boxes.part(others))
            for place, value in zip(others, found.tolist(), strict=True):
                self._gaps[one, place] = self._gaps[place, one] = value
        return self._gaps[one, other]

    def sight(self, frame: int, lens: Lens) -> Sight:
        """Return what the camera saw at a frame of the walk, by one ray a pixel."""
        if (frame, lens) not in self._sights:
            self._sights[frame, lens] = self._cast(frame, lens)
        return self._sights[frame, lens]

    def hits(self, frame: int, lens: Lens, pixels: Floats) -> tuple[Floats, Floats]:
        """Return the depths (n,) and the places (n, 3) in the room of pixels (n, 2) of a frame."""
        rays = self._rays(frame, lens.directions(pixels))
        depth = self._answer(rays)["t_hit"].numpy().astype(np.float64)
        return depth, rays[:, :3] + depth[:, None] * rays[:, 3:]

    def _cast(self, frame: int, lens: Lens) -> Sight:
        import cv2

        answer = self._answer(self._rays(frame, lens.directions(lens.pixels())))
        triangle = answer["primitive_ids"].numpy().view(np.int32)
        seen = np.where(triangle >= 0, self.face_object[triangle], NOTHING).reshape(lens.height, lens.width)
        if self.eroded:
            size = 2 * self.eroded + 1
            high, low = (
                act(seen.astype(np.float32), np.ones((size, size), np.uint8), borderValue=NOTHING)
                for act in (cv2.dilate, cv2.erode)
            )
            seen = np.where(high == low, seen, NOTHING)
        return Sight(
            depth=np.array(answer["t_hit"].numpy()).reshape(lens.height, lens.width),
            objects=seen.astype(np.int32),
            pixels=np.bincount(seen.ravel().astype(np.int64) + 1, minlength=len(self.labels) + 1)[1:],
        )

    def _rays(self, frame: int, directions: Floats) -> Floats:
        pose = self.poses[frame]
        turned = directions @ pose[:3, :3].T
        return np.concatenate([np.broadcast_to(pose[:3, 3], turned.shape), turned], axis=1)

    def _answer(self, rays: Floats) -> Any:
        import open3d as o3d

        return self.caster.cast_rays(o3d.core.Tensor(rays.astype(np.float32)), nthreads=1)

    def perturbed(self, rng: np.random.Generator, *, poses: float, boxes: float, eroded: int) -> TrueRoom:
        """Return the room with cameras moved and sides of boxes shifted by so many metres, and masks made smaller."""
        ways = rng.normal(size=(len(self.poses), 3))
        moved = self.poses.copy()
        moved[:, :3, 3] += poses * ways / np.linalg.norm(ways, axis=1, keepdims=True)
        shifted = self.boxes.jittered(boxes, rng)
        return replace(self, poses=moved, boxes=shifted, eroded=eroded, disturbed=True, _gaps={}, _sights={}, seen={})


def true_room(index: int, options: SynthesisOptions) -> TrueRoom:
    """Return the room number ``index`` of a data set, and the walk whose frames were written."""
    import open3d as o3d

    scene = build_scene(options.seed, index)
    to_room = scene.axis_alignment
    vertices = scene.mesh.vertices @ to_room[:3, :3].T + to_room[:3, 3]
    faces = scene.mesh.faces.astype(np.int32)
    caster = o3d.t.geometry.RaycastingScene(nthreads=1)
    caster.add_triangles(o3d.core.Tensor(vertices.astype(np.float32)), o3d.core.Tensor(faces.astype(np.uint32)))
    chosen = _annotated(scene)
    points = tuple(vertices[places] for places in chosen)
    known = np.zeros(len(vertices), dtype=bool)
    known[np.concatenate(chosen)] = True
    center, half, yaw = zip(*(smallest_box(cloud) for cloud in points), strict=True)
    return TrueRoom(
        labels=scene.labels,
        boxes=Boxes(center=np.array(center), half=np.array(half), yaw=np.array(yaw)),
        corners=scene.plan.corners,
        poses=to_room @ scan_poses(scene, options.frames),
        points=points,
        vertices=vertices,
        faces=faces,
        face_object=np.where(known[faces].all(axis=1), scene.face_object, NOTHING).astype(np.int32),
        caster=caster,
    )


def _annotated(scene: Scene) -> list[NDArray[np.int64]]:
    """Return the vertices of each object that its annotator found: a few pieces of large objects are missed."""
    segments = segment_ids(scene)
    told = json.loads(aggregation_json(scene, segments, generator(scene.seed, scene.index, LAYOUT)))
    chosen = {group["objectId"]: np.array(group["segments"]) for group in told["segGroups"]}
    return [
        np.flatnonzero((scene.vertex_object == number) & np.isin(segments, chosen[number]))
        for number in range(len(scene.labels))
    ]
