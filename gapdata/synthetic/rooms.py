"""The kinds of room, and a whole room of a kind: its shell, its lamps and plates, and what furnishes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gapdata.runtime.choices import check_choice
from gapdata.synthetic import decor, furnishing, storage
from gapdata.synthetic.openings import Opening
from gapdata.synthetic.placement import Claim, Item, Placer
from gapdata.synthetic.room import FloorPlan, ShellOptions, build_shell, make_plan
from gapdata.synthetic.shapes import Mesh
from gapdata.synthetic.style import Style


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomKind:
    """A kind of room: its name, ScanNet's ``sceneType``, the shell and the furnishing."""

    name: str
    scene_type: str
    shell: ShellOptions
    furnish: Callable[[Placer], None]
    fitted: bool = False  # furnished to measure: radiators get what is left


def furnished_room(kind: RoomKind, style: Style) -> tuple[FloorPlan, list[Item]]:
    """Make a room of a kind with all that is in it, in the room frame."""
    plan = make_plan(style, kind.shell)
    shell = build_shell(style, plan, kind.shell)
    room = Placer(plan=plan, style=style)
    room.items = [Item(label=m.label, mesh=m.mesh, claim=None) for m in shell]
    room.reserved = [_kept_clear(plan, o) for o in plan.openings]
    room.reserved += [_around(plan, m.mesh) for m in shell if m.label == "curtain"]
    _put_ceiling_lamps(room)
    _put_wall_plates(room)
    if kind.fitted:
        kind.furnish(room)
    for opening in plan.openings:
        if opening.kind == "window" and style.rng.random() < 0.6:
            room.put_on_wall(storage.radiator(style), opening.wall, sum(opening.x) / 2, 0.02 + 0.014 + 0.04)
    if not kind.fitted:
        kind.furnish(room)
    return plan, room.items


def _kept_clear(plan: FloorPlan, opening: Opening) -> Claim:
    """Return the swing of a door, or the front of a window, into which only low things may reach."""
    yaw, middle, half = plan.wall_yaw(opening.wall), sum(opening.x) / 2, (opening.x[1] - opening.x[0]) / 2
    depth, low, beside = (0.9, 0.0, 0.07) if opening.kind == "door" else (0.18, opening.z[0], 0.25)
    direction = np.array([np.cos(np.radians(yaw)), np.sin(np.radians(yaw))])
    inward = np.array([-direction[1], direction[0]])
    center = plan.corners[opening.wall] + direction * middle + inward * depth / 2
    return Claim(center=center, half=np.array([half + beside, depth / 2]), yaw=yaw, z=(low, opening.z[1]))


def _around(plan: FloorPlan, mesh: Mesh) -> Claim:
    """Return the box about something that is parallel to the walls."""
    low, high = mesh.bounds
    low, high = low.clip([0.001, 0.001, 0], None), np.minimum(high, [*plan.bounds[1], plan.height])
    return Claim(center=(low + high)[:2] / 2, half=(high - low)[:2] / 2, yaw=0.0, z=(float(low[2]), float(high[2])))


def _put_ceiling_lamps(room: Placer) -> None:
    low, high = room.plan.bounds
    count = np.maximum(1, np.round((high - low) / 3.4)).astype(int)
    lamp = decor.ceiling_lamp(room.style)
    for place in np.ndindex(*count):
        x, y = low + (high - low) * (np.array(place) + 0.5) / count
        room.put(lamp, float(x), float(y), 0.0, room.plan.height)


def _put_wall_plates(room: Placer) -> None:
    """Put a light switch beside the door and sockets above the baseboard; nobody annotates them."""
    plan = room.plan
    switch, socket = decor.wall_plate(room.style, 1), decor.wall_plate(room.style, 2)
    for opening in plan.openings:
        if opening.kind == "door":
            after = opening.x[1] + 0.2
            s = after if after < plan.wall_length(opening.wall) - 0.1 else opening.x[0] - 0.2
            room.put_on_wall(switch, opening.wall, s, 0.001, 1.08)
    for wall in range(len(plan.corners)):
        room.put_on_wall(socket, wall, room.rng.uniform(0.2, 0.8) * plan.wall_length(wall), 0.001, 0.26)


KINDS: tuple[RoomKind, ...] = (
    RoomKind(
        name="bedroom",
        scene_type="Bedroom / Hotel",
        furnish=furnishing.furnish_bedroom,
        shell=ShellOptions(size=((3.8, 5.2), (3.6, 4.8)), floors=("planks", "carpet"), windows=(1, 1), curtains=0.9),
    ),
    RoomKind(
        name="living-room",
        scene_type="Living room / Lounge",
        furnish=furnishing.furnish_living_room,
        shell=ShellOptions(
            size=((4.6, 6.6), (4.2, 5.4)), floors=("planks", "planks", "carpet"), windows=(1, 2), curtains=0.8
        ),
    ),
    RoomKind(
        name="office",
        scene_type="Office",
        furnish=furnishing.furnish_office,
        shell=ShellOptions(
            size=((4.2, 6.2), (3.8, 5.2)), floors=("carpet", "planks"), windows=(1, 2), curtains=0.5, feature_wall=0.2
        ),
    ),
    RoomKind(
        name="kitchen",
        scene_type="Kitchen",
        furnish=furnishing.furnish_kitchen,
        fitted=True,
        shell=ShellOptions(size=((4.2, 5.8), (3.8, 5.0)), floors=("tiles", "planks"), windows=(1, 1), curtains=0.4),
    ),
    RoomKind(
        name="classroom",
        scene_type="Classroom",
        furnish=furnishing.furnish_classroom,
        shell=ShellOptions(
            size=((5.8, 7.0), (5.0, 6.2)), floors=("tiles", "carpet"), windows=(1, 2), curtains=0.5, feature_wall=0.1
        ),
    ),
    RoomKind(
        name="bathroom",
        scene_type="Bathroom",
        furnish=furnishing.furnish_bathroom,
        shell=ShellOptions(
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


def room_kinds(names: Sequence[str]) -> tuple[RoomKind, ...]:
    """Return the kinds of these names, in their order; without names all kinds.

    Raises:
        UsageError: there is no kind of this name.
    """
    known = {kind.name: kind for kind in KINDS}
    for name in names:
        check_choice("kind of room", name, known)
    return tuple(known[name] for name in names) or KINDS
