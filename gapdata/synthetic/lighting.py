"""Bake light into the vertices of a scene: windows, lamps, and what walls and furniture throw back.

Irradiance is computed once per scene with shadow rays to points on the light sources and one set of gather rays per
vertex. The hits are kept: every further bounce is then a matrix-free look-up (radiosity by repeated gathering). A
frame only interpolates. Units are relative: a white wall in unit irradiance has radiance 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gapdata.synthetic.materials import GAMMA, Material, TextureAtlas, rgb
from gapdata.synthetic.shapes import Mesh

LIFT = 0.004  # m off the surface where rays start
RAYS = 16  # gather rays of a vertex
BOUNCES = 3
BURIED = 0.6  # share of gather rays that end on backs
SMOOTHING = 12  # rounds over neighbours: about 15 cm


@dataclass(frozen=True, slots=True, kw_only=True)
class LightPoint:
    """A sample of a light source: its place, its direction, and its radiance times the area that it stands for."""

    position: NDArray[np.float64]  # (3,)
    normal: NDArray[np.float64]  # (3,)
    power: NDArray[np.float64]  # (3,) RGB


def vertex_albedo(
    mesh: Mesh, materials: list[Material], atlas: TextureAtlas, texel_density: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the mean reflectance around each vertex, (V, 3) linear RGB.

    It is the texture at the level with texels of about 4 cm.
    """
    material = mesh.vertex_material
    density = np.ones(len(mesh.vertices), dtype=np.float32)
    density[mesh.faces] = texel_density[:, None]
    period = np.array([m.period for m in materials], dtype=np.float32)[material]
    level = np.log2(np.maximum(density * 0.04, 1.0))
    color = atlas.sample(material, (mesh.uv / period[:, None]).astype(np.float32), level.astype(np.float32))
    albedo = (color / np.float32(255)) ** np.float32(GAMMA)
    metal = np.array([min(m.gloss * 0.04, 1.0) if m.gloss > 2 else 0.0 for m in materials], dtype=np.float32)
    return np.maximum(albedo, metal[material][:, None])


def light_points(
    mesh: Mesh, materials: list[Material], albedo: NDArray[np.float32], rng: Generator
) -> list[LightPoint]:
    """Spread points over the emitting surfaces by area: some ten on a window, a few on a lamp.

    Screens are too weak to get any.
    """
    emission = np.array([m.emission if m.emission >= 1 else 0.0 for m in materials])
    shining = np.flatnonzero(emission[mesh.material] > 0)
    if not len(shining):
        return []
    area = mesh.areas[shining]
    points = []
    for material in np.unique(mesh.material[shining]):
        chosen = np.flatnonzero(mesh.material[shining] == material)
        total = float(area[chosen].sum())
        tint = albedo[mesh.faces[shining[chosen]]].mean(axis=(0, 1))
        if materials[material].outside:
            tint = np.array([0.84, 0.95, 1.10])
        count = int(np.clip(round(total * 5), 4, 20))
        # Systematic sampling along the cumulated area spreads the points over the whole surface.
        steps = (np.arange(count) + rng.uniform(0.2, 0.8)) / count * total
        picks = chosen[np.minimum(np.searchsorted(np.cumsum(area[chosen]), steps), len(chosen) - 1)]
        for pick in picks:
            weights = rng.dirichlet(np.ones(3))
            vertex = mesh.faces[shining[pick]]
            normal = weights @ mesh.normals[vertex]
            normal /= np.linalg.norm(normal)
            position = weights @ mesh.vertices[vertex] + 0.012 * normal
            points.append(LightPoint(position=position, normal=normal, power=tint * emission[material] * total / count))
    return points


def bake(
    mesh: Mesh, materials: list[Material], albedo: NDArray[np.float32], raycaster: object, rng: Generator
) -> NDArray[np.float32]:
    """Return the irradiance at every vertex, (V, 3) float32 linear RGB.

    ``raycaster`` is Open3D's over the same triangles.
    """
    origins = (mesh.vertices + LIFT * mesh.normals).astype(np.float32)
    normals = mesh.normals.astype(np.float32)
    direct = _direct_light(origins, normals, light_points(mesh, materials, albedo, rng), raycaster)
    hit = _gather_hits(origins, normals, mesh, raycaster, rng)
    emission = np.array([m.emission for m in materials], dtype=np.float32)[mesh.material]
    # Sources above 1 were sampled directly; faint ones (screens) and what rays miss reach others only here.
    glow = np.where((emission < 1) & (emission > 0), emission, 0.0)[:, None] * albedo[mesh.faces].mean(axis=1)
    reflectance = np.where(emission[:, None] > 0, 0, albedo[mesh.faces].mean(axis=1))
    irradiance = direct
    for _ in range(BOUNCES):
        radiance = np.zeros((len(mesh.faces) + 1, 3), dtype=np.float32)
        radiance[:-1] = reflectance * irradiance[mesh.faces].mean(axis=1) + glow
        gathered = sum(radiance[hit[k]] for k in range(RAYS)) / RAYS
        irradiance = direct + np.asarray(gathered, dtype=np.float32)
    # Vertices buried in another part see mostly backs; their darkness must not bleed into triangles that show.
    visible = ((hit == len(mesh.faces)).mean(axis=0) < BURIED).astype(np.float32)
    return _smoothed(direct, visible, mesh, 1) + _smoothed(irradiance - direct, visible, mesh, SMOOTHING)


