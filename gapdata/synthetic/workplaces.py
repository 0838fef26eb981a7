"""How offices and classrooms are furnished."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from gapdata.synthetic import decor, devices, seating, storage, tables
from gapdata.synthetic.furnishing import (
    equip_desk,
    hang_pictures,
    seat_around,
    several,
    strew_odds_and_ends,
    strew_on,
)
from gapdata.synthetic.placement import Placer
from gapdata.synthetic.style import Style


def furnish_office(placer: Placer, style: Style, rng: Generator) -> None:
    """Desks with their equipment along the walls, a meeting table, shelves and files."""
    seat = seating.office_chair(style, rng)
    placer.hang(decor.whiteboard(style, rng), (0.9, 1.0))
    for _ in range(max(2, int(placer.plan.area / 6))):
        equip_desk(placer, style, rng, seat, placer.put_at_wall(tables.desk(style, rng), skew=2.5))
    if placer.plan.area > 15:
        table = placer.put_anywhere(tables.dining_table(style, rng), margin=0.5)
        seat_around(placer, rng, table, seating.chair(style, rng))
        strew_on(placer, style, rng, [table], (1, 3))
    for _ in several(rng, 1, 3):
        placer.put_at_wall(storage.bookshelf(style, rng), skew=0.8)
    for _ in several(rng, 1, 3):
        item = placer.put_at_wall(tables.file_cabinet(style, rng), skew=1.0)
        strew_on(placer, style, rng, [item], (0, 1))
    for _ in several(rng, 1, 2):
        placer.put_anywhere(seat if rng.random() < 0.5 else seating.stool(style, rng), margin=0.05)
    if rng.random() < 0.5:
        placer.put_at_wall(seating.couch(style, rng), skew=2.0)
    placer.put_at_wall(decor.trash_can(style, rng), skew=10)
    placer.hang(devices.clock(style, rng), (1.8, 2.0))
    hang_pictures(placer, style, rng, (1, 3))
    strew_odds_and_ends(placer, style, rng)


def furnish_classroom(placer: Placer, style: Style, rng: Generator) -> None:
    """Rows of tables with their chairs before a whiteboard, and a teacher's desk."""
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
            item = placer.put(
                table, float(spot[0]), float(spot[1]), (0.0 if across == 0 else -90.0) + rng.normal(0, 5), margin=0.1
            )
            seat_around(placer, rng, item, chair, sides=(1,), ends=False)
            strew_on(placer, style, rng, [item], (0, 2))
            if rng.random() < 0.25:
                placer.put_on(item, devices.laptop(style, rng), yaw=0.0)
    equip_desk(
        placer, style, rng, seating.office_chair(style, rng), placer.put_at_wall(tables.desk(style, rng), skew=3)
    )
    for _ in several(rng, 1, 2):
        placer.put_at_wall(storage.bookshelf(style, rng), skew=0.8)
    placer.put_at_wall(storage.cabinet(style, rng), skew=0.8)
    for _ in several(rng, 1, 3):
        placer.put_anywhere(decor.backpack(style, rng))
    placer.hang(devices.clock(style, rng), (1.9, 2.05))
    hang_pictures(placer, style, rng, (2, 4))
    strew_odds_and_ends(placer, style, rng)
