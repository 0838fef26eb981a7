"""What belongs into which kind of room, and where: bedroom, living room, office, kitchen, classroom, bathroom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from gapdata.sources.synthetic import bedroom, decor, seating, storage, tables
from gapdata.sources.synthetic.placement import Claim, Item, Placer
from gapdata.sources.synthetic.room import Opening, Plan, RoomStyle, build_shell, make_plan
from gapdata.sources.synthetic.shapes import Mesh
from gapdata.sources.synthetic.style import Model, Style

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


def _several(rng: Generator, low: int, high: int) -> range:
    return range(int(rng.integers(low, high + 1)))


def _hangings(placer: Placer, style: Style, rng: Generator, count: tuple[int, int]) -> None:
    for _ in _several(rng, *count):
        placer.hang(decor.picture(style, rng), (1.15, 1.5))


def _odds_and_ends(placer: Placer, style: Style, rng: Generator) -> None:
    """What lies about in any room."""
    for make, chance in (
        (decor.trash_can, 0.8), (decor.plant, 0.75), (decor.plant, 0.4), (decor.carton, 0.6), (decor.carton, 0.35), (decor.backpack, 0.6),
    ):  # fmt: skip
        if rng.random() < chance:
            model = make(style, rng)
            if placer.put_at_wall(model, skew=18, gap=0.05) is None:
                placer.put_anywhere(model)


def _on_surfaces(placer: Placer, style: Style, rng: Generator, items: list[Item | None], count: tuple[int, int]) -> None:
    small = (decor.books, decor.cup, decor.vase_on_table, decor.bottle, decor.books)
    for item in items:
        for _ in _several(rng, *count):
            placer.put_on(item, small[int(rng.integers(len(small)))](style, rng))


def _work_place(placer: Placer, style: Style, rng: Generator, seat: Model, desk: Item | None) -> None:
    """A desk's equipment and its chair."""
    if desk is None:
        return
    level = desk.tops[0]
    if rng.random() < 0.75:
        screen = decor.monitor(style, rng)
        side = rng.uniform(0.3, 0.6)
        placer.put_on(desk, screen, yaw=rng.uniform(-12, 12), at=(side, 0.15))
        placer.put_on(desk, decor.keyboard(style, rng), yaw=0.0, at=(side, 0.9))
        if rng.random() < 0.3:
            placer.put_on(desk, decor.monitor(style, rng), yaw=rng.uniform(10, 25), at=(1.0, 0.2))
        if rng.random() < 0.7:
            tower = decor.computer_tower(style, rng)
            spot = level.x[1] + 0.20 if rng.random() < 0.5 else level.x[0] - 0.20
            placer.put_near(desk, tower, spot, 0.0, rng.uniform(-5, 5))
    else:
        placer.put_on(desk, decor.laptop(style, rng), yaw=rng.uniform(-15, 15), at=(rng.uniform(0.3, 0.7), 0.8))
    if rng.random() < 0.6:
        placer.put_on(desk, decor.desk_lamp(style, rng), at=(rng.choice([0.12, 0.88]), 0.2))
    _on_surfaces(placer, style, rng, [desk], (1, 3))
    for distance in (0.28, 0.40, 0.55):
        offset = level.y[1] + distance + rng.uniform(0, 0.12)
        if placer.put_near(desk, seat, rng.uniform(-0.15, 0.15), offset, 180 + rng.uniform(-40, 40)):
            return


