"""The errors of a run that cannot write: the disk and its free space, without torch's wrapping around them."""

from __future__ import annotations

import os
from pathlib import Path

from torch.distributed.checkpoint.api import CheckpointException

from gapdata.errors import GapDataError
from gapdata.files.atomic import FULL, room_left

STORE_ERRORS = {f"os error {number}": number for number in FULL}
"""The errors of the system in the words of safetensors, which is written in Rust."""


RESUMED = "remove the cause (free some space, or lower run.keep); the same command goes on from the last checkpoint"


def write_error(what: str, error: BaseException, folder: Path, cure: str = RESUMED) -> GapDataError:
    """Return the error to raise where a checkpoint or a model cannot be written.

    Args:
        what: what was written, for the message.
        error: what torch, safetensors or the system raised.
        folder: where it was written; it exists.
        cure: what the user can do.
    """
    cause = cause_of(error)
    reason = reason_of(error)
    number = cause.errno if isinstance(cause, OSError) else None
    number = number or next((code for sign, code in STORE_ERRORS.items() if sign in str(cause)), None)
    if number in FULL:
        reason = f"{os.strerror(number)}, {room_left(folder)}"
    return GapDataError(f"the {what} cannot be written: {reason}", path=folder, cure=cure)


def cause_of(error: BaseException) -> BaseException:
    """Return the error inside torch's collection of the errors of all ranks."""
    if isinstance(error, CheckpointException):
        found, _ = next(iter(error.failures.values()))
        return cause_of(found)
    inner = error.__cause__ or error.__context__
    return cause_of(inner) if isinstance(inner, OSError) and not isinstance(error, OSError) else error


def reason_of(error: BaseException) -> str:
    """Return the first line of :func:`cause_of`'s message."""
    cause = cause_of(error)
    return str(cause).strip().partition("\n")[0] or type(cause).__name__
