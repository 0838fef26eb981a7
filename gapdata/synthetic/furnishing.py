"""Furnish each kind of room: put in the pieces that belong there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gapdata.synthetic import decor, devices, seating, storage, tables
from gapdata.synthetic.placement import Item, Placer
from gapdata.synthetic.style import Model, Style


def furnish_bedroom(room: Placer) -> None:
    """Put in a bed with nightstands, storage, perhaps a desk and an easy chair."""
    style, rng = room.style, room.rng
    bed = _first(6, lambda: room.put_at_wall(seating.bed(style), skew=0.6, gap=0.03))
    if bed is not None:
        _make_bed(room, bed)
    room.put_at_wall(storage.wardrobe(style), skew=0.5)
    _strew(room, room.put_at_wall(tables.dresser(style), skew=1.0), 2, 4)
    if rng.random() < 0.6:
        room.hang(decor.mirror(style), (1.1, 1.3))
    if rng.random() < 0.7:
        _equip_desk(room, seating.office_chair(style), 1.5)
    if rng.random() < 0.6:
        room.put_at_wall(storage.bookshelf(style), skew=0.8)
    if rng.random() < 0.6:
        room.put_anywhere(seating.armchair(style), margin=0.2)
    room.put_anywhere(seating.ottoman(style), margin=0.12)
    _lay_rug(room, bed)
    _hang_pictures(room, 2, 4)
    _strew_odds_and_ends(room)


def _make_bed(room: Placer, bed: Item) -> None:
    """Put pillows on a bed and nightstands beside it."""
    style, rng = room.style, room.rng
    low, high = bed.tops[0].x
    for share in (0.0, 1.0) if high - low > 1.2 else (0.5,):
        room.put_on(bed, _tilted(seating.bed_pillow(style), -rng.uniform(8, 22)), yaw=0.0, at=(share, 0.1))
    for _ in _several(room, 0, 2):
        room.put_on(bed, seating.pillow(style), top=1)
    stand = tables.nightstand(style)
    edge = stand.mesh.bounds[1]
    for side in (-1, 1):
        x, y = side * (high + 0.13 + float(edge[0])), -1.0 + float(edge[1]) - 0.02
        table = room.put_near(bed, stand, x, y, rng.normal(0, 2))
        if rng.random() < 0.8:
            room.put_on(table, decor.table_lamp(style), at=(0.5, 0.4))
        _strew(room, table, 0, 1)


def furnish_living_room(room: Placer) -> None:
    """Put in a couch, a television, easy chairs and shelves, and a dining table where there is room."""
    style, rng = room.style, room.rng
    couch = _first(5, lambda: room.put_at_wall(seating.couch(style), gap=float(rng.uniform(0.05, 0.4)), skew=5))
    if couch is not None:
        _surround_couch(room, couch)
    stand = room.put_at_wall(tables.tv_stand(style), skew=1.0)
    room.put_on(stand, devices.tv(style), yaw=0.0, at=(0.5, 0.4))
    chair = seating.armchair(style)
    for _ in _several(room, 1, 2):
        placed = None
        if couch is not None:
            x, y = rng.choice([-1.5, 1.5]), rng.uniform(1.3, 1.9)
            placed = room.put_near(couch, chair, x, y, 180 + rng.uniform(-50, 50))
        if placed is None:
            room.put_anywhere(chair, margin=0.15)
    for _ in _several(room, 1, 2):
        room.put_at_wall(storage.bookshelf(style), skew=0.8)
    _strew(room, room.put_at_wall(storage.cabinet(style), skew=1.0), 2, 4)
    room.put_at_wall(decor.floor_lamp(style), skew=20)
    room.put_anywhere(seating.ottoman(style), margin=0.15)
    if room.plan.area > 20:
        table = room.put_anywhere(tables.dining_table(style), margin=0.45)
        _seat_around(room, table, seating.chair(style))
        _strew(room, table, 1, 3)
    room.hang(devices.clock(style), (1.7, 1.9))
    _hang_pictures(room, 3, 5)
    _strew_odds_and_ends(room)


def _surround_couch(room: Placer, couch: Item) -> None:
    """Put pillows on a couch, its table and a rug before it, and tables with lamps beside it."""
    style, rng = room.style, room.rng
    for k in range(int(rng.integers(2, 5))):
        upright = _tilted(seating.pillow(style), 106 + rng.uniform(-4, 6))
        room.put_on(couch, upright, yaw=rng.uniform(-14, 14), at=((0, 1, 0.3, 0.7)[k], 0.3))
    reach = float(couch.claim.half[1]) if couch.claim is not None else 0.45
    low = tables.coffee_table(style)
    table = room.put_near(couch, low, rng.uniform(-0.15, 0.15), reach + 0.72, rng.normal(0, 4))
    _strew(room, table, 2, 4)
    _lay_rug(room, table or couch)
    side = tables.end_table(style)
    for direction in (-1, 1):
        end = room.put_near(couch, side, direction * (couch.tops[0].x[1] + 0.52), -0.1, rng.normal(0, 5))
        room.put_on(end, decor.table_lamp(style), at=(0.5, 0.5))


def furnish_kitchen(room: Placer) -> None:
    """Put in a run of units with sink, cooker and refrigerator, and a table."""
    style, rng = room.style, room.rng
    _fit_units(room)
    table = _first(4, lambda: room.put_anywhere(tables.dining_table(style), margin=0.4, yaw=float(rng.choice([0, 90]))))
    _seat_around(room, table, seating.chair(style))
    _strew(room, table, 3, 6)
    stool = seating.stool(style)
    for _ in _several(room, 1, 3):
        room.put_anywhere(stool)
    _strew(room, room.put_at_wall(storage.cabinet(style), skew=0.8), 2, 4)
    room.hang(decor.towel(style), (0.85, 1.0))
    room.hang(devices.clock(style), (1.7, 1.9))
    room.put_at_wall(decor.trash_can(style), skew=10)
    _hang_pictures(room, 1, 3)
    _strew_odds_and_ends(room)


def _fit_units(room: Placer) -> None:
    """Put units along a wall, the longest first and shorter units where they fit none."""
    style, plan = room.style, room.plan
    walls = sorted(range(len(plan.corners)), key=plan.wall_length, reverse=True)
    width = float(room.rng.uniform(1.8, 2.6))
    for attempt in range(12):
        models = storage.kitchen_run(style, width)
        base = room.put_at_wall(models[0], walls=[walls[attempt % len(walls)]], skew=0.0, gap=0.0)
        if base is not None:
            _equip_units(room, base, models[1:], width)
            return
        if attempt % len(walls) == len(walls) - 1:
            width = max(1.2, width * 0.8)
    room.put_at_wall(storage.refrigerator(style), skew=0.0)


def _equip_units(room: Placer, base: Item, fitted: list[Model], width: float) -> None:
    """Put counter and sink on kitchen units, cooker and refrigerator beside them, and a cabinet above."""
    style, rng = room.style, room.rng
    counter, _ = [room.put(model, *base.position[:2], base.yaw, fitted=True) for model in fitted]
    side = 1 if rng.random() < 0.5 else -1
    for model, away in ((storage.stove(style), side * 0.32), (storage.refrigerator(style), -side * 0.42)):
        x = float(np.sign(away)) * width / 2 + away
        if room.put_near(base, model, x, 0.03, 0.0) is None and room.put_near(base, model, -x, 0.03, 0.0) is None:
            room.put_at_wall(model, skew=0.0)
    room.put_on(counter, storage.microwave(style), yaw=0.0, at=(0.95, 0.3))
    _strew(room, counter, 2, 4)
    room.put_near(base, storage.wall_cabinet(style, width), 0.0, -0.13, 0.0, z=1.42)


def furnish_bathroom(room: Placer) -> None:
    """Put in tub, toilet, basin, mirror and towels."""
    style = room.style
    for make in (storage.bathtub, storage.toilet, storage.washbasin):
        room.put_at_wall(make(style), skew=0.0, gap=0.0)
    room.hang(decor.mirror(style), (1.1, 1.2))
    for _ in _several(room, 1, 2):
        room.hang(decor.towel(style), (0.75, 0.95))
    _strew(room, room.put_at_wall(storage.cabinet(style), skew=0.5), 2, 4)
    room.put_at_wall(storage.wardrobe(style), skew=0.5)
    room.put_anywhere(seating.stool(style))
    room.put_at_wall(decor.trash_can(style), skew=10)
    room.put_anywhere(decor.rug(style), margin=0.0)
    _hang_pictures(room, 0, 2)
    _strew_odds_and_ends(room)


def furnish_office(room: Placer) -> None:
    """Put in desks with their equipment along the walls, a meeting table, shelves and files."""
    style, rng = room.style, room.rng
    seat = seating.office_chair(style)
    room.hang(decor.whiteboard(style), (0.9, 1.0))
    for _ in range(max(2, int(room.plan.area / 6))):
        _equip_desk(room, seat, 2.5)
    if room.plan.area > 15:
        table = room.put_anywhere(tables.dining_table(style), margin=0.5)
        _seat_around(room, table, seating.chair(style))
        _strew(room, table, 1, 3)
    for _ in _several(room, 1, 3):
        room.put_at_wall(storage.bookshelf(style), skew=0.8)
    for _ in _several(room, 1, 3):
        _strew(room, room.put_at_wall(tables.file_cabinet(style), skew=1.0), 0, 1)
    for _ in _several(room, 1, 2):
        room.put_anywhere(seat if rng.random() < 0.5 else seating.stool(style))
    if rng.random() < 0.5:
        room.put_at_wall(seating.couch(style), skew=2.0)
    room.put_at_wall(decor.trash_can(style), skew=10)
    room.hang(devices.clock(style), (1.8, 2.0))
    _hang_pictures(room, 1, 3)
    _strew_odds_and_ends(room)


def furnish_classroom(room: Placer) -> None:
    """Put in rows of tables with their chairs before a whiteboard, and a teacher's desk."""
    style, rng, plan = room.style, room.rng, room.plan
    front = int(np.argmax([plan.wall_length(w) for w in range(len(plan.corners))]))
    board = decor.whiteboard(style)
    if room.hang(board, (0.9, 0.95), walls=[front]) is None:
        room.hang(board, (0.9, 0.95))
    table, chair = tables.school_table(style), seating.chair(style)
    low, high = plan.bounds
    across = 0 if high[0] - low[0] > high[1] - low[1] else 1
    columns = max(1, int((high[across] - low[across] - 1.3) / 1.75))
    rows = max(1, int((high[1 - across] - low[1 - across] - 2.0) / 1.45))
    for i in range(columns):
        for j in range(rows):
            spot = np.zeros(2)
            spot[across] = low[across] + (high[across] - low[across]) * (i + 0.5) / columns + rng.normal(0, 0.06)
            spot[1 - across] = low[1 - across] + 1.1 + j * 1.45 + rng.normal(0, 0.06)
            yaw = (0.0 if across == 0 else -90.0) + rng.normal(0, 5)
            item = room.put(table, float(spot[0]), float(spot[1]), yaw, margin=0.1)
            _seat_around(room, item, chair, sides=(1,), ends=False)
            _strew(room, item, 0, 2)
            if rng.random() < 0.25:
                room.put_on(item, devices.laptop(style), yaw=0.0)
    _equip_desk(room, seating.office_chair(style), 3)
    for _ in _several(room, 1, 2):
        room.put_at_wall(storage.bookshelf(style), skew=0.8)
    room.put_at_wall(storage.cabinet(style), skew=0.8)
    for _ in _several(room, 1, 3):
        room.put_anywhere(decor.backpack(style))
    room.hang(devices.clock(style), (1.9, 2.05))
    _hang_pictures(room, 2, 4)
    _strew_odds_and_ends(room)