def _chairs_around(placer: Placer, rng: Generator, table: Item | None, chair: Model, *, sides: tuple[int, ...] = (1, -1), ends: bool = True) -> None:
    """Chairs at a table, pushed in more or less, each turned a little."""
    if table is None:
        return
    low, high = table.tops[0].x[0] - 0.015, table.tops[0].x[1] + 0.015
    edge, end = table.tops[0].y[1] + 0.015, high
    depth = float(chair.mesh.bounds[1, 1] - chair.mesh.bounds[0, 1])
    places = max(1, int((high - low) / 0.58))
    for side in sides:
        for k in range(places):
            x = low + (high - low) * (k + 0.5) / places + rng.uniform(-0.03, 0.03)
            out = edge + depth / 2 - rng.uniform(0.02, 0.20) + (0.25 if rng.random() < 0.2 else 0.0)
            yaw = (180 if side > 0 else 0) + rng.normal(0, 9)
            placer.put_near(table, chair, x, side * out, yaw, under=True)
    if ends and high - low > 1.0:
        for side in (-1, 1):
            if rng.random() < 0.5:
                placer.put_near(table, chair, side * (end + depth / 2 + 0.02), 0.0, 90 * side + rng.normal(0, 12), under=False)


def _sleep(placer: Placer, style: Style, rng: Generator) -> None:
    bed = None
    for _ in range(6):
        bed = bed or placer.put_at_wall(bedroom.bed(style, rng), skew=0.6, gap=0.03)
    if bed is not None:
        low, high = bed.tops[0].x
        count = 2 if high - low > 1.2 else 1
        for k in range(count):
            pillow = bedroom.bed_pillow(style, rng)
            tilted = replace(pillow, mesh=pillow.mesh.tilted(-rng.uniform(8, 22)))
            placer.put_on(bed, tilted, yaw=0.0, at=(k / (count - 1) if count > 1 else 0.5, 0.1))
        for _ in _several(rng, 0, 2):
            placer.put_on(bed, seating.pillow(style, rng), top=1)
        stand = tables.nightstand(style, rng)
        for side in (-1, 1):
            y = -1.0 + float(stand.mesh.bounds[1, 1]) - 0.02
            table = placer.put_near(bed, stand, side * (high + 0.13 + float(stand.mesh.bounds[1, 0])), y, rng.normal(0, 2))
            if rng.random() < 0.8:
                placer.put_on(table, decor.table_lamp(style, rng), at=(0.5, 0.4))
            _on_surfaces(placer, style, rng, [table], (0, 1))
    placer.put_at_wall(storage.wardrobe(style, rng), skew=0.5)
    chest = placer.put_at_wall(tables.dresser(style, rng), skew=1.0)
    _on_surfaces(placer, style, rng, [chest], (2, 4))
    if rng.random() < 0.6:
        placer.hang(decor.mirror(style, rng), (1.1, 1.3))
    if rng.random() < 0.7:
        _work_place(placer, style, rng, seating.office_chair(style, rng), placer.put_at_wall(tables.desk(style, rng), skew=1.5))
    if rng.random() < 0.6:
        placer.put_at_wall(storage.bookshelf(style, rng), skew=0.8)
    if rng.random() < 0.6:
        placer.put_anywhere(seating.armchair(style, rng), margin=0.2)
    placer.put_anywhere(seating.ottoman(style, rng), margin=0.12)
    _rug(placer, style, rng, bed)
    _hangings(placer, style, rng, (2, 4))
    _odds_and_ends(placer, style, rng)


def _rug(placer: Placer, style: Style, rng: Generator, near: Item | None) -> None:
    """Under whatever stands there: a rug is thin enough to be walked and stood on."""
    rug = decor.rug(style, rng)
    low, high = placer.plan.corners.min(axis=0), placer.plan.corners.max(axis=0)
    for _ in range(20):
        x, y = rng.uniform(low + 0.6, high - 0.6) if near is None else np.array(near.position[:2]) + rng.normal(0, 0.5, 2)
        if placer.put(rug, float(x), float(y), float(rng.normal(0, 12)), ignore=placer.items) is not None:
            return


