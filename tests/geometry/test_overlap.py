"""Overlap of oriented boxes against volumes computed exactly, in rational numbers, by another method."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest

from gapdata.geometry.boxes import OrientedBox, rotation_from_euler
from gapdata.geometry.overlap import PAIRS_AT_ONCE, intersection_volumes, paired_iou, pairwise_iou, stack_boxes, take

Vector = tuple[Fraction, Fraction, Fraction]
Plane = tuple[Vector, Fraction]  # n . x <= d
Exact = tuple[Vector, Vector, tuple[Vector, Vector, Vector]]  # centre, full size, axes


def rational_rotation(rng: np.random.Generator) -> tuple[Vector, Vector, Vector]:
    """A rotation with rational entries, from an integer quaternion; columns are the axes."""
    w, x, y, z = (Fraction(int(value)) for value in rng.integers(-4, 5, 4))
    if w == x == y == z == 0:
        w = Fraction(1)
    n = w * w + x * x + y * y + z * z
    rows = (
        (w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z),
    )
    columns = tuple(tuple(row[axis] / n for row in rows) for axis in range(3))
    return columns  # type: ignore[return-value]


def dot(a: Vector, b: Vector) -> Fraction:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def minus(a: Vector, b: Vector) -> Vector:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def planes_of(box: Exact) -> list[Plane]:
    center, size, axes = box
    found = []
    for axis, extent in zip(axes, size, strict=True):
        for sign in (1, -1):
            normal: Vector = (sign * axis[0], sign * axis[1], sign * axis[2])
            found.append((normal, dot(normal, center) + extent / 2))
    return found


def exact_volume(first: Exact, second: Exact) -> Fraction:
    """Enumerate the corners where three planes meet, take those inside all, and sum the pyramids over each plane's."""
    planes = list(dict.fromkeys(planes_of(first) + planes_of(second)))
    corners: set[Vector] = set()
    for (a, da), (b, db), (c, dc) in combinations(planes, 3):
        det = dot(a, cross(b, c))
        if det == 0:
            continue
        bc, ca, ab = cross(b, c), cross(c, a), cross(a, b)
        point: Vector = tuple((da * bc[k] + db * ca[k] + dc * ab[k]) / det for k in range(3))  # type: ignore[assignment]
        if all(dot(normal, point) <= limit for normal, limit in planes):
            corners.add(point)
    if len(corners) < 4:
        return Fraction(0)
    apex: Vector = tuple(sum(p[k] for p in corners) / len(corners) for k in range(3))  # type: ignore[assignment]
    total = Fraction(0)
    for normal, limit in planes:
        face = [p for p in corners if dot(normal, p) == limit]
        if len(face) >= 3:
            total += pyramid(apex, normal, face)
    return total


def pyramid(apex: Vector, normal: Vector, face: list[Vector]) -> Fraction:
    """Volume over a convex face whose corners are brought into order by walking along its hull."""
    ordered = [min(face)]
    while True:
        here = ordered[-1]
        following = next(
            other
            for other in face
            if other != here
            and all(dot(normal, cross(minus(other, here), minus(third, here))) >= 0 for third in face)
            and not any(
                third not in (here, other)
                and dot(normal, cross(minus(other, here), minus(third, here))) == 0
                and dot(minus(third, here), minus(third, here)) > dot(minus(other, here), minus(other, here))
                for third in face
            )
        )
        if following == ordered[0]:
            break
        ordered.append(following)
    base = minus(ordered[0], apex)
    return sum(
        (abs(dot(base, cross(minus(p, apex), minus(q, apex)))) / 6 for p, q in pairwise(ordered[1:])),
        start=Fraction(0),
    )


def as_box(box: Exact) -> OrientedBox:
    center, size, axes = (np.array(part, dtype=np.float64) for part in box)
    return OrientedBox(center=center, size=size, rotation=axes.T)


def fractions(rng: np.random.Generator, low: int, high: int) -> Vector:
    return tuple(Fraction(int(value), 4) for value in rng.integers(low, high, 3))  # type: ignore[return-value]


def pairs(kind: str) -> list[tuple[Exact, Exact]]:
    rng = np.random.default_rng(len(kind))
    found = []
    for _ in range(40):
        axes = rational_rotation(rng)
        first: Exact = (fractions(rng, -4, 5), fractions(rng, 1, 9), axes)
        others = axes if kind != "random" else rational_rotation(rng)
        if kind == "permuted axes":
            others = (axes[1], axes[2], axes[0])
        second: Exact = (fractions(rng, -4, 5), fractions(rng, 1, 9), others)
        if kind == "flush":
            # Centres that differ along the shared axes by quarters: faces lie in one plane all the time.
            steps = fractions(rng, -4, 5)
            shift = tuple(sum(steps[i] * axes[i][k] for i in range(3)) for k in range(3))
            second = (tuple(a + b for a, b in zip(first[0], shift, strict=True)), second[1], axes)  # type: ignore[assignment]
        if kind == "same":
            second = first
        found.append((first, second))
    return found


