"""The report of an annotation file: how many items were taken, and how many were left out for which reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gapdata.files.checked_values import shown
from gapdata.runtime.counting import counted

EXAMPLES = 3
"""Items named for each reason."""
MAX_REASONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """The report of one file; ``items == taken + sum(ignored.values())``."""

    path: str
    kind: str
    split: str | None  # of all its scenes; None where it is not known, or scenes differ
    items: int
    taken: int
    ignored: Mapping[str, int]
    """Count of items that were left out, by reason."""
    defects: Mapping[str, int]
    """Count of parts that are missing or wrong in items that were taken, by reason."""
    examples: Mapping[str, tuple[str, ...]]
    """The first few items of each reason, with the value that is wrong."""
    scenes: int  # number of scenes with an item that was taken
    split_from: str = "its name"
    """The source of the split: ``its name``, ``its scenes`` or ``the command line``."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Decisions about the whole file, such as its Euler convention."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, for ``report.json``."""
        return {
            "path": self.path,
            "kind": self.kind,
            "split": self.split,
            "items": self.items,
            "taken": self.taken,
            "scenes": self.scenes,
            "ignored": dict(self.ignored),
            "defects": dict(self.defects),
            "examples": {reason: list(names) for reason, names in self.examples.items()},
            "notes": dict(self.notes),
        }

    def lines(self) -> list[str]:
        """Return lines for people: the file, then each reason with its count and examples."""
        split = f", split {self.split} (from {self.split_from})" if self.split else ""
        head = (
            f"{self.path}: {self.kind}{split}: {self.taken} of {counted(self.items, 'item')} taken, for "
            f"{counted(self.scenes, 'scene')}"
        )
        left = [
            f"  {counted(count, 'item')} left out: {self._reason(reason)}" for reason, count in self.ignored.items()
        ]
        mended = [f"  {counted(count, 'defect')}: {self._reason(reason)}" for reason, count in self.defects.items()]
        return [head, *left, *mended, *(f"  {name}: {text}" for name, text in self.notes.items())]

    def _reason(self, reason: str) -> str:
        names = self.examples.get(reason, ())
        return f"{reason.replace('_', ' ')} ({'; '.join(names)})" if names else reason.replace("_", " ")


class Tally:
    """Counts that are kept while a file is read; :meth:`report` returns them."""

    def __init__(self) -> None:
        self.items = 0
        self.taken = 0
        self.ignored: dict[str, int] = {}
        self.defects: dict[str, int] = {}
        self.examples: dict[str, list[str]] = {}
        self.scenes: set[str] = set()
        self.notes: dict[str, str] = {}

    def take(self, scene_id: str) -> None:
        """Count an item that was taken."""
        self.items += 1
        self.taken += 1
        self.scenes.add(scene_id)

    def ignore(self, reason: str, item: int | str, value: Any = None) -> None:
        """Count an item that is left out because of ``value``."""
        self.items += 1
        self._count(self.ignored, reason, item, value)

    def defect(self, reason: str, item: int | str, value: Any = None) -> None:
        """Count a part that is wrong in an item that was taken."""
        self._count(self.defects, reason, item, value)

    def _count(self, counts: dict[str, int], reason: str, item: int | str, value: Any) -> None:
        if reason not in counts and len(counts) >= MAX_REASONS:
            reason = "other"
        counts[reason] = counts.get(reason, 0) + 1
        names = self.examples.setdefault(reason, [])
        if len(names) < EXAMPLES:
            where = f"item {item}" if isinstance(item, int) else shown(item)[1:-1]
            names.append(where if value is None else f"{where}: {shown(value)}")

    def report(self, *, path: object, kind: str, split: str | None) -> FileReport:
        """Return the counts so far."""
        return FileReport(
            path=str(path),
            kind=kind,
            split=split,
            items=self.items,
            taken=self.taken,
            ignored=dict(sorted(self.ignored.items())),
            defects=dict(sorted(self.defects.items())),
            examples={reason: tuple(names) for reason, names in sorted(self.examples.items())},
            scenes=len(self.scenes),
            notes=dict(self.notes),
        )
