"""Overlap as the authors' scoring has it: pytorch3d's ``box3d_overlap``, whose tolerances change many scores.

It builds the surface of the intersection from triangles: those of each box are cut by the six planes of the other,
shared ones are taken once, and the volume is the sum of the tetrahedra over a point inside. Three tolerances of
``DOT = 1e-3``, a cosine, make it differ from the exact overlap (:mod:`gapdata.geometry.overlap`):

* a triangle is *coplanar* with a plane, and then not cut by it, where their normals are within 2.6 degrees
  (``|cos| > 1 - DOT``) and the longest line between their corners lies in the plane to 0.06 degrees. A box that stands
  nearly upright inside another nearly upright one has such faces: they stay whole, beyond the other box or short of it;
* two triangles of the two boxes are coplanar likewise (the line may lie in either of them); the second one is dropped,
  although what is left of the first may cover another part of the face;
* an edge that is within 0.06 degrees of a plane is cut in its middle, wherever the plane is.

Facts from pytorch3d's documentation and sources (0.7, ``ops/iou_box3d.py`` and ``csrc/iou_box3d``, the CPU's, which the
authors' scripts call); arithmetic is float32 as there. ``python -m gapmodel.evaluation.authors_overlap`` prints by how
much the two overlaps differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gapdata.geometry.overlap import paired_iou, stack_boxes
from gapdata.tasks.box_text import box_of

Array = NDArray[np.float32]
Owners = NDArray[np.int64]

DOT = 1e-3
"""Two unit vectors count as perpendicular below this cosine, and as parallel above 1 minus it."""
SMALLEST_AREA = 1e-4
"""m2: a box with a smaller triangle is refused, and smaller triangles are not compared with others."""
PLANARITY = 1e-4
"""Metres by which the faces' fourth corners may miss their planes, all six together: float32 does hundreds of metres
from the origin."""
TINY = 1e-8
"""A vector is divided by at least this length,"""
SHORTEST = 1e-12
"""or by this one where boxes are checked."""
APART = 1.1
"""Boxes whose centres are farther apart than this times the sum of their half diagonals have no triangle in common."""
PAIRS_AT_ONCE = 128

CORNERS = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0], [1, 0, 0], [1, 0, 1], [1, 1, 1], [1, 1, 0]]) - 0.5
"""Corners of a box in units of its size, numbered around the face x = -1/2 and then around x = 1/2."""
PLANES = np.array([[0, 1, 2, 3], [3, 2, 6, 7], [0, 1, 5, 4], [0, 3, 7, 4], [1, 5, 6, 2], [4, 5, 6, 7]])
"""Corners of each face, in the order in which a box cuts."""
CHECKED = np.array([[1, 2, 6, 5] if face == 4 else corners for face, corners in enumerate(PLANES)])
"""The same faces as pytorch3d checks them: one runs the other way round, so that what opposite faces miss cancels."""
TRIANGLES = np.array(
    [int(corner) for corner in "012 032 456 467 156 162 047 073 326 367 015 045".replace(" ", "")]
).reshape(12, 3)
"""How pytorch3d halves the faces, and in which order it takes the corners: it decides which pieces a cut makes, and so
what the tolerances do to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Solid:
    """Boxes, one for each pair."""

    center: Array  # (P, 3)
    triangles: Array  # (P, 12, 3, 3)
    planes: Array  # (P, 6, 4, 3)
    middles: Array  # (P, 6, 3) of the faces
    inward: Array  # (P, 6, 3) unit normals
    volume: Array  # (P,)


def corners_of(values: Sequence[Sequence[float]] | NDArray[np.float64]) -> Array:
    """Return the corners (N, 8, 3) of boxes of nine numbers each, angles read as intrinsic zxy whatever was meant.

    A negative size turns a box inside out, which changes nothing. Corners of near equal boxes decide by their last bits
    which of two diagonals is the longer one, so they are computed as the authors do, by torch in float32.
    """
    numbers = torch.tensor(np.asarray(values, dtype=np.float64).reshape(-1, 9), dtype=torch.float32)
    center, size, angles = torch.split(numbers, 3, dim=1)
    about_z, about_x, about_y = (_turn(angles[:, at], axis) for at, axis in enumerate((2, 0, 1)))
    local = size[:, None] * torch.tensor(CORNERS, dtype=torch.float32)
    return np.asarray(((local @ ((about_z @ about_x) @ about_y).transpose(1, 2)) + center[:, None]).numpy())


