"""Types of command line arguments, for argparse's ``type=``."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from gapdata.annotations.annotation_file import AnnotationFile, stated_file
from gapdata.errors import UsageError
from gapdata.files.storage import Location, local_path, location
from gapdata.runtime.choices import did_you_mean

VOXELS = (0.001, 10.0)
"""Metres: depth is whole millimetres, and a cube of ten metres holds a room."""


class Parser(argparse.ArgumentParser):
    """A parser of arguments that says what a wrong choice may have meant; so do the parsers of its commands."""

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            problem = f"invalid choice: {value!r} ({did_you_mean(value, known)}choose from {', '.join(known)})"
            raise argparse.ArgumentError(action, problem)


def place(text: str) -> Location:
    """Read a local path or the URI of an object store."""
    local(text)
    try:
        return location(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def local(text: str) -> Path:
    """Read a local path; an empty one, such as of a variable that is not set, is refused."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; write . for this folder")
    return local_path(text)


def names(text: str) -> tuple[str, ...]:
    """Read one or more names with commas between them."""
    found = tuple(name for part in text.split(",") if (name := part.strip()))
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} has no name in it; leave the option out to take all")
    return found


def positive(text: str) -> int:
    """Read a whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def duration(text: str) -> float:
    """Read seconds from a number with s, m or h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    seconds = 0.0 if match is None else float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 20m or 2h")
    return seconds


def size(text: str) -> tuple[int, int]:
    """Read width and height in pixels, as 648x484."""
    width, separator, height = text.partition("x")
    if not separator or not width.isdigit() or not height.isdigit() or min(int(width), int(height)) < 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 648x484")
    return int(width), int(height)


def pixel(text: str) -> tuple[int, int]:
    """Read column and row of a pixel, as 320,240."""
    match = re.fullmatch(r"(\d{1,6}),(\d{1,6})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a pixel such as 320,240")
    return int(match[1]), int(match[2])


def voxel(text: str) -> float:
    """Read the side of a cube in metres, as 0.02."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not VOXELS[0] <= value <= VOXELS[1]:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a length in metres from {VOXELS[0]:g} to {VOXELS[1]:g}, such as 0.02"
        )
    return value


def annotation_file(text: str) -> AnnotationFile:
    """Read FILE or SPLIT=FILE."""
    try:
        return stated_file(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
