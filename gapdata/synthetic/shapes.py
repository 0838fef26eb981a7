"""The primitive surfaces of furniture: rounded boxes, lathed bodies, tubes, blobs and free sheets.

Every primitive is one or more regular grids of points (:func:`surface`), so its tessellation is as even as that of a
reconstructed mesh: the same triangles carry the baked light, are written as the scene's mesh and are hit by the
camera's rays. Lengths are metres; texture coordinates are metres along the surface unless a shape says otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

STEP = 0.055
"""Edge length of the tessellation, metres: between the 2 and 6 cm of ScanNet's decimated reconstructions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Triangles with shading data; ``part`` numbers the smooth pieces, from which the over-segmentation is made."""

    vertices: NDArray[np.float64]  # (V, 3) metres
    normals: NDArray[np.float64]  # (V, 3) unit, outward
    uv: NDArray[np.float64]  # (V, 2) metres, or 0..1 for a picture
    faces: NDArray[np.int32]  # (T, 3)
    material: NDArray[np.int32]  # (T,) index into the palette
    part: NDArray[np.int32]  # (V,)

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
        """Return the mesh translated by metres."""
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def at(self, x: float | tuple[float, float], y: float | tuple[float, float], z: float = 0.0) -> Mesh:
        """Return a copy at each combination of the places given, x first."""
        xs, ys = (place if isinstance(place, tuple) else (place,) for place in (x, y))
        return join(self.moved(*place) for place in itertools.product(xs, ys, (z,)))

    def rotated(self, rotation: NDArray[np.float64]) -> Mesh:
        """Return the mesh rotated about the origin by a 3x3 matrix."""
        return replace(self, vertices=self.vertices @ rotation.T, normals=self.normals @ rotation.T)

    def turned(self, degrees: float) -> Mesh:
        """Return the mesh rotated about the vertical."""
        return self.rotated(about("z", degrees))

    def tilted(self, degrees: float) -> Mesh:
        """Return the mesh rotated about x: positive degrees lift the +y end."""
        return self.rotated(about("x", degrees))

    def scaled(self, x: float, y: float) -> Mesh:
        """Return the mesh stretched in plan; its normals stay."""
        return replace(self, vertices=self.vertices * [x, y, 1])

    def textured(self, offset: ArrayLike) -> Mesh:
        """Return the mesh with its texture shifted, so that copies of a part do not repeat."""
        return replace(self, uv=self.uv + np.asarray(offset))

    def facing(self, axis: int, sign: int = 1) -> Mesh:
        """Return a sheet seen from the side that faces along an axis, or against it where ``sign`` is -1."""
        if (self.normals[:, axis].mean() > 0) == (sign > 0):
            return self
        return replace(self, normals=-self.normals, faces=self.faces[:, ::-1].copy())

    @property
    def bounds(self) -> NDArray[np.float64]:
        """Return the lower and upper corner, (2, 3) metres."""
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])

    @property
    def areas(self) -> NDArray[np.float64]:
        """Return the area of each triangle, (T,) square metres."""
        corners = self.vertices[self.faces]
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return np.asarray(np.linalg.norm(cross, axis=1) / 2)

    @property
    def vertex_material(self) -> NDArray[np.int32]:
        """Return the material of each vertex, (V,): no vertex has two."""
        material = np.zeros(len(self.vertices), dtype=np.int32)
        material[self.faces] = self.material[:, None]
        return material


def both(value: float) -> tuple[float, float]:
    """Return the two places on either side of the middle, for :meth:`Mesh.at`."""
    return -value, value