def _first(tries: int, place: Callable[[], Item | None]) -> Item | None:
    """Return the first of several pieces that finds a place."""
    return next((item for _ in range(tries) if (item := place()) is not None), None)


def _several(room: Placer, low: int, high: int) -> range:
    """Return a random number of rounds, both bounds included."""
    return range(int(room.rng.integers(low, high + 1)))


def _tilted(model: Model, degrees: float) -> Model:
    return replace(model, mesh=model.mesh.tilted(degrees))


def _hang_pictures(room: Placer, low: int, high: int) -> None:
    """Hang a few pictures at eye level."""
    for _ in _several(room, low, high):
        room.hang(decor.picture(room.style), (1.15, 1.5))


def _strew_odds_and_ends(room: Placer) -> None:
    """Put in the small things that are left about in any room."""
    things: tuple[tuple[Callable[[Style], Model], float], ...] = (
        *((decor.trash_can, 0.8), (decor.plant, 0.75), (decor.plant, 0.4)),
        *((decor.carton, 0.6), (decor.carton, 0.35), (decor.backpack, 0.6)),
    )
    for make, chance in things:
        if room.rng.random() < chance:
            model = make(room.style)
            if room.put_at_wall(model, skew=18, gap=0.05) is None:
                room.put_anywhere(model)


