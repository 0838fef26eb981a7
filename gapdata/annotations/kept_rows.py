"""Keep the usable rows of an annotation file by scene, and count the others by the reason why they are left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from gapdata.annotations.annotation_file import named_split
from gapdata.annotations.report import FileReport, Tally
from gapdata.files.storage import Location


class Row(Protocol):
    """What a row is read as."""

    @property
    def scene_id(self) -> str:
        """The scene that it is about."""

    @property
    def key(self) -> tuple[Any, ...]:
        """What no other row of the file has."""

    @property
    def repeated(self) -> tuple[str, Any]:
        """The reason why a second one with this key is left out, and the value that tells which it is."""


Item = TypeVar("Item", bound=Row)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRows(Generic[Item]):
    """What one file holds by scene, in the file's order."""

    scenes: Mapping[str, tuple[Item, ...]]
    report: FileReport


class LeftOut(Exception):
    """A row of a file is left out, for a reason and because of a value."""

    def __init__(self, reason: str, value: Any = None) -> None:
        self.reason, self.value = reason, value


def keep_rows(
    path: Location,
    kind: str,
    rows: Iterable[Any],
    read: Callable[[Any, int], Item],
    scene_ids: Collection[str] | None,
) -> KeptRows[Item]:
    """Read the rows of a file, count those that are left out, and keep the scenes named (all by default).

    Args:
        path: the file.
        kind: its kind, for the report.
        rows: its rows, as decoded.
        read: makes the item of a row and its position; raises :class:`LeftOut`.
        scene_ids: scenes to keep.
    """
    tally = Tally()
    found: dict[str, list[Item]] = {}
    seen: set[tuple[Any, ...]] = set()
    for index, row in enumerate(rows):
        try:
            item = read(row, index)
        except LeftOut as left_out:
            tally.ignore(left_out.reason, index, left_out.value)
            continue
        if scene_ids is not None and item.scene_id not in scene_ids:
            tally.ignore("scene_not_in_data_set", index, item.scene_id)
        elif item.key in seen:
            reason, value = item.repeated
            tally.ignore(reason, index, value)
        else:
            seen.add(item.key)
            found.setdefault(item.scene_id, []).append(item)
            tally.take(item.scene_id)
    report = tally.report(path=path, kind=kind, split=named_split(path))
    return KeptRows(scenes={scene: tuple(items) for scene, items in sorted(found.items())}, report=report)


def fields_of(row: Any) -> Mapping[str, Any]:
    """Return a row that is an object.

    Raises:
        LeftOut: it is something else.
    """
    if not isinstance(row, dict):
        raise LeftOut("not_an_object", row)
    return row


def needed(value: Value | None, reason: str, given: Any) -> Value:
    """Return a value that was read from a field.

    Raises:
        LeftOut: it could not be read from what was ``given``.
    """
    if value is None:
        raise LeftOut(reason, given)
    return value
