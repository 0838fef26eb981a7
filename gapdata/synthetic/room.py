"""The shell of a room: its plan, walls with real openings, floor, ceiling, doors, windows and curtains.

Room frame: x and y along the walls, z up, floor at z = 0, metres. Corners run counter-clockwise, so the inside is to
the left of every wall. A wall's own frame has x along it from its first corner, y inward, z up.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gapdata.synthetic import pictures, textures
from gapdata.synthetic.openings import RECESS, Opening, make_blinds, make_curtains, make_door, make_window
from gapdata.synthetic.pictures import Color
from gapdata.synthetic.shapes import Mesh, box, join, surface, ticks
from gapdata.synthetic.style import Model, Style

BASEBOARD = 0.014  # m that it stands out
PLANKS: tuple[Color, ...] = ((0.62, 0.46, 0.31), (0.48, 0.34, 0.23), (0.72, 0.62, 0.50))
CARPETS: tuple[Color, ...] = ((0.45, 0.43, 0.41), (0.33, 0.36, 0.42), (0.58, 0.50, 0.41), (0.38, 0.33, 0.31))
TILES: tuple[Color, ...] = ((0.72, 0.69, 0.64), (0.55, 0.52, 0.49), (0.78, 0.77, 0.75), (0.60, 0.48, 0.39))
PAINTS: tuple[Color, ...] = (
    *((0.87, 0.86, 0.82), (0.80, 0.78, 0.72), (0.74, 0.79, 0.80)),
    *((0.84, 0.79, 0.68), (0.77, 0.80, 0.73), (0.82, 0.76, 0.74)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorPlan:
    """The outline of a room; the materials of floor, ceiling and walls are indices into the palette."""

    corners: NDArray[np.float64]  # (N, 2)
    height: float
    openings: tuple[Opening, ...]
    floor: int
    ceiling: int
    walls: tuple[int, ...]
    step: float

    @property
    def bounds(self) -> NDArray[np.float64]:
        """Return the lower and upper corner in plan, (2, 2) metres."""
        return np.stack([self.corners.min(axis=0), self.corners.max(axis=0)])

    def wall_length(self, wall: int) -> float:
        """Return the length of a wall in metres."""
        return float(np.linalg.norm(self.corners[(wall + 1) % len(self.corners)] - self.corners[wall]))

    def wall_yaw(self, wall: int) -> float:
        """Return the direction of a wall's x axis in degrees."""
        delta = self.corners[(wall + 1) % len(self.corners)] - self.corners[wall]
        return float(np.degrees(np.arctan2(delta[1], delta[0])))

    def from_wall(self, wall: int, model: Model) -> Model:
        """Return a model of a wall's frame in the room frame."""
        x, y = self.corners[wall]
        return replace(model, mesh=model.mesh.turned(self.wall_yaw(wall)).moved(x, y))

    def inside(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which points (..., 2) lie within the outline (crossing number)."""
        x, y = points[..., 0], points[..., 1]
        odd = np.zeros(x.shape, dtype=bool)
        for (x0, y0), (x1, y1) in zip(self.corners, np.roll(self.corners, -1, axis=0), strict=True):
            if y0 != y1:
                odd ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
        return odd

    @property
    def area(self) -> float:
        """Return the area of the floor in square metres (shoelace)."""
        x, y = self.corners.T
        return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellOptions:
    """The differences between the shells of kinds of room."""

    size: tuple[tuple[float, float], tuple[float, float]]
    floors: tuple[str, ...]
    windows: tuple[int, int]
    curtains: float = 0.7
    tiled_walls: bool = False
    feature_wall: float = 0.35


def make_plan(style: Style, kind: ShellOptions) -> FloorPlan:
    """Draw an outline with openings: rectangular, or an L in a third of the large rooms."""
    rng = style.rng
    width, depth = rng.uniform(*kind.size[0]), rng.uniform(*kind.size[1])
    if rng.random() < 0.35 and width * depth > 19:
        x, y = width - width * rng.uniform(0.28, 0.40), depth - depth * rng.uniform(0.28, 0.40)
        corners = [(0, 0), (width, 0), (width, y), (x, y), (x, depth), (0, depth)]
    else:
        corners = [(0, 0), (width, 0), (width, depth), (0, depth)]
    outline = np.array(corners, dtype=np.float64)
    height = float(rng.uniform(2.45, 2.85))
    lengths = np.linalg.norm(np.roll(outline, -1, axis=0) - outline, axis=1)
    area = width * depth * 2 + lengths.sum() * height
    plan = FloorPlan(
        corners=outline,
        height=height,
        openings=(),
        walls=_wall_materials(style, kind, len(corners)),
        floor=_floor_material(style, kind),
        ceiling=style.material(textures.paint(rng, (0.90, 0.90, 0.88)), period=1.3),
        step=float(np.clip(np.sqrt(area / 24000), 0.048, 0.07)),
    )
    return replace(plan, openings=_openings(style, plan, kind))


def _floor_material(style: Style, kind: ShellOptions) -> int:
    rng = style.rng
    choice = str(rng.choice(kind.floors))
    if choice == "planks":
        color = style.wood_colors[0] if rng.random() < 0.4 else style.pick(PLANKS)
        return style.material(textures.planks(rng, color), period=1.35, gloss=0.9, roughness=0.32)
    if choice == "carpet":
        return style.material(textures.carpet(rng, style.pick(CARPETS)), period=0.9)
    tiles = textures.tiles(rng, style.pick(TILES), veined=rng.random() < 0.5)
    return style.material(tiles, period=float(rng.uniform(1.2, 1.9)), gloss=1.0, roughness=0.22)


def _wall_materials(style: Style, kind: ShellOptions, count: int) -> tuple[int, ...]:
    rng, tint = style.rng, style.pick(PAINTS)
    if kind.tiled_walls:
        texture = textures.tiles(rng, np.clip(np.asarray(tint) * 1.05, 0, 0.93), count=6)
        common = style.material(texture, period=1.2, gloss=0.9, roughness=0.15)
    else:
        common = style.material(textures.paint(rng, tint), period=1.1)
    walls = [common] * count
    if rng.random() < kind.feature_wall:
        choice = rng.random()
        if choice < 0.3:
            texture, period = textures.brick(rng, (0.56, 0.33, 0.25)), 0.72
        elif choice < 0.65:
            texture, period = textures.wallpaper(rng, style.fabric_colors[0]), 0.8
        else:
            texture, period = textures.paint(rng, style.tint(0.9, 0, 1, shift=0.08)), 1.1
        walls[int(rng.integers(count))] = style.material(texture, period=period)
    return tuple(walls)


def _openings(style: Style, plan: FloorPlan, kind: ShellOptions) -> tuple[Opening, ...]:
    """Draw one door, and windows on one or two other walls."""
    rng = style.rng
    order = [int(w) for w in rng.permutation(len(plan.corners)) if plan.wall_length(int(w)) > 1.9]
    door_width, length = 0.86, plan.wall_length(order[0])
    start = rng.choice([0.18, length - door_width - 0.18]) if rng.random() < 0.7 else rng.uniform(0.2, length - 1.1)
    result = [Opening(kind="door", wall=order[0], x=(float(start), float(start) + door_width), z=(0.0, 2.03))]
    walls = sorted(order[1:], key=lambda w: -plan.wall_length(w))
    for wall in walls[: int(rng.integers(kind.windows[0], kind.windows[1] + 1))]:
        length = plan.wall_length(wall)
        width = float(min(rng.uniform(1.1, 2.1), length - 1.3))
        count = 2 if length > 5.0 and rng.random() < 0.6 else 1
        z = float(rng.uniform(0.82, 1.0)), float(plan.height - rng.uniform(0.30, 0.42))
        for k in range(count):
            middle = length * (k + 1) / (count + 1)
            result.append(Opening(kind="window", wall=wall, x=(middle - width / 2, middle + width / 2), z=z))
    return tuple(result)


def build_shell(style: Style, plan: FloorPlan, kind: ShellOptions) -> list[Model]:
    """Make floor, ceiling, walls, doors, and windows with their curtains or blinds, in the room frame."""
    rng = style.rng
    models = [
        Model.of("floor", _slab(plan, 0.0, plan.floor)),
        Model.of("ceiling", _slab(plan, plan.height, plan.ceiling)),
        *(plan.from_wall(wall, Model.of("wall", _wall(style, plan, wall))) for wall in range(len(plan.corners))),
    ]
    view = style.material(pictures.outdoors(rng), emission=float(rng.uniform(2.6, 4.2)), outside=True)
    dressing = rng.random()
    second = None if rng.random() < 0.5 else (0.85, 0.82, 0.76)
    cloth = style.material(textures.woven(rng, style.fabric_colors[2], second=second), period=0.5)
    for opening in plan.openings:
        if opening.kind == "door":
            found = make_door(style, opening)
        else:
            found = [make_window(style, opening, view)]
            if dressing < kind.curtains * 0.75:
                found += make_curtains(style, plan.height, opening, cloth)
            elif dressing < kind.curtains:
                found.append(make_blinds(style, opening))
        models += [plan.from_wall(opening.wall, model) for model in found]
    return models


def _slab(plan: FloorPlan, z: float, material: int) -> Mesh:
    """Make the floor or ceiling: a grid without the cells outside the outline; its lines pass through all corners."""
    step = plan.step if z == 0 else 1.5 * plan.step
    lines = []
    for axis, (low, high) in enumerate((plan.bounds + np.array([[-0.02], [0.02]])).T):
        stops = np.unique(np.concatenate([[low, high], plan.corners[1:-1, axis]]).round(6))
        pieces = [np.linspace(a, b, max(1, round((b - a) / step)) + 1) for a, b in itertools.pairwise(stops)]
        lines.append(np.unique(np.concatenate(pieces).round(9)))
    x, y = np.meshgrid(*lines)
    centre = np.stack([(x[1:, 1:] + x[:-1, :-1]) / 2, (y[1:, 1:] + y[:-1, :-1]) / 2], axis=-1)
    middle = plan.corners.mean(axis=0)
    keep = plan.inside(centre + np.sign(middle - centre) * 0.05)
    points = np.stack([x, y, np.full_like(x, z)], axis=-1)
    up = np.array([0.0, 0.0, 1.0 if z == 0 else -1.0])
    return surface(points, material, normals=np.broadcast_to(up, points.shape), uv=np.stack([x, y], axis=-1), keep=keep)


def _wall(style: Style, plan: FloorPlan, wall: int) -> Mesh:
    """Make a wall with holes, the reveals of its windows, and a baseboard between its doors."""
    length, height, material = plan.wall_length(wall), plan.height, plan.walls[wall]
    holes = [o for o in plan.openings if o.wall == wall]
    lines = []
    for end, spans in ((length, [o.x for o in holes]), (height, [o.z for o in holes])):
        stops = np.unique([0.0, end, *itertools.chain(*spans)])
        pieces = [a + (b - a) / 2 + ticks((b - a) / 2, 0, plan.step) for a, b in itertools.pairwise(stops)]
        lines.append(np.unique(np.concatenate(pieces).round(9)))
    x, z = np.meshgrid(*lines)
    cx, cz = (x[1:, 1:] + x[:-1, :-1]) / 2, (z[1:, 1:] + z[:-1, :-1]) / 2
    keep = np.ones(cx.shape, dtype=bool)
    for o in holes:
        keep &= ~((cx > o.x[0]) & (cx < o.x[1]) & (cz > o.z[0]) & (cz < o.z[1]))
    points = np.stack([x, np.zeros_like(x), z], axis=-1)
    inward = np.broadcast_to([0.0, 1.0, 0.0], points.shape)
    parts = [surface(points, material, normals=inward, uv=np.stack([x, height - z], axis=-1), keep=keep)]
    parts += [_reveal(o, plan.step, style.white()) for o in holes]
    skirting = style.white() if plan.floor % 2 else style.wood(0)
    doors = sorted((o for o in holes if o.kind == "door"), key=lambda o: o.x)
    edges = [0.0, *(x for o in doors for x in (o.x[0] - 0.06, o.x[1] + 0.06)), length]
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        if b - a > 0.03:
            board = box([b - a, BASEBOARD, 0.085], skirting, step=0.08)
            parts.append(board.moved((a + b) / 2, BASEBOARD / 2, 0.0425))
    return join(parts)


def _reveal(opening: Opening, step: float, material: int) -> Mesh:
    """Make the four sides of a hole through the wall, seen from inside it."""
    (x0, x1), (z0, z1) = opening.x, opening.z
    depth = np.linspace(0.0, -RECESS - 0.02, 4)
    loop = np.array([[x0, z0], [x1, z0], [x1, z1], [x0, z1], [x0, z0]])
    inward = np.array([[0, 0, 1.0], [-1.0, 0, 0], [0, 0, -1.0], [1.0, 0, 0]])
    sides = []
    for k in range(4):
        count = max(1, round(float(np.linalg.norm(loop[k + 1] - loop[k])) / step))
        line = loop[k] + (loop[k + 1] - loop[k]) * np.linspace(0, 1, count + 1)[:, None]
        points = np.stack(np.broadcast_arrays(line[:, None, 0], depth[None, :], line[:, None, 1]), axis=-1)
        sides.append(surface(points, material, normals=np.broadcast_to(inward[k], points.shape)))
    return join(sides)
