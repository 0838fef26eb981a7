"""The objects of a scene: where each stands, along which axes, on what, of which colour and material.

Frame: the axis-aligned world, metres, z up, floor at 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.synthetic.releases.colors import COLORS, MATERIALS, color_indices, is_plain
from gapdata.synthetic.scene import Scene

OF_THE_WALL = frozenset({"wall", "door", "doorframe", "window", "curtain", "blinds"})
"""Objects of the shell of a room, which are turned as their wall."""
SUPPORT_REACH = 0.12  # m below an object's lowest points in which its support is searched


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Thing:
    """One annotated object."""

    object_id: int
    label: str  # raw category
    low: NDArray[np.float64]  # (3,) lower corner of the axis-aligned box
    high: NDArray[np.float64]  # (3,) upper corner
    center: NDArray[np.float64]  # (3,) of the box along the object's own axes
    size: NDArray[np.float64]  # (3,) of that box
    yaw: float  # radians, of that box about z
    front: NDArray[np.float64]  # (2,) where it faces: away from its back
    support: int | None  # the object that carries it
    colors: Mapping[str, float]  # shares of its surface on which all eyes agree
    perhaps: Mapping[str, float]  # shares of its surface that some eye may call so
    materials: Mapping[str, float]  # shares of its surface, by adjective

    @property
    def footprint(self) -> NDArray[np.float64]:
        """Return the corners of the box in plan, (4, 2) counter-clockwise."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        signs = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
        corners: NDArray[np.float64] = signs * self.size[:2] @ np.array([[c, s], [-s, c]]) + self.center[:2]
        return corners

    @property
    def volume(self) -> float:
        """Return the volume of the box in cubic metres."""
        return float(np.prod(self.size))

    @property
    def right(self) -> NDArray[np.float64]:
        """Return the direction of the right hand of a viewer who faces the object, (2,)."""
        # Looking along -front, the right hand is that direction turned by -90 degrees.
        return np.array([-self.front[1], self.front[0]])


def scene_things(scene: Scene) -> tuple[Thing, ...]:
    """Return all objects by id."""
    vertices = transform(scene.axis_alignment, scene.mesh.vertices)
    order = np.argsort(scene.vertex_object, kind="stable")
    ends = np.searchsorted(scene.vertex_object[order], np.arange(len(scene.labels) + 1))
    members = [order[ends[k] : ends[k + 1]] for k in range(len(scene.labels))]
    sure, perhaps, materials = _surfaces(scene)
    supports = _supports(scene, members)
    things = []
    for object_id, label in enumerate(scene.labels):
        points = vertices[members[object_id]]
        low, high = points.min(axis=0), points.max(axis=0)
        yaw, front = _orientation(scene, label, scene.object_yaw[object_id], (low + high) / 2)
        c, s = np.cos(yaw), np.sin(yaw)
        turned = points[:, :2] @ np.array([[c, -s], [s, c]])
        least, most = turned.min(axis=0), turned.max(axis=0)
        middle = np.array([[c, -s], [s, c]]) @ ((least + most) / 2)
        things.append(
            Thing(
                object_id=object_id,
                label=label,
                low=low,
                high=high,
                center=np.array([*middle, (low[2] + high[2]) / 2]),
                size=np.array([*(most - least), high[2] - low[2]]),
                yaw=yaw,
                front=front,
                support=supports[object_id],
                colors=_named(COLORS, sure[object_id]),
                perhaps=_named(COLORS, perhaps[object_id]),
                materials=_named(MATERIALS.values(), materials[object_id]),
            )
        )
    return tuple(things)


def _orientation(
    scene: Scene, label: str, degrees: float, middle: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return yaw in (-pi, pi] and the direction of an object's front in plan."""
    if label in OF_THE_WALL:
        plan = scene.plan
        following = np.roll(plan.corners, -1, axis=0)
        lengths = np.linalg.norm(following - plan.corners, axis=1)
        along = (following - plan.corners) / lengths[:, None]
        inward = np.stack([-along[:, 1], along[:, 0]], axis=1)
        reach = np.clip(np.einsum("wk,wk->w", middle[:2] - plan.corners, along), 0, lengths)
        away = np.linalg.norm(plan.corners + along * reach[:, None] - middle[:2], axis=1)
        return 0.0, inward[int(np.argmin(away))].round(9) + 0.0
    yaw = float(np.radians(degrees))
    wrapped = float(np.pi - (np.pi - yaw) % (2 * np.pi))
    return wrapped, np.array([-np.sin(yaw), np.cos(yaw)])


def _named(names: Iterable[str], shares: NDArray[np.float64]) -> dict[str, float]:
    return {name: float(share) for name, share in zip(names, shares, strict=True) if share > 0}


def _surfaces(scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return shares of each object's surface: by sure colour (O, 12), by possible colour (O, 12), by material (O, 3).

    A colour is sure where all eyes agree and the surface does not show a figure; it is possible where some eye sees it.
    """
    mesh, count, area = scene.mesh, len(scene.labels), scene.mesh.areas
    owner = scene.face_object + 1
    total = np.maximum(np.bincount(owner, area, count + 1), 1e-12)

    def shares(chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        return (np.bincount(owner[chosen], area[chosen], count + 1) / total)[1:]

    seen = color_indices(scene.albedo[mesh.faces].mean(axis=1))
    kinds = np.array(scene.palette.kinds)[mesh.material]
    plain = np.array([is_plain(material.texture) for material in scene.palette.materials])[mesh.material]
    sure = [shares((seen == k).all(axis=0) & plain) for k in range(len(COLORS))]
    perhaps = [shares((seen == k).any(axis=0) | ~plain) for k in range(len(COLORS))]
    return np.stack(sure, axis=1), np.stack(perhaps, axis=1), np.stack([shares(kinds == k) for k in MATERIALS], axis=1)


def _supports(scene: Scene, members: list[NDArray[np.int64]]) -> list[int | None]:
    """Return the object that carries each: most of its lowest points have it directly below them, by ray casting."""
    import open3d as o3d

    up = scene.mesh.vertices
    rays = np.empty((len(members), 24, 6), dtype=np.float32)
    rays[..., 3:] = 0, 0, -1
    for k, mine in enumerate(members):
        lowest = mine[np.argsort(up[mine, 2], kind="stable")[: max(1, min(len(mine), 240))]]
        picks = lowest[np.linspace(0, len(lowest) - 1, rays.shape[1]).round().astype(int)]
        rays[k, :, :3] = up[picks]
        rays[k, :, 2] = up[mine, 2].min() - 0.0005
    answer = scene.raycaster.cast_rays(o3d.core.Tensor(rays.reshape(-1, 6)), nthreads=1)
    triangle = answer["primitive_ids"].numpy().view(np.int32)
    near = answer["t_hit"].numpy() < SUPPORT_REACH
    below = np.where(near & (triangle >= 0), scene.face_object[triangle], -1).reshape(rays.shape[:2])
    supports: list[int | None] = []
    for k, row in enumerate(below):
        ids, counts = np.unique(row[(row >= 0) & (row != k)], return_counts=True)
        supports.append(int(ids[np.argmax(counts)]) if len(ids) and counts.max() >= rays.shape[1] / 2 else None)
    return supports
