"""Nine numbers of a text and the box that they mean: centre and full size in metres, three angles in radians.

Nine numbers do not make a box without an Euler convention (:mod:`gapdata.geometry.boxes`), so every function that goes
from one to the other asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gapdata.geometry.boxes import EulerConvention, OrientedBox, euler_from_rotation, rotation_from_euler
from gapdata.tasks.chat import finite_numbers

DECIMALS = 2
"""All published answers round metres and radians to two decimals, with Python's ``round`` (``-0.0`` stays)."""
BOX_KEYS = ("bbox_3d", "box_3d")


def nine_numbers(box: OrientedBox, convention: EulerConvention) -> tuple[float, ...]:
    """Return a box as nine numbers (9,), unrounded."""
    angles = euler_from_rotation(box.rotation, convention)
    return tuple(float(value) for value in (*box.center, *box.size, *angles))


def box_of(values: Sequence[float], convention: EulerConvention) -> OrientedBox:
    """Return the box that nine numbers mean."""
    return OrientedBox(
        center=np.array(values[:3], dtype=np.float64),
        size=np.array(values[3:6], dtype=np.float64),
        rotation=rotation_from_euler(np.array(values[6:9], dtype=np.float64), convention),
    )


def rounded(values: Sequence[float]) -> list[float]:
    """Return the numbers as a text carries them."""
    return [round(float(value), DECIMALS) for value in values]


def read_box(entry: dict[str, Any]) -> tuple[float, ...] | None:
    """Return the nine numbers (9,) of an answer's entry, or ``None`` where they are not finite or a size is negative.

    They are asked for as a list. Groups (centre, size and angles apart) and a dictionary of numbers or groups are
    read in the order in which they are written. A size of 0 is what rounding leaves of a thin object.
    """
    value = next((entry[key] for key in BOX_KEYS if key in entry), None)
    values = finite_numbers(_flat(value), 9)
    return None if values is None or min(values[3:6]) < 0 else values


def _flat(value: Any) -> list[Any]:
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [item for part in parts for item in (part if isinstance(part, list) else [part])]