def _live(placer: Placer, style: Style, rng: Generator) -> None:
    couch = None
    for _ in range(5):
        couch = couch or placer.put_at_wall(seating.couch(style, rng), gap=float(rng.uniform(0.05, 0.4)), skew=5)
    if couch is not None:
        inner = couch.tops[0].x
        for k in range(int(rng.integers(2, 5))):
            pillow = seating.pillow(style, rng)
            upright = replace(pillow, mesh=pillow.mesh.tilted(106 + rng.uniform(-4, 6)))
            placer.put_on(couch, upright, yaw=rng.uniform(-14, 14), at=((0, 1, 0.3, 0.7)[k % 4], 0.3))
        reach = float(couch.claim.half[1]) if couch.claim is not None else 0.45
        table = placer.put_near(couch, tables.coffee_table(style, rng), rng.uniform(-0.15, 0.15), reach + 0.72, rng.normal(0, 4))
        _on_surfaces(placer, style, rng, [table], (2, 4))
        _rug(placer, style, rng, table or couch)
        side = tables.end_table(style, rng)
        for direction in (-1, 1):
            end = placer.put_near(couch, side, direction * (inner[1] + 0.52), -0.1, rng.normal(0, 5))
            placer.put_on(end, decor.table_lamp(style, rng), at=(0.5, 0.5))
    stand = placer.put_at_wall(tables.tv_stand(style, rng), skew=1.0)
    placer.put_on(stand, decor.tv(style, rng), yaw=0.0, at=(0.5, 0.4))
    model = seating.armchair(style, rng)
    for _ in _several(rng, 1, 2):
        if couch is None or placer.put_near(couch, model, rng.choice([-1.5, 1.5]), rng.uniform(1.3, 1.9), 180 + rng.uniform(-50, 50)) is None:
            placer.put_anywhere(model, margin=0.15)
    for _ in _several(rng, 1, 2):
        placer.put_at_wall(storage.bookshelf(style, rng), skew=0.8)
    cupboard = placer.put_at_wall(storage.cabinet(style, rng), skew=1.0)
    _on_surfaces(placer, style, rng, [cupboard], (2, 4))
    placer.put_at_wall(decor.floor_lamp(style, rng), skew=20)
    placer.put_anywhere(seating.ottoman(style, rng), margin=0.15)
    if placer.plan.area > 20:
        table = placer.put_anywhere(tables.dining_table(style, rng), margin=0.45)
        _chairs_around(placer, rng, table, seating.chair(style, rng))
        _on_surfaces(placer, style, rng, [table], (1, 3))
    placer.hang(decor.clock(style, rng), (1.7, 1.9))
    _hangings(placer, style, rng, (3, 5))
    _odds_and_ends(placer, style, rng)


def _work(placer: Placer, style: Style, rng: Generator) -> None:
    seat = seating.office_chair(style, rng)
    placer.hang(decor.whiteboard(style, rng), (0.9, 1.0))
    for _ in range(max(2, int(placer.plan.area / 6))):
        _work_place(placer, style, rng, seat, placer.put_at_wall(tables.desk(style, rng), skew=2.5))
    if placer.plan.area > 15:
        table = placer.put_anywhere(tables.dining_table(style, rng), margin=0.5)
        _chairs_around(placer, rng, table, seating.chair(style, rng))
        _on_surfaces(placer, style, rng, [table], (1, 3))
    for _ in _several(rng, 1, 3):
        placer.put_at_wall(storage.bookshelf(style, rng), skew=0.8)
    for _ in _several(rng, 1, 3):
        item = placer.put_at_wall(tables.file_cabinet(style, rng), skew=1.0)
        _on_surfaces(placer, style, rng, [item], (0, 1))
    for _ in _several(rng, 1, 2):
        placer.put_anywhere(seat if rng.random() < 0.5 else seating.stool(style, rng), margin=0.05)
    if rng.random() < 0.5:
        placer.put_at_wall(seating.couch(style, rng), skew=2.0)
    placer.put_at_wall(decor.trash_can(style, rng), skew=10)
    placer.hang(decor.clock(style, rng), (1.8, 2.0))
    _hangings(placer, style, rng, (1, 3))
    _odds_and_ends(placer, style, rng)


