"""Say which stills show which region of a house: by EmbodiedScan's files, or by the house's own.

EmbodiedScan lists the images of each of its samples, ``matterport3d/<house>/region<N>``. The house's own
``<house>.house`` says in which region each tripod stood: lines ``P <tripod> <number> <region> ...``; lines of portals
begin with the same letter, but not with a tripod's name.

Stills are in the order of stops, of turns, and from the camera that looks up to the one that looks down, so that
neighbours overlap where they can.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from gapdata.annotations.embodiedscan_names import place_of_sample
from gapdata.files.pickles import read_pickle
from gapdata.files.storage import Location
from gapdata.sources.matterport3d.cameras import TripodStill, still_of_name

TRIPOD_LINE = re.compile(rb"^P[ \t]+([0-9a-f]{32})[ \t]+\d+[ \t]+(-?\d+)\b", re.MULTILINE)
DATA_SET = "matterport3d"
MAX_IMAGES = 100_000
CAMERAS, TURNS = 3, 6


def regions_of_file(path: Location) -> dict[str, tuple[TripodStill, ...]]:
    """Return the stills of each of EmbodiedScan's samples of Matterport3D, by our scene id.

    Raises:
        FileError: the pickle is damaged or runs code.
    """
    found: dict[str, tuple[TripodStill, ...]] = {}

    def reduce(fields: dict[Any, Any]) -> Any:
        if "sample_idx" in fields and "images" in fields:
            place = place_of_sample(fields["sample_idx"])
            if place is not None and place[0] == DATA_SET and place[1]:
                found[place[1]] = _stills(fields["images"])
            return None
        return fields.get("img_path") if "img_path" in fields else fields

    read_pickle(path, reduce)
    return {scene: stills for scene, stills in found.items() if stills}


def tripods_by_region(data: bytes) -> dict[int, list[str]]:
    """Return the tripods in each region of a ``.house`` file, by the region's number; -1 is nowhere."""
    regions: dict[int, list[str]] = {}
    for tripod, region in TRIPOD_LINE.findall(data):
        regions.setdefault(int(region), []).append(tripod.decode())
    return {region: tripods for region, tripods in sorted(regions.items()) if region >= 0}


def all_stills(tripods: Iterable[str]) -> tuple[TripodStill, ...]:
    """Return the 18 stills of each tripod stop, in order."""
    stops = sorted(set(tripods))
    return tuple(
        TripodStill(tripod, yaw, camera) for tripod in stops for yaw in range(TURNS) for camera in range(CAMERAS)
    )


def _stills(images: Any) -> tuple[TripodStill, ...]:
    """Return the stills of a list of images, which :func:`read_pickle` has reduced to their paths."""
    paths = images[:MAX_IMAGES] if isinstance(images, list) else []
    found = (still_of_name(path) for path in paths if isinstance(path, str))
    return tuple(sorted({still for still in found if still is not None}))
