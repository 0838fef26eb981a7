"""Find the captures below a folder: a download with ``3dod/`` and ``raw/``, one of its parts, or one capture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gapdata.files.natural_order import natural_key
from gapdata.files.storage import Location, subfolders
from gapdata.sources.arkit.assets import FRAMES, find_assets

CAPTURE_ID = re.compile(r"[0-9]{8}", re.ASCII)
PACKAGES = ("3dod", "raw")
"""The preferred one first: its frames are those that met a pose, and it comes with boxes."""
FOLDS = {"Training": "train", "Validation": "val"}
WITHOUT_POSES = "upsampling"
LOOKED_INTO = 8
"""Captures in which frames are looked for until one has some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCaptures:
    """The captures below a folder."""

    homes: Mapping[str, tuple[Location, ...]]
    """The folders of each capture by its id, in natural order, the preferred folder first."""
    folds: Mapping[str, tuple[str, ...]]
    """The splits that its folders stand for; empty for a capture in other folders."""
    passed_over: Mapping[str, str] = field(default_factory=dict)


def find_captures(root: Location) -> FoundCaptures:
    """Look for captures by the names of folders; a folder of another name is one if it holds a capture's files.

    Raises:
        OSError: a folder cannot be listed.
        StoreError: the store fails.
    """
    if root.name.endswith(FRAMES):
        root = root.parent
    if (capture := _capture_id(root)) is not None:
        return FoundCaptures(homes={capture: (root,)}, folds={capture: _fold_of(root)})
    passed_over: dict[str, str] = {}
    found: dict[str, list[Location]] = {}
    for package in _packages(root, passed_over):
        for fold in _folds(package):
            for capture, place in _captures_in(fold):
                found.setdefault(capture, []).append(place)
    homes = {capture: tuple(found[capture]) for capture in sorted(found, key=natural_key)}
    return FoundCaptures(
        homes=homes,
        folds={
            capture: _in_order(split for place in places for split in _fold_of(place))
            for capture, places in homes.items()
        },
        passed_over=passed_over,
    )


def any_frames(captures: FoundCaptures) -> bool:
    """Return whether one of the first captures holds files under this data set's names.

    Raises:
        OSError: a folder cannot be listed.
        StoreError: the store fails.
    """
    first = list(captures.homes.values())[:LOOKED_INTO]
    return any(find_assets(places).is_capture for places in first)


def _captures_in(fold: Location) -> list[tuple[str, Location]]:
    """Return the captures in a folder by their ids; other names are looked into where no folder has an id as name."""
    places = subfolders(fold)
    named = [(place.name, place) for place in places if CAPTURE_ID.fullmatch(place.name)]
    if named:
        return named
    return [(capture, place) for place in places if (capture := _capture_id(place)) is not None]


def _capture_id(place: Location) -> str | None:
    """Return the id of a capture whose folder this is: its name, or that of the frames or boxes in it."""
    assets = find_assets([place])
    if not assets.is_capture:
        return None
    named = [folder.name.removesuffix(FRAMES) for folder in assets.listed]
    named += [file.name.partition("_")[0] for file in (assets.boxes, assets.mesh) if file is not None]
    own = place.name.removesuffix(FRAMES)
    return next((name for name in (own, *named) if CAPTURE_ID.fullmatch(name)), None)


def _packages(root: Location, passed_over: dict[str, str]) -> list[Location]:
    below = {place.name.lower(): place for place in subfolders(root)}
    if WITHOUT_POSES in below:
        passed_over[below[WITHOUT_POSES].name] = "holds no poses and no cameras: depth upsampling needs neither"
    return [below[name] for name in PACKAGES if name in below] or [root]


def _folds(package: Location) -> list[Location]:
    below = {place.name.lower(): place for place in subfolders(package)}
    return [below[fold.lower()] for fold in FOLDS if fold.lower() in below] or [package]


def _fold_of(place: Location) -> tuple[str, ...]:
    """Return the split that the folder above a capture stands for."""
    splits = {fold.lower(): split for fold, split in FOLDS.items()}
    above = place.parent.name.lower()
    return (splits[above],) if above in splits else ()


def _in_order(splits: Iterable[str]) -> tuple[str, ...]:
    found = set(splits)
    return tuple(split for split in FOLDS.values() if split in found)
