"""Turn SIGINT and SIGTERM into a request to end in an orderly way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from gapdata.errors import GapDataError, Interrupted, Terminated

SIGNALS: dict[int, type[GapDataError]] = {signal.SIGINT: Interrupted, signal.SIGTERM: Terminated}
HOW_TO_RESUME = "the same command goes on where this one stopped"


class StopSignals:
    """A context in which a signal raises :class:`Interrupted` or :class:`Terminated`.

    In :meth:`draining`, the first signal only sets ``requested``, so that the program can finish its work. The second
    always raises.
    """

    def __init__(self) -> None:
        self.requested = False
        self.patient = False
        self._received = 0
        self._signal: int = signal.SIGINT
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        self.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def install(self) -> None:
        """Install the handlers; call it again after code that may have replaced them, or may have swallowed a signal.

        Raises:
            Interrupted, Terminated: a signal came, and what it raised was caught by code that catches all errors, as
                Ray does while it starts.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            before = signal.signal(number, self._receive)
            self._before.setdefault(number, before)
        if self.requested and not self.patient:
            raise self.error()

    @contextmanager
    def draining(self) -> Iterator[None]:
        """Enter a block that the first signal does not interrupt, because it looks at ``requested`` by itself."""
        self.patient = True
        try:
            yield
        finally:
            self.patient = False

    def error(self, problem: str | None = None) -> GapDataError:
        """Return the error to raise for the first signal."""
        name = signal.Signals(self._signal).name
        return SIGNALS[self._signal](problem or f"stopped by {name}", cure=HOW_TO_RESUME)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received += 1
        if self._received == 1:
            self._signal, self.requested = number, True
        if self._received == 2 or (self._received == 1 and not self.patient):
            raise self.error()