def refused(corners: Array) -> NDArray[np.bool_]:
    """Return which boxes (N, 8, 3) pytorch3d refuses (N,): a face too small or not plane, or a number not finite."""
    with np.errstate(all="ignore"):
        faces = corners[:, CHECKED]
        first, second, across = (faces[:, :, at] - faces[:, :, 0] for at in (1, 2, 3))
        normal = _unit(_cross(_unit(first, SHORTEST), _unit(second, SHORTEST)), SHORTEST)
        misses = (across * normal).reshape(len(corners), 3 * len(CHECKED))
        plane = np.abs(np.cumsum(misses, axis=1)[:, -1]) < PLANARITY
        flat = (_areas(corners[:, TRIANGLES]) < SMALLEST_AREA).any(axis=1)
    return np.asarray(~plane | flat | ~np.isfinite(corners).all(axis=(1, 2)))


def authors_iou(first: Array, second: Array) -> NDArray[np.float64]:
    """Return the intersection over union (P,) of each box of ``first`` with the box beside it in ``second``.

    0 where pytorch3d refuses one of them, which the authors' scripts count as no overlap. Not bounded by 1: the
    tolerances can make an intersection larger than a box.

    Args:
        first: corners (P, 8, 3) in metres, float32, as :func:`corners_of` numbers them.
        second: the others.
    """
    found = np.zeros(len(first))
    able = ~(refused(first) | refused(second))
    able[able] = _near(first[able], second[able])
    chosen = np.flatnonzero(able)
    for start in range(0, len(chosen), PAIRS_AT_ONCE):
        part = chosen[start : start + PAIRS_AT_ONCE]
        a, b = _solid(first[part]), _solid(second[part])
        volume = _intersection(a, b)
        with np.errstate(divide="ignore", invalid="ignore"):
            found[part] = volume / (a.volume + b.volume - volume)
    return found


def _turn(angle: Tensor, axis: int) -> Tensor:
    """Return rotations (N, 3, 3) about an axis."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = torch.eye(3).repeat(len(angle), 1, 1)
    matrix[:, first, first] = matrix[:, second, second] = torch.cos(angle)
    matrix[:, second, first] = torch.sin(angle)
    matrix[:, first, second] = -torch.sin(angle)
    return matrix


def _near(first: Array, second: Array) -> NDArray[np.bool_]:
    centers = first.mean(axis=1), second.mean(axis=1)
    reach = sum(_length(box[:, 0] - middle) for box, middle in zip((first, second), centers, strict=True))
    return np.asarray(_length(centers[0] - centers[1]) <= APART * reach)


def _solid(corners: Array) -> _Solid:
    center, planes, triangles = corners.mean(axis=1), corners[:, PLANES], corners[:, TRIANGLES]
    middles = planes.mean(axis=2)
    normal = _normal(planes, middles)
    outward = _dot(center[:, None] - middles, normal) < 0
    return _Solid(
        center=center,
        triangles=triangles,
        planes=planes,
        middles=middles,
        inward=np.where(outward[..., None], -normal, normal),
        volume=np.cumsum(_tetrahedra(triangles, center[:, None]), axis=1)[:, -1],
    )


def _intersection(a: _Solid, b: _Solid) -> Array:
    """Return the volumes (P,) that the remaining triangles of both surfaces enclose."""
    mine, owners = _cut(a.triangles, b)
    other, their_owners = _cut(b.triangles, a)
    fresh = ~_repeated(mine, owners, other, their_owners)
    surface, owners = np.concatenate([mine, other[fresh]]), np.concatenate([owners, their_owners[fresh]])
    pairs = len(a.volume)
    count = np.maximum(np.bincount(owners, minlength=pairs), 1).astype(np.float32)
    middle = _sums(surface.mean(axis=1), owners, pairs) / count[:, None]
    return _sums(_tetrahedra(surface, middle[owners]), owners, pairs)


def _sums(values: Array, owners: Owners, pairs: int) -> Array:
    """Return sums (pairs, ...) of each owner's values (M, ...), one after another in float32, as pytorch3d adds."""
    total = np.zeros((pairs, *values.shape[1:]), dtype=np.float32)
    np.add.at(total, owners, values)
    return total