@pytest.mark.parametrize("kind", ["random", "flush", "permuted axes", "same"])
def test_volumes_agree_with_exact_arithmetic(kind: str) -> None:
    chosen = pairs(kind)
    expected = [float(exact_volume(*pair)) for pair in chosen]
    assert sum(value > 0 for value in expected) > 8
    first, second = (stack_boxes([as_box(pair[k]) for pair in chosen]) for k in (0, 1))
    np.testing.assert_allclose(intersection_volumes(*first, *second), expected, atol=1e-12)
    np.testing.assert_allclose(intersection_volumes(*second, *first), expected, atol=1e-12)


def test_boxes_that_touch_do_not_overlap() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        axes = rational_rotation(rng)
        first: Exact = (fractions(rng, -4, 5), fractions(rng, 1, 9), axes)
        size = fractions(rng, 1, 9)
        apart = (first[1][0] + size[0]) / 2
        center: Vector = tuple(c + apart * a for c, a in zip(first[0], axes[0], strict=True))  # type: ignore[assignment]
        assert pairwise_iou([as_box(first)], [as_box((center, size, axes))])[0, 0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1e-15, 1e-12, 1e-10, 1e-9, 4e-9, 1e-8])
def test_boxes_that_nearly_coincide_overlap_almost_whole(scale: float) -> None:
    """Where a naive clipping counts a face twice or never: the overlap cannot differ by more than the move."""
    rng = np.random.default_rng(7)
    n = 300
    angles = rng.uniform(-3, 3, (n, 3))
    center, size, rotation = (
        rng.uniform(-1, 1, (n, 3)),
        rng.uniform(0.1, 2, (n, 3)),
        rotation_from_euler(angles, "intrinsic_zxy"),
    )
    moved = (
        center + scale * rng.uniform(-1, 1, (n, 3)),
        size * (1 + scale * rng.uniform(-1, 1, (n, 3))),
        rotation @ rotation_from_euler(scale * rng.uniform(-1, 1, (n, 3)), "intrinsic_zxy"),
    )
    iou = paired_iou((center, size, rotation), moved)
    assert iou.max() <= 1.0
    assert iou.min() >= 1 - 200 * scale - 1e-12


@pytest.mark.parametrize(
    "wrong",
    [
        ((0, 0, 0), (0, 1, 1)),
        ((0, 0, 0), (0, 0, 0)),
        ((0, 0, 0), (-1, -1, 1)),
        ((np.nan, 0, 0), (1, 1, 1)),
        ((0, 0, 0), (1, np.inf, 1)),
        ((1e300, 0, 0), (1, 1, 1)),
        ((0, 0, 0), (1e200, 1e200, 1e200)),
    ],
)
def test_a_degenerate_box_overlaps_nothing_not_even_itself(wrong: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    box = OrientedBox(center=np.array(wrong[0], float), size=np.array(wrong[1], float), rotation=np.eye(3))
    whole = OrientedBox(center=np.zeros(3), size=np.ones(3), rotation=np.eye(3))
    np.testing.assert_array_equal(pairwise_iou([box, whole], [box, whole]), [[0, 0], [0, 1]])


def test_a_thin_box_has_its_exact_overlap() -> None:
    sheet = OrientedBox(center=np.zeros(3), size=np.array([2.0, 2.0, 1e-6]), rotation=np.eye(3))
    half = OrientedBox(center=np.array([1.0, 0, 0]), size=np.array([2.0, 2.0, 1e-6]), rotation=np.eye(3))
    assert pairwise_iou([sheet], [half])[0, 0] == pytest.approx(1 / 3, abs=1e-12)


def test_many_pairs_in_pieces_are_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(1)
    n = PAIRS_AT_ONCE + 50
    arrays = [
        (
            rng.uniform(-0.5, 0.5, (n, 3)),
            rng.uniform(0.2, 1, (n, 3)),
            rotation_from_euler(rng.uniform(-3, 3, (n, 3)), "extrinsic_zxy"),
        )
        for _ in range(2)
    ]
    whole = paired_iou(*arrays)
    last = np.arange(n - 3, n)
    np.testing.assert_allclose(paired_iou(take(arrays[0], last), take(arrays[1], last)), whole[-3:], atol=1e-15)
