"""A defect of a build: something wrong, and where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """Something wrong in a file of a build."""

    file: str  # within the build
    record: str | None = None  # its key, where the defect is that of one record
    problem: str

    def __str__(self) -> str:
        """Return the defect as one line."""
        return ": ".join(part for part in (self.file, self.record, self.problem) if part)
