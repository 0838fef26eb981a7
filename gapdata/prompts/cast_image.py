"""Compute depth and object of every pixel of a labelled mesh from rays through a twentieth of the pixels.

Rays go through every eighth pixel of every eighth row first. Where the four that enclose a cell lie on one plane of one
object, the pixels between are taken from that plane; other cells are quartered twice, with rays through their centres
and through the middles of their edges: of all edges at first, then of those with different ends. So large faces cost
next to nothing. Details smaller than a cell would fall between its rays, so every vertex of the mesh is projected, and
one before its cell's plane, or on it with another object, quarters the cell, too.

A pixel that no ray went through has a guessed value, and the image says where: :mod:`gapdata.prompts.borders` casts
the pixels at the borders of what is shown, which makes these exact. Two other ways to save rays were tried on
synthetic scans and rejected. The sensor's depth can tell which of two surfaces a pixel at their border shows for a
fifth of these pixels at best (at the others depth is missing, or near both surfaces), and is wrong at one in ten of
them or more. And that a pixel between two opposite neighbours on one surface lies on it, too, is a sound guess where
borders are straight; those of a labelled mesh are ragged, and objects lost 0.2% of their overlap with the result of
casting every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.prompts.mesh_vertices import MeshVertices, ProjectedVertices
from gapdata.prompts.ray_casting import MeshCaster

FLATNESS = np.float32(0.02)
"""Twist of inverse depth over a cell, as a share of it, up to which its four corners count as lying on one plane."""
STEEPEST_RATIO = np.float32(1.05)
"""Ratio of the depths at the ends of a cell's edge beyond which they lie on different surfaces."""
BEHIND = np.float32(0.002)
"""Share of inverse depth by which a vertex of another object may lie behind a cell's plane and still count as seen."""
BEFORE = np.float32(0.02)
"""Share of inverse depth by which a vertex of the same object may lie before a cell's plane: that bends its depth, not
its id."""
COARSEST, FINEST = 8, 2  # pixels
HALF = np.float32(0.5)

FIRST, SECOND = [0, 2, 0, 1], [1, 3, 2, 3]
"""Corners (upper left, upper right, lower left, lower right) between which a cell's edges lie: upper, lower, left and
right."""


class CastImage:
    """A frame of the mesh, in a raster of whole cells and one more row and column.

    Pixels are addressed by their place in the raster: row * ``stride`` + column.

    Args:
        mesh: to cast rays at.
        camera: of the frame.
        camera_to_world: (4, 4) in the mesh's world.
    """

    def __init__(self, mesh: MeshCaster, camera: Intrinsics, camera_to_world: NDArray[np.float64]) -> None:
        self._mesh = mesh
        self.camera = _padded(camera)
        self.stride = self.camera.width
        right, down, forward = camera_to_world[:3, :3].T
        across, below = right / camera.fx, down / camera.fy
        # Directions are linear in column and row: computing them is cheaper than looking them up.
        self._directions = np.stack([across, below, forward - camera.cx * across - camera.cy * below], axis=1)
        self._origin = camera_to_world[:3, 3]
        size = self.camera.width * self.camera.height
        self.nearness = np.empty(size, dtype=np.float32)  # inverse z-depth, per metre, 0 where nothing is hit
        self.values = np.empty(size, dtype=np.uint16)  # object id + 1, 0 where none
        self.settled = np.zeros(size, dtype=bool)

    def cast(self, places: NDArray[np.intp]) -> None:
        """Settle pixels (n,) by a ray through each."""
        row = places // self.stride
        column, row = (places - row * self.stride).astype(np.float32), row.astype(np.float32)
        rays = np.empty((len(places), 6), dtype=np.float32)
        rays[:, :3] = self._origin
        for axis, (across, below, constant) in enumerate(self._directions.astype(np.float32), start=3):
            rays[:, axis] = column * across + row * below + constant
        self.nearness[places], self.values[places] = self._mesh.cast(rays)
        self.settled[places] = True

    def suggest(self, places: NDArray[np.intp], nearness: NDArray[np.float32], values: NDArray[np.uint16]) -> None:
        """Set what pixels show as far as their surroundings tell."""
        self.nearness[places], self.values[places] = nearness, values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _CellVertices:
    """Vertices in cells, (n,) each."""

    cell: NDArray[np.intp]  # place in the list of cells
    right: NDArray[np.float32]  # from the cell's left edge, as a share of it
    down: NDArray[np.float32]
    nearness: NDArray[np.float32]
    value: NDArray[np.uint16]

    def within(self, split: NDArray[np.bool_]) -> _CellVertices:
        """Return the vertices in the cells that are quartered, in the list of these cells' quarters.

        All upper left quarters come first, then all upper right, lower left and lower right ones.
        """
        kept = np.flatnonzero(np.take(split, self.cell))
        right, down = np.take(self.right, kept) * 2, np.take(self.down, kept) * 2
        on_right, below = right >= 1, down >= 1
        places = np.cumsum(split) - 1
        quarter = (2 * below + on_right) * np.count_nonzero(split)
        return _CellVertices(
            cell=np.take(places, np.take(self.cell, kept)) + quarter,
            right=right - on_right,
            down=down - below,
            nearness=np.take(self.nearness, kept),
            value=np.take(self.value, kept),
        )


