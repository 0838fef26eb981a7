"""Render what the cameras of a scene receive: hits by Open3D's ray casting, shaded with the baked light."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.synthetic.materials import GAMMA, rgb
from gapdata.synthetic.scene import Scene
from gapdata.synthetic.sensor import DepthView

Floats = NDArray[np.float32]
Rays = Floats  # (..., 6) origin and direction; directions of a camera have z = 1 in its frame

# Three points about a pixel's centre that, with the centre, make four samples of an edge pixel; in pixels.
EDGE_OFFSETS = 0.36 * np.array([[np.cos(a), np.sin(a)] for a in np.radians([17, 137, 257])])
BRIGHTEST = 6.0  # radiance that one sample of an edge may count, so that a lamp's rim stays smooth
EDGE_CONTRAST = 0.05  # of radiance, between neighbours, from which an edge is worth more samples
MIRROR_ROUGHNESS = 0.03
METAL = 0.08  # reflectance at normal incidence above which a surface is metal
WORTH_A_RAY = 0.015  # share of light mirrored
CHUNK = 16384  # rays shaded at a time, so that their intermediate arrays stay in the cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """The places where rays (N,) meet the scene.

    ``triangle`` is -1 and ``distance`` inf where they meet nothing.
    """

    triangle: NDArray[np.int32]  # (N,)
    weights: Floats  # (N, 3) barycentric
    distance: Floats  # (N,) in lengths of the direction: z-depth for a camera's rays

    def part(self, chosen: slice) -> Hits:
        """Return the hits of some of the rays."""
        return Hits(triangle=self.triangle[chosen], weights=self.weights[chosen], distance=self.distance[chosen])


def camera_rays(camera: Intrinsics, camera_to_world: NDArray[np.float64]) -> Rays:
    """Return a ray per pixel, (H, W, 6) float32."""
    directions = _directions(camera)
    rays = np.empty((camera.height, camera.width, 6), dtype=np.float32)
    rays[..., :3] = camera_to_world[:3, 3]
    rays[..., 3:] = directions @ camera_to_world[:3, :3].T
    return rays


@lru_cache(maxsize=4)
def _directions(camera: Intrinsics) -> NDArray[np.float64]:
    return camera.rays()


def cast(scene: Scene, rays: Rays) -> Hits:
    """Return the first hits of rays (N, 6)."""
    import open3d as o3d

    answer = scene.raycaster.cast_rays(o3d.core.Tensor(np.ascontiguousarray(rays)), nthreads=1)
    distance = answer["t_hit"].numpy()
    uv = answer["primitive_uvs"].numpy()
    # Open3D marks a miss with the largest unsigned number, which reads as -1.
    triangle = answer["primitive_ids"].numpy().view(np.int32)
    weights = np.empty((len(uv), 3), dtype=np.float32)
    weights[:, 1:] = uv
    weights[:, 0] = 1 - uv[:, 0] - uv[:, 1]
    return Hits(triangle=triangle, weights=weights, distance=distance)


def object_ids(scene: Scene, hits: Hits) -> NDArray[np.int32]:
    """Return the object id that each ray hits, (N,), -1 where none."""
    return np.where(hits.triangle >= 0, scene.face_object[hits.triangle], -1).astype(np.int32)


class Renderer:
    """The cameras' view of one scene: it holds the tables from which hits are shaded."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        mesh, materials = scene.mesh, scene.palette.materials
        period = np.array([m.period for m in materials])[mesh.vertex_material]
        # Irradiance, tile coordinates and normal side by side: one gather per hit.
        vertex = np.concatenate([scene.irradiance, mesh.uv / period[:, None], mesh.normals], axis=1).astype(np.float32)
        self._corners = vertex[mesh.faces]  # (T, 3, 8)
        self._part = mesh.part[mesh.faces[:, 0]]
        self._material = mesh.material
        self._log_density = np.log2(np.maximum(scene.texel_density, 1e-6)).astype(np.float32)
        self._gloss = np.array([m.gloss * 0.04 for m in materials], dtype=np.float32)
        self._roughness = np.array([m.roughness for m in materials], dtype=np.float32)
        self._emission = np.array([m.emission for m in materials], dtype=np.float32)
        metal, rough = self._gloss >= METAL, self._roughness > MIRROR_ROUGHNESS
        # Rough metal gathers light from around: half of it is taken from the baked irradiance.
        self._scatter = np.where(metal, np.where(rough, 0.55, 0.0), 1.0).astype(np.float32)
        top = np.clip(self._gloss * 25, 0, 1)
        self._grazing = ((top - self._gloss).clip(0) * (1 - 0.5 * self._roughness)).astype(np.float32)
        self._outside = np.array([m.outside for m in materials])
        self._linear = (np.linspace(0, 1, 256) ** GAMMA).astype(np.float32)
        emission = self._emission[mesh.material][:, None]
        albedo = scene.albedo[mesh.faces].mean(axis=1)
        outgoing = albedo * scene.irradiance[mesh.faces].mean(axis=1) + emission * albedo
        self._face_radiance = np.concatenate([outgoing, np.zeros((1, 3))]).astype(np.float32)
        normals = mesh.normals[mesh.faces].mean(axis=1)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        self._face_normal = normals.astype(np.float32)
        self._face_albedo = albedo.mean(axis=1).astype(np.float32)
        self._ambient = np.median(self._face_radiance[:-1], axis=0)
        self._face_clear = self._outside[mesh.material]

    def color(self, camera: Intrinsics, camera_to_world: NDArray[np.float64]) -> tuple[Floats, NDArray[np.int32]]:
        """Render linear radiance (H, W, 3) and object ids (H, W, -1 none) as the colour camera sees them."""
        rays = camera_rays(camera, camera_to_world).reshape(-1, 6)
        hits = cast(self.scene, rays)
        focal, shape = float(np.sqrt(camera.fx * camera.fy)), (camera.height, camera.width)
        radiance = self._shade(rays, hits, focal, shape)
        edges = np.flatnonzero(self._edges(hits, radiance, *shape))
        if len(edges):
            total = np.minimum(radiance[edges], BRIGHTEST)
            turn = camera_to_world[:3, :3].astype(np.float32)
            for dx, dy in EDGE_OFFSETS:
                shifted = rays[edges]
                shifted[:, 3:] += turn @ rgb([dx / camera.fx, dy / camera.fy, 0.0])
                total += np.minimum(self._shade(shifted, cast(self.scene, shifted), focal, None), BRIGHTEST)
            radiance[edges] = total / (1 + len(EDGE_OFFSETS))
        return radiance.reshape(*shape, 3), object_ids(self.scene, hits).reshape(shape)

    def depth(self, camera: Intrinsics, camera_to_world: NDArray[np.float64]) -> DepthView:
        """Return the surfaces that the depth camera faces."""
        rays = camera_rays(camera, camera_to_world).reshape(-1, 6)
        hits = cast(self.scene, rays)
        shape = (camera.height, camera.width)
        directions = rays[:, 3:]
        along = np.einsum("nc,nc->n", self._face_normal[hits.triangle], directions)
        cosine = np.abs(along) / np.linalg.norm(directions, axis=1)
        return DepthView(
            depth=hits.distance.reshape(shape),
            cosine=cosine.reshape(shape),
            albedo=self._face_albedo[hits.triangle].reshape(shape),
            clear=self._face_clear[hits.triangle].reshape(shape),
        )

    def _edges(self, hits: Hits, radiance: Floats, height: int, width: int) -> NDArray[np.bool_]:
        """Find pixels, (H * W,), that border on another smooth piece or a jump in depth of another brightness."""
        part = self._part[hits.triangle].reshape(height, width)
        depth = hits.distance.reshape(height, width)
        image = radiance.reshape(height, width, 3)
        light = image[..., 0] + image[..., 1]
        edge = np.zeros((height, width), dtype=bool)
        for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
            with np.errstate(invalid="ignore"):
                step = np.abs(depth[first] - depth[second]) > 0.06 * depth[first]
            contrast = np.abs(light[first] - light[second]) > EDGE_CONTRAST * (light[first] + light[second])
            differs = ((part[first] != part[second]) | step) & contrast
            edge[first] |= differs
            edge[second] |= differs
        return edge.reshape(-1)

    def _shade(self, rays: Rays, hits: Hits, focal: float, shape: tuple[int, int] | None) -> Floats:
        """Return radiance towards the eye, (N, 3).

        Rays of an image (``shape``) get traced reflections, single ones an average.
        """
        parts = [slice(start, start + CHUNK) for start in range(0, len(rays), CHUNK)]
        shaded = [self._surface(rays[part, 3:], hits.part(part), focal) for part in parts]
        radiance, normal, fresnel = (np.concatenate(arrays) for arrays in zip(*shaded, strict=True))
        if shape is None:
            radiance += fresnel[:, None] * self._ambient
        else:
            self._reflect_sharp(radiance, rays, hits, normal, fresnel, focal)
            self._reflect_glossy(radiance, rays, hits, normal, fresnel, shape)
        radiance[hits.triangle < 0] = 0
        return radiance

    def _surface(self, direction: Floats, hits: Hits, focal: float) -> tuple[Floats, Floats, Floats]:
        """Shade hits of rays with a direction (N, 3).

        Returns:
            The light that the surfaces emit and scatter (N, 3), their normals towards the eye (N, 3), and the share
            that they mirror (N,).
        """
        triangle, weights = hits.triangle, hits.weights
        corners = np.take(self._corners, triangle, axis=0)
        values = corners[:, 0] * weights[:, :1]
        values += corners[:, 1] * weights[:, 1:2]
        values += corners[:, 2] * weights[:, 2:]
        irradiance, uv, normal = values[:, :3], values[:, 3:5], values[:, 5:]
        material = np.take(self._material, triangle)
        scale = np.sqrt(np.einsum("nc,nc->n", direction, direction))
        along = np.einsum("nc,nc->n", normal, direction) / scale
        cosine = np.clip(np.abs(along), 0.05, 1.0)
        # log2 of texels per pixel: distance over focal length is a pixel's width; both axes share the foreshortening.
        with np.errstate(divide="ignore", invalid="ignore"):
            width = hits.distance * (scale / np.float32(focal)) / np.sqrt(cosine)
            level = np.take(self._log_density, triangle) + np.log2(width)
        outside = np.flatnonzero(np.take(self._outside, material))
        if len(outside):
            uv[outside] = self._view_outdoors(direction[outside])
            level[outside] = np.log2(self.scene.atlas.size[material[outside]] / np.float32(np.pi * focal))
        level = np.where(np.isfinite(level), level, 0)
        albedo = np.take(self._linear, self.scene.atlas.sample(material, uv, level))
        light = irradiance * np.take(self._scatter, material)[:, None] + np.take(self._emission, material)[:, None]
        base = np.take(self._gloss, material)
        grazing = np.take(self._grazing, material) * (1 - cosine) ** 5
        normal = np.where(along[:, None] > 0, -normal, normal)
        return albedo * light, normal, base + grazing

    def _reflect_sharp(
        self, radiance: Floats, rays: Rays, hits: Hits, normal: Floats, fresnel: Floats, focal: float
    ) -> None:
        """Add the reflections in mirrors, traced for every pixel."""
        material = self._material[hits.triangle]
        chosen = np.flatnonzero((self._roughness[material] <= MIRROR_ROUGHNESS) & (self._gloss[material] > 0))
        if len(chosen):
            bounced = self._bounce(rays[chosen], hits.distance[chosen], normal[chosen])
            shown, _, _ = self._surface(bounced[:, 3:], cast(self.scene, bounced), focal)
            radiance[chosen] += fresnel[chosen, None] * shown

    def _reflect_glossy(
        self, radiance: Floats, rays: Rays, hits: Hits, normal: Floats, fresnel: Floats, shape: tuple[int, int]
    ) -> None:
        """Add the reflections on glossy surfaces, traced on every second pixel and blurred."""
        import cv2

        material = self._material[hits.triangle]
        glossy = (fresnel > WORTH_A_RAY) & (hits.triangle >= 0) & (self._roughness[material] > MIRROR_ROUGHNESS)
        index = np.arange(len(material)).reshape(shape)[::2, ::2]
        small = index.shape
        chosen = np.flatnonzero(glossy[index.reshape(-1)])
        if not len(chosen):
            return
        at = index.reshape(-1)[chosen]
        bounced = self._bounce(rays[at], hits.distance[at], normal[at])
        layer = np.zeros((index.size, 4), dtype=np.float32)
        layer[chosen, :3] = np.minimum(np.take(self._face_radiance, cast(self.scene, bounced).triangle, axis=0), 3)
        layer[chosen, 3] = 1
        blurred = cv2.GaussianBlur(layer.reshape(*small, 4), (0, 0), max(0.8, shape[1] / 260))
        spread = cv2.resize(blurred, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR).reshape(-1, 4)
        here = np.flatnonzero(glossy)
        radiance[here] += (fresnel[here] / np.maximum(spread[here, 3], 0.05))[:, None] * spread[here, :3]

    @staticmethod
    def _bounce(rays: Rays, distance: Floats, normal: Floats) -> Rays:
        normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        direction = rays[:, 3:]
        mirrored = direction - 2 * np.einsum("nc,nc->n", direction, normal)[:, None] * normal
        origin = rays[:, :3] + direction * distance[:, None] + 0.004 * normal
        return np.concatenate([origin, mirrored], axis=1).astype(np.float32)

    @staticmethod
    def _view_outdoors(direction: Floats) -> Floats:
        """Return texture coordinates of the distant view: azimuth over half a circle, elevation -45 to 45 degrees."""
        azimuth = np.arctan2(direction[:, 1], direction[:, 0]) / np.pi
        elevation = np.degrees(np.arctan2(direction[:, 2], np.hypot(direction[:, 0], direction[:, 1])))
        return np.stack([azimuth, np.clip(0.5 - elevation / 90, 0.01, 0.99)], axis=1).astype(np.float32)