def _strew(room: Placer, item: Item | None, low: int, high: int) -> None:
    """Put a few small things on an item."""
    for _ in _several(room, low, high):
        make = room.style.pick((decor.books, decor.cup, decor.vase_on_table, decor.bottle, decor.books))
        room.put_on(item, make(room.style))


def _equip_desk(room: Placer, seat: Model, skew: float) -> None:
    """Put a desk at a wall, its equipment on it and a chair before it."""
    style, rng = room.style, room.rng
    desk = room.put_at_wall(tables.desk(style), skew=skew)
    if desk is None:
        return
    level = desk.tops[0]
    if rng.random() < 0.75:
        screen = devices.monitor(style)
        side = rng.uniform(0.3, 0.6)
        room.put_on(desk, screen, yaw=rng.uniform(-12, 12), at=(side, 0.15))
        room.put_on(desk, devices.keyboard(style), yaw=0.0, at=(side, 0.9))
        if rng.random() < 0.3:
            room.put_on(desk, devices.monitor(style), yaw=rng.uniform(10, 25), at=(1.0, 0.2))
        if rng.random() < 0.7:
            tower = devices.computer_tower(style)
            spot = level.x[1] + 0.20 if rng.random() < 0.5 else level.x[0] - 0.20
            room.put_near(desk, tower, spot, 0.0, rng.uniform(-5, 5))
    else:
        room.put_on(desk, devices.laptop(style), yaw=rng.uniform(-15, 15), at=(rng.uniform(0.3, 0.7), 0.8))
    if rng.random() < 0.6:
        room.put_on(desk, decor.desk_lamp(style), at=(rng.choice([0.12, 0.88]), 0.2))
    _strew(room, desk, 1, 3)
    for distance in (0.28, 0.40, 0.55):
        offset = level.y[1] + distance + rng.uniform(0, 0.12)
        if room.put_near(desk, seat, rng.uniform(-0.15, 0.15), offset, 180 + rng.uniform(-40, 40)):
            return