def cast_image(
    mesh: MeshCaster, vertices: MeshVertices, camera: Intrinsics, camera_to_world: NDArray[np.float64]
) -> CastImage:
    """Return the mesh as a camera sees it; the module says how."""
    image = CastImage(mesh, camera, camera_to_world)
    cells = _cast_coarsely(image)
    members = _in_cells(vertices.project(image.camera, camera_to_world), image)
    step = COARSEST
    while True:
        split = _refine(image, cells, members, step)
        if step == FINEST:
            return image
        step //= 2
        members = members.within(split)
        cells = (cells[split] + _corners(image.stride, step)).ravel()


def _cast_coarsely(image: CastImage) -> NDArray[np.intp]:
    """Cast the coarsest grid and fill all its cells as if they were planes.

    Returns:
        The cells' upper left corners, (n,) row by row.
    """
    height, stride = image.camera.height, image.stride
    raster = np.arange(height * stride).reshape(height, stride)
    grid = raster[::COARSEST, ::COARSEST]
    image.cast(grid.ravel())
    nearness, values = image.nearness[grid], image.values[grid]
    share = np.arange(COARSEST, dtype=np.float32) / COARSEST
    drop = np.diff(nearness, axis=0)
    rows = (nearness[:-1, None] + share[:, None] * drop[:, None]).reshape(height - 1, -1)
    ends = np.stack([rows[:, :-1], rows[:, 1:]], axis=-1).reshape(-1, 2)
    filled = (ends @ np.stack([1 - share, share])).reshape(height - 1, stride - 1)
    image.nearness.reshape(height, stride)[:-1, :-1] = filled
    image.values.reshape(height, stride)[:-1, :-1] = values[:-1, :-1].repeat(COARSEST, 0).repeat(COARSEST, 1)
    return grid[:-1, :-1].ravel()


def _in_cells(vertices: ProjectedVertices, image: CastImage) -> _CellVertices:
    """Return vertices by the cell of the coarsest grid that they lie in."""
    u, v = vertices.column / np.float32(COARSEST), vertices.row / np.float32(COARSEST)
    column, row = u.astype(np.intp), v.astype(np.intp)
    cells_in_row = (image.stride - 1) // COARSEST
    return _CellVertices(
        cell=row * cells_in_row + column,
        right=u - column,
        down=v - row,
        nearness=vertices.nearness,
        value=vertices.value,
    )


