"""How bedrooms, living rooms, kitchens and bathrooms are furnished."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from gapdata.synthetic import bedroom, decor, devices, seating, storage, tables
from gapdata.synthetic.furnishing import (
    equip_desk,
    hang_pictures,
    lay_rug,
    seat_around,
    several,
    strew_odds_and_ends,
    strew_on,
)
from gapdata.synthetic.placement import Item, Placer
from gapdata.synthetic.style import Style


def furnish_bedroom(placer: Placer, style: Style, rng: Generator) -> None:
    """A bed with nightstands, storage, perhaps a desk and an easy chair."""
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
        for _ in several(rng, 0, 2):
            placer.put_on(bed, seating.pillow(style, rng), top=1)
        stand = tables.nightstand(style, rng)
        for side in (-1, 1):
            y = -1.0 + float(stand.mesh.bounds[1, 1]) - 0.02
            table = placer.put_near(
                bed, stand, side * (high + 0.13 + float(stand.mesh.bounds[1, 0])), y, rng.normal(0, 2)
            )
            if rng.random() < 0.8:
                placer.put_on(table, decor.table_lamp(style, rng), at=(0.5, 0.4))
            strew_on(placer, style, rng, [table], (0, 1))
    placer.put_at_wall(storage.wardrobe(style, rng), skew=0.5)
    chest = placer.put_at_wall(tables.dresser(style, rng), skew=1.0)
    strew_on(placer, style, rng, [chest], (2, 4))
    if rng.random() < 0.6:
        placer.hang(decor.mirror(style, rng), (1.1, 1.3))
    if rng.random() < 0.7:
        equip_desk(
            placer, style, rng, seating.office_chair(style, rng), placer.put_at_wall(tables.desk(style, rng), skew=1.5)
        )
    if rng.random() < 0.6:
        placer.put_at_wall(storage.bookshelf(style, rng), skew=0.8)
    if rng.random() < 0.6:
        placer.put_anywhere(seating.armchair(style, rng), margin=0.2)
    placer.put_anywhere(seating.ottoman(style, rng), margin=0.12)
    lay_rug(placer, style, rng, bed)
    hang_pictures(placer, style, rng, (2, 4))
    strew_odds_and_ends(placer, style, rng)


def furnish_living_room(placer: Placer, style: Style, rng: Generator) -> None:
    """A couch with its table and rug, a television, easy chairs, shelves; a dining table where there is room."""
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
        table = placer.put_near(
            couch, tables.coffee_table(style, rng), rng.uniform(-0.15, 0.15), reach + 0.72, rng.normal(0, 4)
        )
        strew_on(placer, style, rng, [table], (2, 4))
        lay_rug(placer, style, rng, table or couch)
        side = tables.end_table(style, rng)
        for direction in (-1, 1):
            end = placer.put_near(couch, side, direction * (inner[1] + 0.52), -0.1, rng.normal(0, 5))
            placer.put_on(end, decor.table_lamp(style, rng), at=(0.5, 0.5))
    stand = placer.put_at_wall(tables.tv_stand(style, rng), skew=1.0)
    placer.put_on(stand, devices.tv(style, rng), yaw=0.0, at=(0.5, 0.4))
    model = seating.armchair(style, rng)
    for _ in several(rng, 1, 2):
        if (
            couch is None
            or placer.put_near(couch, model, rng.choice([-1.5, 1.5]), rng.uniform(1.3, 1.9), 180 + rng.uniform(-50, 50))
            is None
        ):
            placer.put_anywhere(model, margin=0.15)
    for _ in several(rng, 1, 2):
        placer.put_at_wall(storage.bookshelf(style, rng), skew=0.8)
    cupboard = placer.put_at_wall(storage.cabinet(style, rng), skew=1.0)
    strew_on(placer, style, rng, [cupboard], (2, 4))
    placer.put_at_wall(decor.floor_lamp(style, rng), skew=20)
    placer.put_anywhere(seating.ottoman(style, rng), margin=0.15)
    if placer.plan.area > 20:
        table = placer.put_anywhere(tables.dining_table(style, rng), margin=0.45)
        seat_around(placer, rng, table, seating.chair(style, rng))
        strew_on(placer, style, rng, [table], (1, 3))
    placer.hang(devices.clock(style, rng), (1.7, 1.9))
    hang_pictures(placer, style, rng, (3, 5))
    strew_odds_and_ends(placer, style, rng)


def furnish_kitchen(placer: Placer, style: Style, rng: Generator) -> None:
    """A run of units with sink, cooker and refrigerator, and a table."""
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
            for model, away in (
                (storage.stove(style, rng), side * 0.32),
                (storage.refrigerator(style, rng), -side * 0.42),
            ):
                x = float(np.sign(away)) * width / 2 + away
                if (
                    placer.put_near(base, model, x, 0.03, 0.0) is None
                    and placer.put_near(base, model, -x, 0.03, 0.0) is None
                ):
                    placer.put_at_wall(model, skew=0.0)
            counter = next((i for i in done if i.label == "counter"), None)
            placer.put_on(counter, storage.microwave(style, rng), yaw=0.0, at=(0.95, 0.3))
            strew_on(placer, style, rng, [counter], (2, 4))
            above = storage.wall_cabinet(style, rng, width)
            placer.put_near(base, above, 0.0, -0.13, 0.0, z=1.42)
        if attempt % len(walls) == len(walls) - 1:
            width = max(1.2, width * 0.8)
    if not done:
        placer.put_at_wall(storage.refrigerator(style, rng), skew=0.0)
    table = None
    for _ in range(4):
        table = table or placer.put_anywhere(
            tables.dining_table(style, rng), margin=0.4, yaw=float(rng.choice([0, 90]))
        )
    seat_around(placer, rng, table, seating.chair(style, rng))
    strew_on(placer, style, rng, [table], (3, 6))
    stool = seating.stool(style, rng)
    for _ in several(rng, 1, 3):
        placer.put_anywhere(stool)
    cupboard = placer.put_at_wall(storage.cabinet(style, rng), skew=0.8)
    strew_on(placer, style, rng, [cupboard], (2, 4))
    placer.hang(decor.towel(style, rng), (0.85, 1.0))
    placer.hang(devices.clock(style, rng), (1.7, 1.9))
    placer.put_at_wall(decor.trash_can(style, rng), skew=10)
    hang_pictures(placer, style, rng, (1, 3))
    strew_odds_and_ends(placer, style, rng)


def furnish_bathroom(placer: Placer, style: Style, rng: Generator) -> None:
    """Tub, toilet, basin, mirror and towels."""
    placer.put_at_wall(storage.bathtub(style, rng), skew=0.0, gap=0.0)
    placer.put_at_wall(storage.toilet(style, rng), skew=0.0, gap=0.0)
    placer.put_at_wall(storage.washbasin(style, rng), skew=0.0, gap=0.0)
    placer.hang(decor.mirror(style, rng), (1.1, 1.2))
    for _ in several(rng, 1, 2):
        placer.hang(decor.towel(style, rng), (0.75, 0.95))
    cupboard = placer.put_at_wall(storage.cabinet(style, rng), skew=0.5)
    strew_on(placer, style, rng, [cupboard], (2, 4))
    placer.put_at_wall(storage.wardrobe(style, rng), skew=0.5)
    placer.put_anywhere(seating.stool(style, rng))
    placer.put_at_wall(decor.trash_can(style, rng), skew=10)
    placer.put_anywhere(decor.rug(style, rng), margin=0.0)
    hang_pictures(placer, style, rng, (0, 2))
    strew_odds_and_ends(placer, style, rng)