def _seat_around(
    room: Placer, table: Item | None, chair: Model, *, sides: tuple[int, ...] = (1, -1), ends: bool = True
) -> None:
    """Put chairs at a table, pushed in more or less, each turned a little."""
    if table is None:
        return
    rng = room.rng
    low, high = table.tops[0].x
    edge, end = (float(table.claim.half[1]), float(table.claim.half[0])) if table.claim else (table.tops[0].y[1], high)
    # Corner legs stay clear of the chairs' feet.
    low, high = low + 0.12, high - 0.12
    depth = float(chair.mesh.bounds[1, 1] - chair.mesh.bounds[0, 1])
    places = max(1, int((high - low) / 0.54))
    for side in sides:
        for k in range(places):
            x = low + (high - low) * (k + 0.5) / places + rng.uniform(-0.03, 0.03)
            out = edge + depth / 2 - rng.uniform(0.02, 0.20) + (0.25 if rng.random() < 0.2 else 0.0)
            yaw = (180 if side > 0 else 0) + rng.normal(0, 9)
            room.put_near(table, chair, x, side * out, yaw, under=True)
    if ends and high - low > 0.8:
        for side in (-1, 1):
            if rng.random() < 0.5:
                room.put_near(table, chair, side * (end + depth / 2 + 0.02), 0.0, 90 * side + rng.normal(0, 12))


def _lay_rug(room: Placer, near: Item | None) -> None:
    """Lay a rug under what stands there: it is thin enough to be walked and stood on."""
    rng, rug = room.rng, decor.rug(room.style)
    low, high = room.plan.bounds
    for _ in range(20):
        if near is None:
            x, y = rng.uniform(low + 0.6, high - 0.6)
        else:
            x, y = np.array(near.position[:2]) + rng.normal(0, 0.5, 2)
        if room.put(rug, float(x), float(y), float(rng.normal(0, 12)), ignore=room.items) is not None:
            return