def _cut(triangles: Array, by: _Solid) -> tuple[Array, Owners]:
    """Cut the triangles (P, 12, 3, 3) of one box by the six planes of the other; return them and the pair of each."""
    owners = np.repeat(np.arange(len(triangles)), triangles.shape[1])
    left = triangles.reshape(-1, 3, 3)
    for face in range(len(PLANES)):
        plane, middle, normal = by.planes[owners, face], by.middles[owners, face], by.inward[owners, face]
        inside = _dot(left - middle[:, None], normal[:, None]) >= 0
        inside[_in_plane(left, plane, normal)] = True
        count = inside.sum(axis=1)
        order = np.argsort(~inside, axis=1, kind="stable")  # corners inside first, both kinds in their own order
        left = np.take_along_axis(left, order[..., None], axis=1)
        whole, one, two = (np.flatnonzero(count == n) for n in (3, 1, 2))
        near, far = left[one, 0], (left[one, 1], left[one, 2])
        tip = [_crossing(near, end, middle[one], normal[one]) for end in far]
        base, end = (left[two, 0], left[two, 1]), left[two, 2]
        ends = [_crossing(start, end, middle[two], normal[two]) for start in base]
        left = np.concatenate(
            [
                left[whole],
                np.stack([near, *tip], axis=1),
                np.stack([base[0], *ends], axis=1),
                np.stack([base[0], ends[1], base[1]], axis=1),
            ]
        )
        source = np.concatenate([whole, one, two, two])
        in_order = np.argsort(source, kind="stable")
        left, owners = left[in_order], owners[source[in_order]]
    return left, owners


def _crossing(start: Array, end: Array, middle: Array, normal: Array) -> Array:
    """Return where edges (M, 3) meet a plane; those that run along it are cut in their middle."""
    edge = end - start
    along = np.abs(_dot(_unit(edge), normal)) < DOT
    share = np.divide(-_dot(start - middle, normal), _dot(edge, normal), out=np.zeros(len(edge), "f4"), where=~along)
    return np.where(along[:, None], (start + end) / 2, start + share[:, None] * edge)


def _in_plane(triangles: Array, planes: Array, normals: Array) -> NDArray[np.bool_]:
    """Return which triangles (M, 3, 3) count as coplanar with the faces (M, 4, 3) beside them."""
    found = np.abs(_dot(_normal(triangles, triangles.mean(axis=1)), normals)) > 1 - DOT
    line = _farthest(triangles[found], planes[found])
    found[found] = np.abs(_dot(line, normals[found])) < DOT
    return np.asarray(found)


