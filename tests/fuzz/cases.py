"""What every target of the campaign needs: its description, and how its readers are run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gapdata.errors import GapDataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One kind of input.

    What ``make`` gives runs one case in a scratch folder of the target's own and returns the bytes of its input;
    ``share`` is its part of all cases.
    """

    name: str
    share: int
    make: Callable[[Path, Path], Callable[[np.random.Generator], int]]
    """From the seeds and an empty scratch folder to a function that runs one case."""


REFUSED: list[str] = []
"""What the readers of the present case refused."""


@contextmanager
def replaced(path: Path, data: bytes) -> Iterator[None]:
    """Another content of a file for a while; the file itself, which may have other names, keeps its own."""
    aside = path.with_name(f"{path.name}.aside")
    os.rename(path, aside)
    try:
        path.write_bytes(data)
        yield
    finally:
        os.replace(aside, path)


def linked(source: Path, copy: Path) -> Path:
    """A copy of a folder by hard links, for :func:`replaced`."""
    for folder, _, names in os.walk(source):
        here = copy / Path(folder).relative_to(source)
        here.mkdir(parents=True, exist_ok=True)
        for name in names:
            os.link(Path(folder) / name, here / name)
    return copy


def attempt(read: Callable[[], Any]) -> None:
    """Run one reader; that it refuses does not keep the case from trying the next one."""
    try:
        read()
    except GapDataError as error:
        check_message(error)
        REFUSED.append(type(error).__name__)


def check_message(error: GapDataError) -> None:
    """An error's text is one line of bounded length."""
    text = str(error)
    assert "\n" not in text, f"the message has several lines: {text[:300]!r}"
    assert len(text) < 3000, f"the message has {len(text)} characters: {text[:300]!r}"
