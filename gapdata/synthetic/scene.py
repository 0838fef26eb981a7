"""Build a synthetic scene: its triangles, materials, objects and baked light, all functions of (seed, index)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.synthetic.lighting import bake, vertex_albedo
from gapdata.synthetic.materials import Palette, TextureAtlas
from gapdata.synthetic.placement import Claim
from gapdata.synthetic.room import FloorPlan
from gapdata.synthetic.rooms import furnished_room, room_kinds
from gapdata.synthetic.shapes import Mesh, join
from gapdata.synthetic.style import Style

SCENE, LIGHT, PATH, FRAMES, LAYOUT, RELEASES = range(6)
"""The purposes of random streams. Each has its own, so that a change of one leaves the others as they are."""


def generator(seed: int, index: int, purpose: int, *keys: int) -> np.random.Generator:
    """Return the random stream of a purpose within a scene."""
    return np.random.default_rng([seed, index, purpose, *keys])


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A furnished, lit room in its unaligned world. Object ids number the annotated objects, -1 is none."""

    scene_id: str
    scene_type: str
    seed: int
    index: int
    plan: FloorPlan
    mesh: Mesh  # unaligned world
    palette: Palette
    labels: tuple[str, ...]  # by object id
    object_yaw: tuple[float, ...]  # by object id, degrees in the room frame
    face_object: NDArray[np.int32]  # (T,)
    vertex_object: NDArray[np.int32]  # (V,)
    axis_alignment: NDArray[np.float64]  # (4, 4) unaligned world to room frame
    claims: tuple[Claim, ...]  # what stands on the floor, room frame

    @cached_property
    def atlas(self) -> TextureAtlas:
        """Return all textures as one image."""
        return TextureAtlas(self.palette.materials)

    @cached_property
    def raycaster(self) -> Any:
        """Return Open3D's ``RaycastingScene`` over the mesh."""
        import open3d as o3d

        caster = o3d.t.geometry.RaycastingScene(nthreads=1)
        vertices = o3d.core.Tensor(self.mesh.vertices.astype(np.float32))
        caster.add_triangles(vertices, o3d.core.Tensor(self.mesh.faces.astype(np.uint32)))
        return caster

    @cached_property
    def texel_density(self) -> NDArray[np.float32]:
        """Return the texels of the finest level per metre of surface, (T,)."""
        uv = self.mesh.uv[self.mesh.faces]
        c, d = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
        texture_area = np.abs(c[:, 0] * d[:, 1] - c[:, 1] * d[:, 0])
        period = np.array([m.period for m in self.palette.materials])[self.mesh.material]
        scale = np.sqrt(texture_area / np.maximum(2 * self.mesh.areas, 1e-12)) / period
        return np.asarray(scale * self.atlas.size[self.mesh.material], dtype=np.float32)

    @cached_property
    def albedo(self) -> NDArray[np.float32]:
        """Return the reflectance around vertices, (V, 3) linear RGB."""
        return vertex_albedo(self.mesh, self.palette.materials, self.atlas, self.texel_density)

    @cached_property
    def irradiance(self) -> NDArray[np.float32]:
        """Return the baked light, (V, 3) linear RGB."""
        rng = generator(self.seed, self.index, LIGHT)
        return bake(self.mesh, self.palette.materials, self.albedo, self.raycaster, rng)


def scene_name(index: int) -> str:
    """Return the name that ScanNet gives a scene: ``scene0003_00``."""
    return f"scene{index:04d}_00"


def build_scene(seed: int, index: int, rooms: Sequence[str] = ()) -> Scene:
    """Build the scene number ``index`` of the dataset with this seed; kinds of room (``rooms``, or all) take turns."""
    rng = generator(seed, index, SCENE)
    kinds = room_kinds(rooms)
    kind = kinds[index % len(kinds)]
    palette = Palette()
    plan, items = furnished_room(kind, Style(palette, rng))
    annotated = [k for k, item in enumerate(items) if item.label is not None]
    object_ids = np.full(len(items), -1, dtype=np.int32)
    object_ids[[annotated[k] for k in rng.permutation(len(annotated))]] = np.arange(len(annotated))
    alignment = _axis_alignment(rng, plan)
    world = np.asarray(np.linalg.inv(alignment), dtype=np.float64)
    mesh = join(item.mesh for item in items).rotated(world[:3, :3]).moved(*world[:3, 3])
    # What is written is float32; rendering sees the same numbers.
    mesh = replace(mesh, vertices=mesh.vertices.astype(np.float32).astype(np.float64))
    by_id = sorted(annotated, key=lambda k: object_ids[k])
    return Scene(
        scene_id=scene_name(index),
        scene_type=kind.scene_type,
        seed=seed,
        index=index,
        plan=plan,
        mesh=mesh,
        palette=palette,
        labels=tuple(str(items[k].label) for k in by_id),
        object_yaw=tuple(items[k].yaw for k in by_id),
        face_object=np.repeat(object_ids, [len(i.mesh.faces) for i in items]),
        vertex_object=np.repeat(object_ids, [len(i.mesh.vertices) for i in items]),
        axis_alignment=alignment,
        claims=tuple(i.claim for i in items if i.claim is not None),
    )


def _axis_alignment(rng: np.random.Generator, plan: FloorPlan) -> NDArray[np.float64]:
    """Draw the transform from the unaligned world to the room frame, in six decimals as ScanNet writes it."""
    angle = rng.uniform(0, 2 * np.pi)
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.eye(4)
    matrix[:2, :2] = [[c, -s], [s, c]]
    matrix[:3, 3] = [*(plan.corners.mean(axis=0) + rng.uniform(-1.5, 1.5, 2)), rng.uniform(-0.12, 0.12)]
    return matrix.round(6)