def _repeated(mine: Array, owners: Owners, other: Array, their_owners: Owners) -> NDArray[np.bool_]:
    """Return which of the ``other`` triangles are coplanar with one of ``mine`` of the same pair."""
    found = np.zeros(len(other), dtype=bool)
    large = _areas(mine) > SMALLEST_AREA
    mine, owners = mine[large], owners[large]
    by_owner = np.argsort(owners, kind="stable")
    mine, owners = mine[by_owner], owners[by_owner]
    starts, ends = np.searchsorted(owners, their_owners, "left"), np.searchsorted(owners, their_owners, "right")
    counts = ends - starts
    j = np.repeat(np.arange(len(other)), counts)
    i = np.arange(len(j)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(starts, counts)
    normals, their_normals = _normal(mine, mine.mean(axis=1)), _normal(other, other.mean(axis=1))
    parallel = np.abs(_dot(normals[i], their_normals[j])) > 1 - DOT
    i, j = i[parallel], j[parallel]
    line = _farthest(mine[i], other[j])
    flat = (np.abs(_dot(line, normals[i])) < DOT) | (np.abs(_dot(line, their_normals[j])) < DOT)
    found[j[flat]] = True
    return found


def _farthest(first: Array, second: Array) -> Array:
    """Return unit vectors (M, 3) along the longest line between corners of two shapes, (M, 3, 3) and (M, k, 3)."""
    lines = (first[:, :, None] - second[:, None]).reshape(len(first), first.shape[1] * second.shape[1], 3)
    longest = np.argmax(_length(lines), axis=1)
    return _unit(lines[np.arange(len(lines)), longest])


def _normal(faces: Array, middles: Array) -> Array:
    """Return unit normals of faces (..., k, 3), from their last two corners seen from their middle."""
    return _unit(_cross(faces[..., -2, :] - middles, faces[..., -1, :] - middles))


def _areas(triangles: Array) -> Array:
    origin = triangles[..., 0, :]
    return _length(_cross(triangles[..., 1, :] - origin, triangles[..., 2, :] - origin)) / np.float32(2)


def _tetrahedra(triangles: Array, apex: Array) -> Array:
    """Return volumes of the tetrahedra over triangles (..., 3, 3) with their tips at ``apex`` (..., 3)."""
    a, b, c = (triangles[..., corner, :] - apex for corner in range(3))
    return np.asarray(np.abs(_dot(a, _cross(b, c))) / np.float32(6))


def _dot(a: Array, b: Array) -> Array:
    return np.asarray(a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2])


def _cross(a: Array, b: Array) -> Array:
    x, y, z = (a[..., axis] for axis in range(3))
    u, v, w = (b[..., axis] for axis in range(3))
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=-1)


def _length(vectors: Array) -> Array:
    return np.asarray(np.sqrt(_dot(vectors, vectors)))


def _unit(vectors: Array, shortest: float = TINY) -> Array:
    return np.asarray(vectors / np.maximum(_length(vectors), np.float32(shortest))[..., None])


def differences(pairs: int, seed: int) -> dict[str, tuple[float, float, float, float, int]]:
    """Compare this overlap with the exact one, for random boxes and a second box at several distances from each.

    Returns:
        Of each kind the mean IoU of both, exact and the authors', the median and the largest difference, and how many
        of the ``pairs`` are on different sides of 0.5.
    """
    rng = np.random.default_rng(seed)
    spans = [(-2.0, 2.0)] * 3 + [(0.2, 2.0)] * 3 + [(-np.pi, np.pi)] * 3
    boxes = np.stack([rng.uniform(*span, pairs) for span in spans], axis=1)
    metres = rng.uniform(-0.1, 0.1, (pairs, 6))
    degrees = rng.uniform(-9, 9, (pairs, 3))
    upright = np.concatenate([boxes[:, :7], np.zeros((pairs, 2))], axis=1)
    kinds = {
        "within 10 cm and 9 degrees": (boxes, boxes + np.hstack([metres, np.radians(degrees)])),
        "within 10 cm and half a degree": (boxes, boxes + np.hstack([metres, np.radians(degrees / 18)])),
        "within 10 cm, both upright": (upright, upright + np.hstack([metres, np.radians(degrees * (1, 0, 0))])),
        "rounded to two decimals, as answers are": (boxes, boxes.round(2)),
    }
    found = {}
    for kind, (one, other) in kinds.items():
        exact = paired_iou(*(stack_boxes([box_of(row, "intrinsic_zxy") for row in rows]) for rows in (one, other)))
        theirs = authors_iou(corners_of(one), corners_of(other))
        apart = np.abs(exact - theirs)
        changed = int(((exact > 0.5) != (theirs > 0.5)).sum())
        means = float(exact.mean()), float(theirs.mean())
        found[kind] = (*means, float(np.median(apart)), float(apart.max()), changed)
    return found


def main() -> None:
    """Print :func:`differences` of 1,500 pairs of each kind."""
    print("| second box | mean IoU, exact | the authors' | median difference | largest | of 1500 across 0.5 |")
    print("|---|---|---|---|---|---|")
    for kind, (exact, theirs, median, largest, changed) in differences(1500, seed=0).items():
        print(f"| {kind} | {exact:.3f} | {theirs:.3f} | {median:.3f} | {largest:.3f} | {changed} |")


if __name__ == "__main__":
    main()
