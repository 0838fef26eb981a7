"""What rooms of several kinds share: seats at tables, equipped desks, pictures, rugs and small things lying about."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from gapdata.synthetic import decor, devices
from gapdata.synthetic.placement import Item, Placer
from gapdata.synthetic.style import Model, Style


def several(rng: Generator, low: int, high: int) -> range:
    """As many rounds as a random number of both bounds included."""
    return range(int(rng.integers(low, high + 1)))


def hang_pictures(placer: Placer, style: Style, rng: Generator, count: tuple[int, int]) -> None:
    """A few pictures at eye level."""
    for _ in several(rng, *count):
        placer.hang(decor.picture(style, rng), (1.15, 1.5))


def strew_odds_and_ends(placer: Placer, style: Style, rng: Generator) -> None:
    """What lies about in any room."""
    for make, chance in (
        (decor.trash_can, 0.8),
        (decor.plant, 0.75),
        (decor.plant, 0.4),
        (decor.carton, 0.6),
        (decor.carton, 0.35),
        (decor.backpack, 0.6),
    ):
        if rng.random() < chance:
            model = make(style, rng)
            if placer.put_at_wall(model, skew=18, gap=0.05) is None:
                placer.put_anywhere(model)


def strew_on(placer: Placer, style: Style, rng: Generator, items: list[Item | None], count: tuple[int, int]) -> None:
    """Small things on tops, ``count`` of them on each."""
    small = (decor.books, decor.cup, decor.vase_on_table, decor.bottle, decor.books)
    for item in items:
        for _ in several(rng, *count):
            placer.put_on(item, small[int(rng.integers(len(small)))](style, rng))


def equip_desk(placer: Placer, style: Style, rng: Generator, seat: Model, desk: Item | None) -> None:
    """A desk's equipment and its chair."""
    if desk is None:
        return
    level = desk.tops[0]
    if rng.random() < 0.75:
        screen = devices.monitor(style, rng)
        side = rng.uniform(0.3, 0.6)
        placer.put_on(desk, screen, yaw=rng.uniform(-12, 12), at=(side, 0.15))
        placer.put_on(desk, devices.keyboard(style, rng), yaw=0.0, at=(side, 0.9))
        if rng.random() < 0.3:
            placer.put_on(desk, devices.monitor(style, rng), yaw=rng.uniform(10, 25), at=(1.0, 0.2))
        if rng.random() < 0.7:
            tower = devices.computer_tower(style, rng)
            spot = level.x[1] + 0.20 if rng.random() < 0.5 else level.x[0] - 0.20
            placer.put_near(desk, tower, spot, 0.0, rng.uniform(-5, 5))
    else:
        placer.put_on(desk, devices.laptop(style, rng), yaw=rng.uniform(-15, 15), at=(rng.uniform(0.3, 0.7), 0.8))
    if rng.random() < 0.6:
        placer.put_on(desk, decor.desk_lamp(style, rng), at=(rng.choice([0.12, 0.88]), 0.2))
    strew_on(placer, style, rng, [desk], (1, 3))
    for distance in (0.28, 0.40, 0.55):
        offset = level.y[1] + distance + rng.uniform(0, 0.12)
        if placer.put_near(desk, seat, rng.uniform(-0.15, 0.15), offset, 180 + rng.uniform(-40, 40)):
            return


def seat_around(
    placer: Placer,
    rng: Generator,
    table: Item | None,
    chair: Model,
    *,
    sides: tuple[int, ...] = (1, -1),
    ends: bool = True,
) -> None:
    """Chairs at a table, pushed in more or less, each turned a little."""
    if table is None:
        return
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
            placer.put_near(table, chair, x, side * out, yaw, under=True)
    if ends and high - low > 0.8:
        for side in (-1, 1):
            if rng.random() < 0.5:
                placer.put_near(
                    table, chair, side * (end + depth / 2 + 0.02), 0.0, 90 * side + rng.normal(0, 12), under=False
                )


def lay_rug(placer: Placer, style: Style, rng: Generator, near: Item | None) -> None:
    """Under whatever stands there: a rug is thin enough to be walked and stood on."""
    rug = decor.rug(style, rng)
    low, high = placer.plan.corners.min(axis=0), placer.plan.corners.max(axis=0)
    for _ in range(20):
        x, y = (
            rng.uniform(low + 0.6, high - 0.6) if near is None else np.array(near.position[:2]) + rng.normal(0, 0.5, 2)
        )
        if placer.put(rug, float(x), float(y), float(rng.normal(0, 12)), ignore=placer.items) is not None:
            return
