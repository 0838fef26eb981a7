"""Report progress on standard error: with a bar on a terminal, with a line now and then in log files."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from gapdata.runtime.terminal import printable, say

LINE_SECONDS = 30.0


class Progress:
    """Progress in units of work: a tqdm bar if standard error is a terminal, else a line every half minute."""

    def __init__(self, total: int, unit: str, title: str) -> None:
        self._total, self._unit, self._title = total, unit, title
        self._done = 0
        self._bar: Any = None
        self._started = self._last_line = time.monotonic()

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=self._total, unit=self._unit, desc=self._title, file=sys.stderr, dynamic_ncols=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def note(self, text: str) -> None:
        """Print a line for the user without tearing the bar."""
        if self._bar is not None:
            self._bar.write(printable(text), file=sys.stderr)
        else:
            say(text, error=True)

    def expect(self, total: int) -> None:
        """Set the total once it is known."""
        self._total = total
        if self._bar is not None:
            self._bar.reset(total)

    def __call__(self, count: int) -> None:
        """Report ``count`` more finished units; a negative number for work that was lost."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
            return
        now = time.monotonic()
        if now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            rate = self._done / (now - self._started)
            left = (self._total - self._done) / rate if rate > 0 else float("nan")
            line = f"{self._title}: {self._done}/{self._total} {self._unit}, {rate:.1f}/s, {left:.0f} s left"
            say(line, error=True)