def about(axis: str, degrees: float) -> NDArray[np.float64]:
    """Return the rotation matrix (3, 3) about a coordinate axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def join(meshes: Iterable[Mesh]) -> Mesh:
    """Make one mesh of many; parts stay distinct."""
    items = list(meshes)
    vertex_base = np.cumsum([0, *(len(m.vertices) for m in items)])
    part_base = np.cumsum([0, *(int(m.part.max()) + 1 for m in items)])
    return Mesh(
        vertices=np.concatenate([m.vertices for m in items]),
        normals=np.concatenate([m.normals for m in items]),
        uv=np.concatenate([m.uv for m in items]),
        faces=np.concatenate([m.faces + base for m, base in zip(items, vertex_base, strict=False)]).astype(np.int32),
        material=np.concatenate([m.material for m in items]),
        part=np.concatenate([m.part + base for m, base in zip(items, part_base, strict=False)]).astype(np.int32),
    )


def surface(
    points: NDArray[np.float64],
    material: int,
    *,
    normals: NDArray[np.float64] | None = None,
    uv: NDArray[np.float64] | None = None,
    keep: NDArray[np.bool_] | None = None,
) -> Mesh:
    """Make the surface of a grid of points (N, M, 3).

    Args:
        points: metres.
        material: index into the palette.
        normals: (N, M, 3), by default those of the grid.
        uv: (N, M, 2) texture coordinates, by default arc lengths.
        keep: the cells (N - 1, M - 1) that belong to it, by default all.
    """
    rows, columns = points.shape[:2]
    if normals is None:
        normals = _grid_normals(points)
    if uv is None:
        uv = np.stack([_arc_length(points, 1), _arc_length(points, 0)], axis=-1)
    index = np.arange(rows * columns).reshape(rows, columns)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1)
    quads = quads.reshape(-1, 4) if keep is None else quads[keep]
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    flat, flat_normals = points.reshape(-1, 3), normals.reshape(-1, 3)
    corners = flat[faces]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    against = np.einsum("tc,tc->t", facing, flat_normals[faces].sum(axis=1)) < 0
    faces[against] = faces[against][:, ::-1]
    faces = faces[np.linalg.norm(facing, axis=1) > 1e-10]
    used = np.unique(faces)
    renumber = np.zeros(len(flat), dtype=np.int64)
    renumber[used] = np.arange(len(used))
    return Mesh(
        vertices=flat[used],
        normals=flat_normals[used],
        uv=uv.reshape(-1, 2)[used],
        faces=renumber[faces].astype(np.int32),
        material=np.full(len(faces), material, dtype=np.int32),
        part=np.zeros(len(used), dtype=np.int32),
    )


def _arc_length(points: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    lengths = np.linalg.norm(np.diff(points, axis=axis), axis=-1)
    lengths = np.broadcast_to(lengths.mean(axis=1 - axis, keepdims=True), lengths.shape)
    return np.insert(np.cumsum(lengths, axis=axis), 0, 0.0, axis=axis)


def _grid_normals(points: NDArray[np.float64]) -> NDArray[np.float64]:
    normals = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12))


def ticks(half: float, radius: float, step: float = STEP) -> NDArray[np.float64]:
    """Return the grid lines along one edge of a rounded box, from ``-half`` to ``half``, closer at the rounding."""
    flat = half - radius
    inner = np.linspace(-flat, flat, max(1, int(np.ceil(2 * flat / step))) + 1) if flat > 1e-9 else np.zeros(1)
    if radius <= 0:
        return inner
    # Equal angles on the rounding: tan(angle) is the offset of the grid line when the far face is at distance radius.
    angles = np.linspace(0, np.pi / 4, 2 + int(radius > 0.025) + int(radius > 0.045))[1:]
    bevel = radius * np.tan(angles)
    return np.concatenate([-flat - bevel[::-1], inner, flat + bevel])


def box(size: ArrayLike, material: int, *, radius: float = 0.0, step: float = STEP, puff: float = 0.0) -> Mesh:
    """Make a box centred on the origin, its edges rounded by ``radius``.

    ``puff`` swells its faces outward, as stuffing does a cushion. The texture's v runs along the longest edge, which is
    how boards are cut.
    """
    half = np.asarray(size, dtype=np.float64) / 2
    radius = float(min(radius, half.min() * 0.98))
    longest = int(np.argmax(half))
    lines = [ticks(h, radius, step) for h in half]
    sides = []
    for axis in range(3):
        across, along = (i for i in range(3) if i != axis)
        if across == longest:
            across, along = along, across
        a, b = np.meshgrid(lines[across], lines[along])
        for sign in (-1.0, 1.0):
            points = np.zeros((*a.shape, 3))
            points[..., axis], points[..., across], points[..., along] = sign * half[axis], a, b
            inner = np.clip(points, -(half - radius), half - radius)
            normals = points - inner
            normals[..., axis] = sign * max(radius, 1e-6)
            normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
            rounded = inner + radius * normals
            if puff:
                dome = (1 - (a / half[across]) ** 2) * (1 - (b / half[along]) ** 2)
                rounded[..., axis] += sign * puff * dome
                slope = np.zeros_like(normals)
                slope[..., across] = 2 * puff * a / half[across] ** 2 * (1 - (b / half[along]) ** 2)
                slope[..., along] = 2 * puff * b / half[along] ** 2 * (1 - (a / half[across]) ** 2)
                normals = normals + slope
                normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
            uv = np.stack([a + 0.37 * axis + 0.11 * sign, b + 0.23 * axis], axis=-1)
            sides.append(surface(rounded, material, normals=normals, uv=uv))
    return join(sides)


def lathe(runs: Sequence[ArrayLike], material: int, *, step: float = STEP, segments: int | None = None) -> Mesh:
    """Make a body of revolution about z.

    Each run is a polyline of (radius, z) that is smooth in itself; runs meet in edges. A run is walked so that outward
    is to its right (upward along an outer wall).
    """
    pieces = []
    for run in runs:
        profile = _resampled(np.asarray(run, dtype=np.float64), step)
        count = segments or int(np.clip(2 * np.pi * profile[:, 0].max() / step, 10, 40))
        angle = np.linspace(0, 2 * np.pi, count + 1)
        tangent = np.gradient(profile, axis=0)
        outward = np.stack([tangent[:, 1], -tangent[:, 0]], axis=-1)
        outward /= np.maximum(np.linalg.norm(outward, axis=-1, keepdims=True), 1e-12)
        c, s = np.cos(angle), np.sin(angle)
        points = np.stack([profile[:, :1] * c, profile[:, :1] * s, profile[:, 1:] + 0 * c], axis=-1)
        normals = np.stack([outward[:, :1] * c, outward[:, :1] * s, outward[:, 1:] + 0 * c], axis=-1)
        length = np.insert(np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1)), 0, 0.0)
        around = angle * profile[:, 0].max()
        uv = np.stack(np.broadcast_arrays(around[None, :], length[:, None]), axis=-1)
        pieces.append(surface(points, material, normals=normals, uv=uv))
    return join(pieces)


def _resampled(line: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Return a polyline (N, D) with more points, so that none of its edges is longer than ``step``."""
    pieces = [line[:1]]
    for start, end in itertools.pairwise(line):
        count = max(1, int(np.ceil(np.linalg.norm(end - start) / step)))
        pieces.append(start + (end - start) * (np.arange(1, count + 1) / count)[:, None])
    return np.concatenate(pieces)


