"""A request to stop is never lost, whatever code catches the error that it raises."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from gapdata.errors import Interrupted, Terminated
from gapdata.runtime.stopping import StopSignals


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGTERM, Terminated), (signal.SIGINT, Interrupted)])
def test_a_signal_whose_error_was_caught_by_others_is_raised_again(number: int, kind: type[Exception]) -> None:
    with StopSignals() as stop:
        with contextlib.suppress(Exception):  # as Ray does while it starts
            os.kill(os.getpid(), number)
        with pytest.raises(kind):
            stop.install()


def test_a_signal_while_work_is_finished_is_left_to_the_work() -> None:
    with StopSignals() as stop, stop.draining():
        os.kill(os.getpid(), signal.SIGTERM)
        stop.install()
        assert stop.requested