def _cook(placer: Placer, style: Style, rng: Generator) -> None:
    plan = placer.plan
    walls = sorted(range(len(plan.corners)), key=plan.wall_length, reverse=True)
    done: list[Item] = []
    width = float(rng.uniform(1.8, 2.6))
    for attempt in range(12):
        if done:
            break
        models = storage.kitchen_run(style, rng, width, with_sink=True)
        base = placer.put_at_wall(models[0], walls=[walls[attempt % len(walls)]], skew=0.0, gap=0.0)
        if base is not None:
            done = [base]
            for model in models[1:]:
                top = placer.put(model, base.position[0], base.position[1], base.yaw, fitted=True)
                if top is not None:
                    done.append(top)
            side = 1 if rng.random() < 0.5 else -1
            for model, away in ((storage.stove(style, rng), side * 0.32), (storage.refrigerator(style, rng), -side * 0.42)):
                x = float(np.sign(away)) * width / 2 + away
                if placer.put_near(base, model, x, 0.03, 0.0) is None and placer.put_near(base, model, -x, 0.03, 0.0) is None:
                    placer.put_at_wall(model, skew=0.0)
            counter = next((i for i in done if i.label == "counter"), None)
            placer.put_on(counter, storage.microwave(style, rng), yaw=0.0, at=(0.95, 0.3))
            _on_surfaces(placer, style, rng, [counter], (2, 4))
            above = storage.wall_cabinet(style, rng, width)
            placer.put_near(base, above, 0.0, -0.13, 0.0, z=1.42)
        if attempt % len(walls) == len(walls) - 1:
            width = max(1.2, width * 0.8)
    if not done:
        placer.put_at_wall(storage.refrigerator(style, rng), skew=0.0)
    table = None
    for _ in range(4):
        table = table or placer.put_anywhere(tables.dining_table(style, rng), margin=0.4, yaw=float(rng.choice([0, 90])))
    _chairs_around(placer, rng, table, seating.chair(style, rng))
    _on_surfaces(placer, style, rng, [table], (3, 6))
    stool = seating.stool(style, rng)
    for _ in _several(rng, 1, 3):
        placer.put_anywhere(stool)
    cupboard = placer.put_at_wall(storage.cabinet(style, rng), skew=0.8)
    _on_surfaces(placer, style, rng, [cupboard], (2, 4))
    placer.hang(decor.towel(style, rng), (0.85, 1.0))
    placer.hang(decor.clock(style, rng), (1.7, 1.9))
    placer.put_at_wall(decor.trash_can(style, rng), skew=10)
    _hangings(placer, style, rng, (1, 3))
    _odds_and_ends(placer, style, rng)


def _teach(placer: Placer, style: Style, rng: Generator) -> None:
    plan = placer.plan
    front = int(np.argmax([plan.wall_length(w) for w in range(len(plan.corners))]))
    board = decor.whiteboard(style, rng)
    if placer.hang(board, (0.9, 0.95), walls=[front]) is None:
        placer.hang(board, (0.9, 0.95))
    table, chair = tables.school_table(style, rng), seating.chair(style, rng)
    low, high = plan.corners.min(axis=0), plan.corners.max(axis=0)
    across = 0 if high[0] - low[0] > high[1] - low[1] else 1
    columns = max(1, int((high[across] - low[across] - 1.3) / 1.75))
    rows = max(1, int((high[1 - across] - low[1 - across] - 2.0) / 1.45))
    for i in range(columns):
        for j in range(rows):
            spot = np.zeros(2)
            spot[across] = low[across] + (high[across] - low[across]) * (i + 0.5) / columns + rng.normal(0, 0.06)
            spot[1 - across] = low[1 - across] + 1.1 + j * 1.45 + rng.normal(0, 0.06)
            item = placer.put(table, float(spot[0]), float(spot[1]), (0.0 if across == 0 else -90.0) + rng.normal(0, 5), margin=0.1)
            _chairs_around(placer, rng, item, chair, sides=(1,), ends=False)
            _on_surfaces(placer, style, rng, [item], (0, 2))
            if rng.random() < 0.25:
                placer.put_on(item, decor.laptop(style, rng), yaw=0.0)
    _work_place(placer, style, rng, seating.office_chair(style, rng), placer.put_at_wall(tables.desk(style, rng), skew=3))
    for _ in _several(rng, 1, 2):
        placer.put_at_wall(storage.bookshelf(style, rng), skew=0.8)
    placer.put_at_wall(storage.cabinet(style, rng), skew=0.8)
    for _ in _several(rng, 1, 3):
        placer.put_anywhere(decor.backpack(style, rng))
    placer.hang(decor.clock(style, rng), (1.9, 2.05))
    _hangings(placer, style, rng, (2, 4))
    _odds_and_ends(placer, style, rng)


