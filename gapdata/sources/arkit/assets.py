"""Find the files of a capture of ARKitScenes, under the names of every package that it was published in.

==========  =========================================  ==================================
what        3dod and raw                               first packages (README's sample)
==========  =========================================  ==================================
colour      lowres_wide/, else vga_wide/               wide/
depth       lowres_depth/                              depth_densified/
cameras     lowres_wide_intrinsics/ (or vga_wide_...)  color_intrinsics/
poses       lowres_wide.traj                           color.traj
confidence  confidence/                                none
==========  =========================================  ==================================

They lie in ``<id>_frames/`` within the capture's folder (3dod), or in the folder itself (raw). A capture that was
downloaded in both packages has two folders, and each kind of files is taken from the first that has it: 3dod's colour,
depth and poses, raw's confidence. Colour of 640x480 (``vga_wide``) is read only where 256x192 (``lowres_wide``) is
missing: depth has 256x192, and only ``lowres_wide`` comes with a camera and a depth image for each of its files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gapdata.files.folders import by_lower_case, entries, is_kind
from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location

FOLDERS: Mapping[str, tuple[str, ...]] = {
    "color": ("lowres_wide", "wide", "vga_wide"),
    "depth": ("lowres_depth", "depth_densified"),
    "cameras": ("lowres_wide_intrinsics", "color_intrinsics", "wide_intrinsics", "vga_wide_intrinsics"),
    "confidence": ("confidence",),
}
"""Names of the folders of each kind of files, the preferred one first."""
POSES = ("lowres_wide.traj", "color.traj")
FRAMES = "_frames"
BOXES, MESH = "_3dod_annotation.json", "_3dod_mesh.ply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """Where the files of a capture lie; a kind that is missing is not among the folders, or is ``None``."""

    folders: Mapping[str, Location]
    """By the kinds of :data:`FOLDERS`."""
    poses: Location | None
    boxes: Location | None
    mesh: Location | None
    zips: tuple[Location, ...] = ()
    """Archives that were downloaded and not unpacked."""
    listed: tuple[Location, ...] = field(default=(), repr=False)
    """The folders that were looked into."""

    @property
    def is_capture(self) -> bool:
        """Whether frames, poses or boxes are there, under this data set's names."""
        return self.poses is not None or self.boxes is not None or {"color", "depth"} <= self.folders.keys()

    @property
    def has_confidence(self) -> bool:
        """Whether there is a folder of confidence images."""
        return "confidence" in self.folders

    @property
    def package(self) -> str:
        """How the frames are stored: ``3dod``, ``raw``, or ``missing``."""
        color = self.folders.get("color")
        if color is None:
            return "missing"
        return "3dod" if color.parent.name.endswith(FRAMES) else "raw"


def find_assets(homes: Sequence[Location]) -> Assets:
    """Look for the files of a capture in its folders, by one listing of each.

    Args:
        homes: the capture's folders, the preferred one first.

    Raises:
        OSError: one of them cannot be listed.
        StoreError: the store fails.
    """
    places: list[tuple[Location, dict[str, str], dict[str, str]]] = []  # with sub-folders and files by lower case
    for home in homes:
        folders, files = _listing(home)
        inner = [home / name for lower, name in folders.items() if lower.endswith(FRAMES)]
        places += [(place, *_listing(place)) for place in inner]
        places.append((home, folders, files))
    held = [(place, folders) for place, folders, _ in places]
    found = {kind: _first(names, held) for kind, names in FOLDERS.items()}
    if found["color"] is not None:
        found["cameras"] = _first((f"{found['color'].name}_intrinsics", *FOLDERS["cameras"]), held)
    return Assets(
        folders={kind: place for kind, place in found.items() if place is not None},
        poses=_first(POSES, [(place, files) for place, _, files in places]),
        boxes=_ending_in(BOXES, places),
        mesh=_ending_in(MESH, places),
        zips=tuple(
            place / name for place, _, files in places for lower, name in files.items() if lower.endswith(".zip")
        ),
        listed=tuple(place for place, _, _ in places),
    )


def _listing(place: Location) -> tuple[dict[str, str], dict[str, str]]:
    """Return the sub-folders and the files of a folder, by lower case."""
    if isinstance(place, ObjectPath):
        found = [(path.name, folder) for path, folder in place.entries()]
    else:
        found = [(entry.name, is_kind(entry, folder=True)) for entry in entries(place)]
    folders, files = ([name for name, is_folder in found if is_folder == wanted] for wanted in (True, False))
    return by_lower_case(folders), by_lower_case(files)


def _first(names: Sequence[str], places: Sequence[tuple[Location, Mapping[str, str]]]) -> Location | None:
    """Return the first place that has the first name that any place has."""
    found = (place / held[name] for name in names for place, held in places if name in held)
    return next(found, None)


def _ending_in(ending: str, places: Sequence[tuple[Location, Mapping[str, str], Mapping[str, str]]]) -> Location | None:
    found = (place / name for place, _, files in places for lower, name in files.items() if lower.endswith(ending))
    return next(found, None)
