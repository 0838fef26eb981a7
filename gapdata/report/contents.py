"""The content of a build's small files (plan, report and index), and the choice of records that are worth a look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.engine.plan import Plan, read_plan
from gapdata.engine.report import REPORT_NAME, read_report
from gapdata.errors import ShardError, UsageError
from gapdata.files.storage import Location, absolute
from gapdata.report.figures import FIGURES, Figure
from gapdata.shards.index import read_index

COUNTS = ("prompts", "objects")
REPORTED = (
    *("shards", "bytes", "scenes", "frames", "records", "prompts", "records_by_split", "records_by_view"),
    *("scenes_without_annotation", "scenes_unaligned", "descriptions_unaligned", "suspects", "notes"),
    *("prompts_by_label", "losses", "quarantined", "fingerprint"),
)
"""The fields that are read of ``report.json``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BuildContents:
    """A finished build without its tars."""

    name: str
    plan: Plan
    report: dict[str, Any]
    rows: Any
    """The text columns of the index (key, scene_id, split, view, frame_ids), a ``pyarrow.Table`` of N rows."""
    columns: dict[str, NDArray[np.float64]]
    """(N,) each: the counts, ``frames``, ``bytes``, and the quality figures, NaN where one was not measured."""

    def __len__(self) -> int:
        """Return the number of records."""
        return int(self.rows.num_rows)

    def text(self, column: str, first: int | None = None) -> list[Any]:
        """Return a text column, of all or of the ``first`` records."""
        return list(self.rows.column(column).slice(0, first).to_pylist())


def read_contents(build: Location) -> BuildContents:
    """Read plan, report and index.

    Raises:
        UsageError: the place does not hold a finished build of this engine version.
        ShardError: one of the files is damaged.
    """
    if not build.exists():
        raise UsageError("does not exist", path=build, cure="give the directory of a build")
    plan, report, index = read_plan(build), read_report(build), read_index(build)
    lacking = [name for name in REPORTED if name not in report]
    if lacking:
        raise ShardError(f"lacks {', '.join(lacking)}", path=build / REPORT_NAME, cure="run build-shards again")
    place = absolute(build)
    columns = {name: _floats(index, name) for name in (*COUNTS, *(figure.name for figure in FIGURES))}
    columns["frames"] = _lengths(index, "frame_ids")
    columns["bytes"] = _sums(index, "members", "size")
    return BuildContents(
        name=(place.resolve() if isinstance(place, Path) else place).name,
        plan=plan,
        report=report,
        rows=index.select(["key", "scene_id", "split", "view", "frame_ids"]),
        columns=columns,
    )


def spread(count: int, wanted: int) -> list[int]:
    """Return at most ``wanted`` of ``count`` positions, evenly spread."""
    return sorted(set(np.linspace(0, count - 1, min(count, wanted)).round().astype(int).tolist())) if count else []


def chosen_views(kinds: list[str], wanted: int) -> list[int]:
    """Return at most ``wanted`` positions, evenly spread over the records of each kind of view.

    Each kind gets its share, but at least one while there is room.
    """
    positions = {kind: [at for at, other in enumerate(kinds) if other == kind] for kind in sorted(set(kinds))}
    rare_first = sorted(positions, key=lambda kind: len(positions[kind]))
    chosen: list[int] = []
    remaining = len(kinds)
    for kind in rare_first:
        room, members = wanted - len(chosen), positions[kind]
        share = min(room, len(members), max(1, round(room * len(members) / remaining)))
        chosen += [members[at] for at in spread(len(members), share)]
        remaining -= len(members)
    return sorted(chosen)


def worst_views(values: NDArray[np.float64], figure: Figure, count: int) -> list[int]:
    """Return the positions of the ``count`` views with the worst values, worst first; NaN is left out."""
    known = np.flatnonzero(np.isfinite(values))
    order = np.argsort(-values[known] if figure.worst_is_high else values[known], kind="stable")
    return [int(at) for at in known[order[:count]]]


def _floats(index: Any, name: str) -> NDArray[np.float64]:
    import pyarrow as pa

    return np.asarray(index.column(name).cast(pa.float64()).to_numpy(), dtype=np.float64)


def _lengths(index: Any, name: str) -> NDArray[np.float64]:
    import pyarrow.compute as pc

    return np.asarray(pc.list_value_length(index.column(name)).to_numpy(), dtype=np.float64)


def _sums(index: Any, name: str, field: str) -> NDArray[np.float64]:
    """Return (N,) the sum of one field over the entries of each row's list."""
    column = index.column(name).combine_chunks()
    totals = np.concatenate([[0], np.cumsum(column.values.field(field).to_numpy(zero_copy_only=False))])
    ends = column.offsets.to_numpy()
    return np.asarray(totals[ends[1:]] - totals[ends[:-1]], dtype=np.float64)
