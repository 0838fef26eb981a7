"""What belongs into which kind of room, and where: bedroom, living room, office, kitchen, classroom, bathroom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from gapdata.synthetic import decor, homes, storage, workplaces
from gapdata.synthetic.openings import Opening
from gapdata.synthetic.placement import Claim, Item, Placer
from gapdata.synthetic.room import Plan, RoomStyle, build_shell, make_plan
from gapdata.synthetic.shapes import Mesh
from gapdata.synthetic.style import Model, Style

Furnish = Callable[[Placer, Style, Generator], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomKind:
    """A kind of room: ScanNet's ``sceneType``, the shell and the furnishing."""

    scene_type: str
    shell: RoomStyle
    furnish: Furnish
    fitted: bool = False  # furnished to measure: radiators get what is left


def furnished_room(kind: RoomKind, style: Style, rng: Generator) -> tuple[Plan, list[Item]]:
    """A room of a kind with all that is in it, in the room frame."""
    plan = make_plan(style, rng, kind.shell)
    shell = build_shell(style, rng, plan, kind.shell)
    placer = Placer(plan=plan, rng=rng)
    placer.items = [Item(label=m.label, mesh=m.mesh, claim=None) for m in shell.models]
    placer.reserved = [claim for o in plan.openings for claim in _kept_clear(plan, o)]
    placer.reserved += [_around(plan, m.mesh) for m in shell.models if m.label == "curtain"]
    _ceiling_lamps(placer, style, rng)
    _wall_plates(placer, style, rng)
    if kind.fitted:
        kind.furnish(placer, style, rng)
    for opening in plan.openings:
        if opening.kind == "window" and rng.random() < 0.6:
            _below_window(placer, opening, storage.radiator(style, rng))
    if not kind.fitted:
        kind.furnish(placer, style, rng)
    return plan, placer.items


def _kept_clear(plan: Plan, opening: Opening) -> list[Claim]:
    """The swing of a door, and the front of a window, into which only low things may reach."""
    yaw, middle, half = plan.wall_yaw(opening.wall), sum(opening.x) / 2, (opening.x[1] - opening.x[0]) / 2
    depth, low = (0.9, 0.0) if opening.kind == "door" else (0.18, opening.z[0])
    side = half + (0.07 if opening.kind == "door" else 0.25)
    direction = np.array([np.cos(np.radians(yaw)), np.sin(np.radians(yaw))])
    inward = np.array([-direction[1], direction[0]])
    center = plan.corners[opening.wall] + direction * middle + inward * depth / 2
    return [Claim(center=center, half=np.array([side, depth / 2]), yaw=yaw, z=(low, opening.z[1]))]


def _around(plan: Plan, mesh: Mesh) -> Claim:
    """The box about something that is parallel to the walls."""
    low, high = mesh.bounds
    low, high = low.clip([0.001, 0.001, 0], None), np.minimum(high, [*plan.corners.max(axis=0), plan.height])
    return Claim(center=(low + high)[:2] / 2, half=(high - low)[:2] / 2, yaw=0.0, z=(float(low[2]), float(high[2])))


def _ceiling_lamps(placer: Placer, style: Style, rng: Generator) -> None:
    low, high = placer.plan.corners.min(axis=0), placer.plan.corners.max(axis=0)
    span = high - low
    count = np.maximum(1, np.round(span / 3.4)).astype(int)
    lamp = decor.ceiling_lamp(style, rng)
    for i in range(count[0]):
        for j in range(count[1]):
            x, y = low + span * (np.array([i, j]) + 0.5) / count
            placer.put(lamp, float(x), float(y), 0.0, placer.plan.height)


def _below_window(placer: Placer, opening: Opening, model: Model) -> Item | None:
    point = placer.on_wall(opening.wall, sum(opening.x) / 2, 0.02 + 0.014 + 0.04)
    return placer.put(model, float(point[0]), float(point[1]), placer.plan.wall_yaw(opening.wall))


def _wall_plates(placer: Placer, style: Style, rng: Generator) -> None:
    """A light switch beside the door and sockets above the baseboard; nobody annotates them."""
    plan = placer.plan
    switch, socket = decor.wall_plate(style, 1), decor.wall_plate(style, 2)
    for opening in plan.openings:
        if opening.kind == "door":
            after = opening.x[1] + 0.2
            s = after if after < plan.wall_length(opening.wall) - 0.1 else opening.x[0] - 0.2
            point = placer.on_wall(opening.wall, s, 0.001)
            placer.put(switch, float(point[0]), float(point[1]), plan.wall_yaw(opening.wall), 1.08)
    for wall in range(len(plan.corners)):
        point = placer.on_wall(wall, rng.uniform(0.2, 0.8) * plan.wall_length(wall), 0.001)
        placer.put(socket, float(point[0]), float(point[1]), plan.wall_yaw(wall), 0.26)


KINDS: tuple[RoomKind, ...] = (
    RoomKind(
        scene_type="Bedroom / Hotel",
        furnish=homes.furnish_bedroom,
        shell=RoomStyle(size=((3.8, 5.2), (3.6, 4.8)), floors=("planks", "carpet"), windows=(1, 1), curtains=0.9),
    ),
    RoomKind(
        scene_type="Living room / Lounge",
        furnish=homes.furnish_living_room,
        shell=RoomStyle(
            size=((4.6, 6.6), (4.2, 5.4)), floors=("planks", "planks", "carpet"), windows=(1, 2), curtains=0.8
        ),
    ),
    RoomKind(
        scene_type="Office",
        furnish=workplaces.furnish_office,
        shell=RoomStyle(
            size=((4.2, 6.2), (3.8, 5.2)), floors=("carpet", "planks"), windows=(1, 2), curtains=0.5, feature_wall=0.2
        ),
    ),
    RoomKind(
        scene_type="Kitchen",
        furnish=homes.furnish_kitchen,
        fitted=True,
        shell=RoomStyle(size=((4.2, 5.8), (3.8, 5.0)), floors=("tiles", "planks"), windows=(1, 1), curtains=0.4),
    ),
    RoomKind(
        scene_type="Classroom",
        furnish=workplaces.furnish_classroom,
        shell=RoomStyle(
            size=((5.8, 7.0), (5.0, 6.2)), floors=("tiles", "carpet"), windows=(1, 2), curtains=0.5, feature_wall=0.1
        ),
    ),
    RoomKind(
        scene_type="Bathroom",
        furnish=homes.furnish_bathroom,
        shell=RoomStyle(
            size=((3.5, 4.2), (3.5, 3.9)),
            floors=("tiles",),
            windows=(1, 1),
            curtains=0.3,
            tiled_walls=True,
            feature_wall=0.0,
        ),
    ),
)
"""In the order in which a dataset's scenes take them."""