def _refine(image: CastImage, cells: NDArray[np.intp], members: _CellVertices, step: int) -> NDArray[np.bool_]:
    """Fill the cells that are planes and cast the middles of the others.

    Returns:
        (n,) bool, the others.
    """
    corners = cells + _corners(image.stride, step)
    nearness, values = np.take(image.nearness, corners), np.take(image.values, corners)  # (4, n)
    one, other = nearness[FIRST], nearness[SECOND]
    broken = (values[FIRST] != values[SECOND]) | (np.maximum(one, other) > np.minimum(one, other) * STEEPEST_RATIO)
    twist = np.abs(nearness[0] - nearness[1] - nearness[2] + nearness[3])
    bent = broken.any(axis=0) | (twist > FLATNESS * nearness.min(axis=0))
    odd = _odd_cells(~bent, nearness, values, members)
    split: NDArray[np.bool_] = bent | odd
    planes, chosen = np.flatnonzero(~split), np.flatnonzero(split)
    if step < COARSEST:
        _fill(image, cells[planes], nearness[:, planes], values[0, planes], step)
    if step == FINEST:
        # Rays at the borders decide these pixels; until then they show what their cell's corner shows.
        _fill(image, cells[chosen], nearness[:1, chosen].repeat(4, axis=0), values[0, chosen], step)
        chosen = np.flatnonzero(odd)
    first = cells[chosen]
    middles = first + _middles(image.stride, step)
    wanted = middles.ravel()
    if FINEST < step < COARSEST:
        ends = nearness[:, chosen]
        image.suggest(middles, (ends[FIRST] + ends[SECOND]) * HALF, values[:, chosen][FIRST])
        wanted = middles[broken[:, chosen] | odd[chosen]]
    image.cast(distinct(np.concatenate([wanted, first + step // 2 * (image.stride + 1)])))
    return split


def _odd_cells(
    planes: NDArray[np.bool_], nearness: NDArray[np.float32], values: NDArray[np.uint16], members: _CellVertices
) -> NDArray[np.bool_]:
    """Return which cells that look like planes have a vertex before it, or on it with another object."""
    asked = np.flatnonzero(np.take(planes, members.cell))
    cell = np.take(members.cell, asked)
    corner = np.take(nearness[0], cell)
    plane = corner + np.take(members.right, asked) * (np.take(nearness[1], cell) - corner)
    plane += np.take(members.down, asked) * (np.take(nearness[2], cell) - corner)
    plane *= np.where(np.take(members.value, asked) == np.take(values[0], cell), 1 + BEFORE, 1 - BEHIND)
    odd = np.zeros(len(planes), dtype=bool)
    odd[cell[np.take(members.nearness, asked) > plane]] = True
    return odd


def _fill(
    image: CastImage, cells: NDArray[np.intp], nearness: NDArray[np.float32], values: NDArray[np.uint16], step: int
) -> None:
    """Fill cells (n,) from the planes through their corners (4, n) with one value each.

    Their right and lower edges belong to their neighbours.
    """
    pixels = (np.arange(step)[:, None] * image.stride + np.arange(step)).ravel()
    image.suggest(cells[:, None] + pixels, nearness.T @ _bilinear(step), values[:, None])


def _corners(stride: int, step: int) -> NDArray[np.intp]:
    """Return the offsets (4, 1) in the raster from a cell to its corners."""
    return np.array([[0], [step], [step * stride], [step * stride + step]])


def _middles(stride: int, step: int) -> NDArray[np.intp]:
    """Return the offsets (4, 1) in the raster from a cell to the middles of its edges."""
    half = step // 2
    return np.array([[half], [step * stride + half], [half * stride], [half * stride + step]])


def distinct(places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Sort places and keep each once: rays of neighbouring pixels in turn meet the same parts of the mesh."""
    ordered = np.sort(places)
    first = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


@lru_cache(maxsize=4)
def _bilinear(step: int) -> NDArray[np.float32]:
    """Return the weights (4, step * step) of a cell's corners at its pixels."""
    share = np.arange(step) / step
    down, right = np.repeat(share, step), np.tile(share, step)
    weights = np.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right])
    return weights.astype(np.float32)


def _padded(camera: Intrinsics) -> Intrinsics:
    """Return the camera of whole cells and one more column and row on the right and below."""
    width, height = (-(-side // COARSEST) * COARSEST + 1 for side in (camera.width, camera.height))
    return camera.cropped(0, 0, width, height)
