"""Read the list of the scenes of a split, such as ``scannetv2_train.txt``, with one scene on a line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gapdata.errors import UsageError
from gapdata.files.given_file import read_text
from gapdata.files.storage import Location
from gapdata.runtime.counting import counted, few

NAMED = 5
"""Scenes that a warning names."""
NAMED_SCENE = re.compile(r"(?<![A-Za-z0-9])scene\d{4}_\d{2}(?!\d)")
ALMOST = re.compile(r"scene_?\d", re.IGNORECASE)


def read_split_list(path: Location) -> list[str]:
    """Return the scenes that a list names, in its order.

    ``scans/scene0000_00/``, quotes, commas and ``# comments`` are understood; a line without anything like a scene's
    name is a heading.

    Raises:
        UsageError: it cannot be read or is not text, a line (which is shown) has a misspelt scene name, or no
            line names a scene.
    """
    lines = read_text(path, UsageError).split("\n")
    scenes: list[str] = []
    for number, line in enumerate(lines, start=1):
        named = NAMED_SCENE.findall(line.partition("#")[0])
        if not named and ALMOST.search(line.partition("#")[0]):
            problem = f"line {number} does not name a scene: {line.strip()[:100]!r}"
            raise UsageError(problem, path=path, cure="write names such as scene0000_00, one on each line")
        scenes += named
    if not scenes and any(line.strip() for line in lines):
        raise UsageError("does not name a scene", path=path, cure="write names such as scene0000_00, one on each line")
    return scenes


def twice_listed(
    scenes: Sequence[str], splits: Mapping[str, Sequence[str]], where: str, what: str = "scene", named: int = NAMED
) -> list[str]:
    """Return a warning of the scenes that several splits name; nothing where there are none.

    Args:
        scenes: of a build.
        splits: the splits of each scene that is in more than one.
        where: how it is in more than one split, such as ``split file in or above DIR``.
        what: the source's word for a scene.
        named: how many of them are named.
    """
    twice = [f"{scene} ({', '.join(splits[scene])})" for scene in scenes if scene in splits]
    if not twice:
        return []
    return [
        f"warning: {counted(len(twice), what)} in more than one {where}: {few(twice, named)}; the last split counts, so"
        f" that no held-out {what} is trained on"
    ]