def _direct_light(
    origins: NDArray[np.float32], normals: NDArray[np.float32], points: list[LightPoint], raycaster: object
) -> NDArray[np.float32]:
    """Return the irradiance at vertices from points on the light sources, (V, 3)."""
    import open3d as o3d

    direct = np.full((len(origins), 3), 0.012, dtype=np.float32)
    for point in points:
        towards = point.position.astype(np.float32) - origins
        squared = np.einsum("vc,vc->v", towards, towards)
        distance = np.sqrt(squared)
        at_vertex = np.einsum("vc,vc->v", towards, normals) / distance
        at_light = -(towards @ point.normal.astype(np.float32)) / distance
        lit = np.flatnonzero((at_vertex > 0.01) & (at_light > 0.01))
        rays_out = np.concatenate([origins[lit], towards[lit]], axis=1)
        hidden = raycaster.test_occlusions(o3d.core.Tensor(rays_out), tnear=0.0, tfar=0.999, nthreads=1).numpy()  # type: ignore[attr-defined]
        seen = lit[~hidden]
        form = at_vertex[seen] * at_light[seen] / np.maximum(squared[seen], 0.03)
        direct[seen] += form[:, None] * point.power.astype(np.float32)
    return direct


def _gather_hits(
    origins: NDArray[np.float32], normals: NDArray[np.float32], mesh: Mesh, raycaster: object, rng: Generator
) -> NDArray[np.int64]:
    """Return the triangles that ``RAYS`` cosine-distributed rays per vertex hit, (R, V).

    The number of triangles stands for black: a ray that hits a surface from behind started inside an object or left
    the room.
    """
    import open3d as o3d

    count = len(origins)
    helper = np.where(np.abs(normals[:, 2:]) < 0.9, rgb([0, 0, 1]), rgb([1, 0, 0]))
    side = np.cross(helper, normals)
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), np.float32(1e-6))
    up = np.cross(normals, side)
    turn = rng.random(count, dtype=np.float32) * 2 * np.pi
    golden = np.pi * (3 - np.sqrt(5))
    hits = np.empty((RAYS, count), dtype=np.int64)
    bundle = np.empty((count, 6), dtype=np.float32)
    bundle[:, :3] = origins
    for k in range(RAYS):
        radius = np.float32(np.sqrt((k + 0.5) / RAYS))
        angle = turn + np.float32(k * golden)
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        bundle[:, 3:] = x[:, None] * side + y[:, None] * up + np.sqrt(1 - radius**2) * normals
        answer = raycaster.cast_rays(o3d.core.Tensor(bundle), nthreads=1)  # type: ignore[attr-defined]
        triangle = answer["primitive_ids"].numpy().astype(np.int64)
        facing = normals[mesh.faces[np.minimum(triangle, len(mesh.faces) - 1), 0]]
        behind = np.einsum("vc,vc->v", facing, bundle[:, 3:]) > 0.05
        hits[k] = np.where((triangle >= len(mesh.faces)) | behind, len(mesh.faces), triangle)
    return hits


def _smoothed(values: NDArray[np.float32], weight: NDArray[np.float32], mesh: Mesh, rounds: int) -> NDArray[np.float32]:
    """Average over neighbours of the same smooth piece again and again, which takes the gather rays' noise away.

    ``weight`` (V,) of 0 takes a vertex out: it gets its neighbours' light, and keeps its own where they have none.
    """
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    own = np.arange(len(values))
    source, target = np.concatenate([edges[:, 0], edges[:, 1], own]), np.concatenate([edges[:, 1], edges[:, 0], own])
    order = np.argsort(target, kind="stable")
    source, degree = source[order], np.bincount(target, minlength=len(values))
    start = np.concatenate([[0], np.cumsum(degree)[:-1]])
    count = degree[:, None].astype(np.float32)
    weighted = np.pad(values, ((0, 0), (0, 1)), constant_values=1) * np.maximum(weight, 1e-3)[:, None]
    for _ in range(rounds):
        gathered = np.add.reduceat(np.take(weighted, source, axis=0), start, axis=0)
        weighted = np.asarray(gathered / count, dtype=np.float32)
    return np.asarray(weighted[:, :3] / weighted[:, 3:])