def _wash(placer: Placer, style: Style, rng: Generator) -> None:
    placer.put_at_wall(storage.bathtub(style, rng), skew=0.0, gap=0.0)
    placer.put_at_wall(storage.toilet(style, rng), skew=0.0, gap=0.0)
    placer.put_at_wall(storage.washbasin(style, rng), skew=0.0, gap=0.0)
    placer.hang(decor.mirror(style, rng), (1.1, 1.2))
    for _ in _several(rng, 1, 2):
        placer.hang(decor.towel(style, rng), (0.75, 0.95))
    cupboard = placer.put_at_wall(storage.cabinet(style, rng), skew=0.5)
    _on_surfaces(placer, style, rng, [cupboard], (2, 4))
    placer.put_at_wall(storage.wardrobe(style, rng), skew=0.5)
    placer.put_anywhere(seating.stool(style, rng))
    placer.put_at_wall(decor.trash_can(style, rng), skew=10)
    placer.put_anywhere(decor.rug(style, rng), margin=0.0)
    _hangings(placer, style, rng, (0, 2))
    _odds_and_ends(placer, style, rng)


KINDS: tuple[RoomKind, ...] = (
    RoomKind(
        scene_type="Bedroom / Hotel", furnish=_sleep,
        shell=RoomStyle(size=((3.8, 5.2), (3.6, 4.8)), floors=("planks", "carpet"), windows=(1, 1), curtains=0.9),
    ),
    RoomKind(
        scene_type="Living room / Lounge", furnish=_live,
        shell=RoomStyle(size=((4.6, 6.6), (4.2, 5.4)), floors=("planks", "planks", "carpet"), windows=(1, 2), curtains=0.8),
    ),
    RoomKind(
        scene_type="Office", furnish=_work,
        shell=RoomStyle(size=((4.2, 6.2), (3.8, 5.2)), floors=("carpet", "planks"), windows=(1, 2), curtains=0.5, feature_wall=0.2),
    ),
    RoomKind(
        scene_type="Kitchen", furnish=_cook, fitted=True,
        shell=RoomStyle(size=((4.2, 5.8), (3.8, 5.0)), floors=("tiles", "planks"), windows=(1, 1), curtains=0.4),
    ),
    RoomKind(
        scene_type="Classroom", furnish=_teach,
        shell=RoomStyle(size=((5.8, 7.0), (5.0, 6.2)), floors=("tiles", "carpet"), windows=(1, 2), curtains=0.5, feature_wall=0.1),
    ),
    RoomKind(
        scene_type="Bathroom", furnish=_wash,
        shell=RoomStyle(size=((3.5, 4.2), (3.5, 3.9)), floors=("tiles",), windows=(1, 1), curtains=0.3, tiled_walls=True, feature_wall=0.0),
    ),
)  # fmt: skip
"""In the order in which a dataset's scenes take them."""