def cylinder(
    radius: float, height: float, material: int, *, top: float | None = None, bevel: float = 0.004, step: float = STEP
) -> Mesh:
    """Make a closed cylinder or cone that stands on z = 0; ``top`` is the upper radius."""
    upper = radius if top is None else top
    bevel = min(bevel, height / 3, radius / 3, upper / 3)
    wall = [(radius - bevel, 0.0), (radius, bevel), (upper, height - bevel), (upper - bevel, height)]
    return lathe(
        [[(0.0, 0.0), (radius - bevel, 0.0)], wall, [(upper - bevel, height), (0.0, height)]], material, step=step
    )


def tube(path: ArrayLike, radius: float, material: int, *, segments: int = 8, step: float = STEP) -> Mesh:
    """Make a bent pipe along a polyline (N, 3), closed by flat ends."""
    line = _resampled(np.asarray(path, dtype=np.float64), step)
    tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    reference = np.eye(3)[np.argmin(np.abs(tangent).max(axis=0))]
    side = np.cross(tangent, reference)
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12)
    up = np.cross(side, tangent)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    normals = side[:, None] * np.cos(angle)[:, None] + up[:, None] * np.sin(angle)[:, None]
    points = line[:, None] + radius * normals
    ends = [np.stack([np.broadcast_to(line[i], points[i].shape), points[i]]) for i in (0, -1)]
    caps = [
        surface(end, material, normals=np.broadcast_to(sign * tangent[i], end.shape))
        for end, sign, i in zip(ends, (-1.0, 1.0), (0, -1), strict=True)
    ]
    return join([surface(points, material, normals=normals), *caps])


def blob(size: ArrayLike, material: int, *, squareness: float = 0.6, step: float = STEP) -> Mesh:
    """Make a superellipsoid centred on the origin: squareness 0 is a box, 1 an ellipsoid (Barr 1981)."""
    half = np.asarray(size, dtype=np.float64) / 2
    rows = int(np.clip(np.pi * half[2] / step, 8, 18))
    columns = int(np.clip(np.pi * (half[0] + half[1]) / step, 12, 36))
    latitude, longitude = np.meshgrid(
        np.linspace(-np.pi / 2, np.pi / 2, rows + 1), np.linspace(-np.pi, np.pi, columns + 1), indexing="ij"
    )

    def power(value: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
        return np.sign(value) * np.abs(value) ** exponent

    def at(exponent: float) -> NDArray[np.float64]:
        ring, height = power(np.cos(latitude), exponent), power(np.sin(latitude), exponent)
        plan = [ring * power(turn(longitude), exponent) for turn in (np.cos, np.sin)]
        return np.stack([*plan, height], axis=-1)

    points = at(squareness) * half
    normals = at(2 - squareness) / half
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    uv = np.stack([longitude * half[:2].mean(), latitude * half[2]], axis=-1)
    return surface(points, material, normals=normals, uv=uv)


def panel(width: float, height: float, material: int, *, step: float = STEP) -> Mesh:
    """Make an upright rectangle in the x-z plane that stands on z = 0 and faces +y, with its texture spread once."""
    x, z = np.meshgrid(
        np.linspace(width / 2, -width / 2, max(1, int(np.ceil(width / step))) + 1),
        np.linspace(height, 0.0, max(1, int(np.ceil(height / step))) + 1),
    )
    points = np.stack([x, np.zeros_like(x), z], axis=-1)
    normals = np.broadcast_to([0.0, 1.0, 0.0], points.shape)
    inset = 0.012
    place = np.stack([(width / 2 - x) / width, (height - z) / height], axis=-1)
    uv = inset + place * (1 - 2 * inset)
    return surface(points, material, normals=normals, uv=uv)


def plate(width: float, depth: float, material: int) -> Mesh:
    """Make a horizontal rectangle at z = 0 that faces up; a picture's upper edge is at +y."""
    upward = np.array([[-1.0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]])
    return panel(width, depth, material).moved(z=-depth / 2).rotated(upward)
