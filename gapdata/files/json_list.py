"""Writes a JSON list item by item, the counterpart of :mod:`gapdata.files.json_items`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO


@dataclass(slots=True)
class JsonList:
    """A JSON list, an item per line, that never lies in memory as a whole."""

    file: BinaryIO
    count: int = 0

    def extend(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Write some items.

        Raises:
            ValueError: an item holds a number that is not finite, for which JSON has no form.
        """
        for item in items:
            line = json.dumps(item, allow_nan=False).encode()
            self.file.write((b",\n" if self.count else b"[\n") + line)
            self.count += 1

    def close(self) -> None:
        """End the list."""
        self.file.write(b"\n]\n" if self.count else b"[]\n")
