"""The distances between the meshes of a scene's objects, as records hold them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MILLIMETRES_PER_METRE = 1000.0
MOST_OBJECTS = 1000
FARTHEST = 1e6  # millimetres


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeshDistances:
    """How far objects are apart, measured between the nearest points of their triangles."""

    object_ids: tuple[int, ...]
    metres: NDArray[np.float64]  # (n, n) symmetric, whole millimetres, NaN where not measured

    def between(self, one: int, other: int) -> float | None:
        """Return the distance of two objects in metres, or ``None`` where it was not measured."""
        if one not in self.object_ids or other not in self.object_ids:
            return None
        distance = float(self.metres[self.object_ids.index(one), self.object_ids.index(other)])
        return distance if distance == distance else None

    def among(self, object_ids: Collection[int]) -> MeshDistances:
        """Return the distances of those objects that are among some."""
        places = [place for place, object_id in enumerate(self.object_ids) if object_id in object_ids]
        kept = tuple(self.object_ids[place] for place in places)
        return MeshDistances(object_ids=kept, metres=self.metres[np.ix_(places, places)])

    def to_fields(self) -> dict[str, Any]:
        """Return plain values, as a record's JSON holds them: each pair once, ``None`` where it was not measured.

        The pairs are those of the first object with each later one, then those of the second, and so on.
        """
        pairs = self.metres[np.triu_indices(len(self.object_ids), 1)] * MILLIMETRES_PER_METRE
        known = [round(value) if value == value else None for value in pairs.tolist()]
        return {"object_ids": list(self.object_ids), "millimetres": known}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> MeshDistances:
        """Read what :meth:`to_fields` wrote.

        Raises:
            KeyError, TypeError, ValueError: a field is missing or of another form.
        """
        object_ids = tuple(int(value) for value in fields["object_ids"])
        pairs = np.array(fields["millimetres"], dtype=np.float64)
        count = len(object_ids)
        if count > MOST_OBJECTS or len(set(object_ids)) < count or pairs.shape != (count * (count - 1) // 2,):
            raise ValueError(f"{len(pairs)} distances do not belong to the pairs of {count} objects")
        if ((pairs < 0) | (pairs > FARTHEST)).any():
            raise ValueError("a distance of two objects is negative, or too large")
        metres = np.full((count, count), np.nan)
        metres[np.triu_indices(count, 1)] = pairs / MILLIMETRES_PER_METRE
        return cls(object_ids=object_ids, metres=np.where(np.isnan(metres), metres.T, metres))
