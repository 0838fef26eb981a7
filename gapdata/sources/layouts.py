"""Folders of extracted frames: which files make a frame, where the cameras stand, and how a folder is recognised.

========================  ==========================================================  =================================
layout                    files of frame 350                                          cameras
========================  ==========================================================  =================================
``official-export``       ``color/350.jpg depth/350.png pose/350.txt``                ``intrinsic/{in,ex}trinsic_*.txt``
``posed-images``          ``00350.jpg 00350.png 00350.txt``                           ``{,depth_}intrinsic.txt``
``scannet-frames-25k``    ``color/000350.jpg depth/000350.png pose/000350.txt``       ``intrinsics_{color,depth}.txt``
``7-scenes``              ``frame-000350.{color.jpg,depth.pgm,pose.txt}``             ``_info.txt``
========================  ==========================================================  =================================

They are written by ScanNet's Python exporter, EmbodiedScan's converter, ScanNet's own subset of 25,000 frames, and
ScanNet's C++ exporter. The number in a file's name is the raw index of the frame, however many zeros lead it; exporters
with a step leave gaps. Colour may be JPEG or PNG where both are in use, depth 16-bit PNG or PGM.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gapdata.errors import SourceError

MAX_FRAME_ID = 200_000
"""Almost two hours at 30 Hz; a larger number in a file's name is no raw index."""
NUMBERED = re.compile(r"[^0-9]*([0-9]{1,19})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """The files of one kind. ``pattern`` matches a whole file name and its one group the part that names the frame."""

    folder: str = ""  # below the scene's folder
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way to lay out extracted frames; paths are relative to the scene's folder.

    One of ``pose`` and ``trajectory`` is set, and at most one of ``matrices`` (intrinsics of colour and of depth, one
    matrix a file) and ``info``; with neither, one intrinsics file serves both cameras.
    """

    name: str
    color: Naming
    depth: Naming
    pose: Naming | None = None
    trajectory: str | None = None
    matrices: tuple[str, str] | None = None
    extrinsics: tuple[str, str] | None = None  # of colour and depth; absent files are the identity
    info: str | None = None
    raw_indices: bool = True
    """Whether numbers are raw indices by definition. Elsewhere names without usable numbers are counted in order."""


OFFICIAL_EXPORT = Layout(
    name="official-export",
    color=Naming(folder="color", pattern=r"(\d+)\.(?:jpg|jpeg|png)"),
    depth=Naming(folder="depth", pattern=r"(\d+)\.(?:png|pgm)"),
    pose=Naming(folder="pose", pattern=r"(\d+)\.txt"),
    matrices=("intrinsic/intrinsic_color.txt", "intrinsic/intrinsic_depth.txt"),
    extrinsics=("intrinsic/extrinsic_color.txt", "intrinsic/extrinsic_depth.txt"),
)
POSED_IMAGES = Layout(
    name="posed-images",
    color=Naming(pattern=r"(\d+)\.jpg"),
    depth=Naming(pattern=r"(\d+)\.png"),
    pose=Naming(pattern=r"(\d+)\.txt"),
    matrices=("intrinsic.txt", "depth_intrinsic.txt"),
)
FRAMES_25K = Layout(
    name="scannet-frames-25k",
    color=OFFICIAL_EXPORT.color,
    depth=OFFICIAL_EXPORT.depth,
    pose=OFFICIAL_EXPORT.pose,
    matrices=("intrinsics_color.txt", "intrinsics_depth.txt"),
)
SEVEN_SCENES = Layout(
    name="7-scenes",
    color=Naming(pattern=r"frame-(\d+)\.color\.(?:jpg|jpeg|png)"),
    depth=Naming(pattern=r"frame-(\d+)\.depth\.(?:pgm|png)"),
    pose=Naming(pattern=r"frame-(\d+)\.pose\.txt"),
    info="_info.txt",
)


def recognise(names: Iterable[str]) -> Layout | None:
    """The ScanNet layout of a folder with these entries, or ``None``. A folder whose camera files are missing is still
    recognised by its images, so that opening it can say what is missing."""
    entries = frozenset(names)
    if "_info.txt" in entries:
        return SEVEN_SCENES
    if "color" in entries and "depth" in entries:
        return FRAMES_25K if FRAMES_25K.matrices and entries.intersection(FRAMES_25K.matrices) else OFFICIAL_EXPORT
    for layout in (POSED_IMAGES, SEVEN_SCENES):
        if any(re.fullmatch(layout.color.pattern, name) for name in entries):
            return layout
    return None


def find_frames(directories: Iterable[Path]) -> tuple[Path, Layout] | None:
    """The first of these folders that holds extracted frames in a ScanNet layout, with that layout; a folder that
    cannot be listed holds none."""
    for directory in directories:
        try:
            layout = recognise(os.listdir(directory))
        except OSError:
            continue
        if layout is not None:
            return directory, layout
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFiles:
    """The files of a scene, by frame id, as paths relative to its folder."""

    color: Mapping[int, str]
    depth: Mapping[int, str]
    pose: Mapping[int, str] | None  # None where one trajectory has all poses

    @property
    def kinds(self) -> dict[str, Mapping[int, str]]:
        """The maps by what they hold; poses only where they are files."""
        return {"color": self.color, "depth": self.depth, **({"pose": self.pose} if self.pose is not None else {})}

    @property
    def complete(self) -> list[int]:
        """Ids, ascending, of the frames of which nothing is missing."""
        return sorted(set.intersection(*(set(names) for names in self.kinds.values())))

    @property
    def span(self) -> int:
        """One more than the largest frame id of any kind."""
        return 1 + max((frame for names in self.kinds.values() for frame in names), default=-1)

    @property
    def missing(self) -> dict[str, int]:
        """Incomplete frames as notes, by what they lack."""
        known = set().union(*(set(names) for names in self.kinds.values()))
        counts = {f"frame_without_{kind}": len(known) - len(names) for kind, names in self.kinds.items()}
        return {name: count for name, count in counts.items() if count}


def list_frames(directory: Path, layout: Layout, scene_id: str) -> FrameFiles:
    """Find a scene's frames by one listing of each folder.

    Raises:
        SourceError: a folder cannot be listed, two files name the same frame, or a number is no raw index.
    """
    namings = [naming for naming in (layout.color, layout.depth, layout.pose) if naming is not None]
    listings = {folder: list_files(directory / folder, scene_id) for folder in {naming.folder for naming in namings}}
    found: list[dict[str, list[str]]] = []
    for naming in namings:
        stems: dict[str, list[str]] = {}
        for name in listings[naming.folder]:
            match = re.fullmatch(naming.pattern, name)
            if match is not None:
                stems.setdefault(match[1], []).append(f"{naming.folder}/{name}" if naming.folder else name)
        found.append(stems)
    frame_of = _numbering(found[0], layout, directory, scene_id)
    numbered = [_by_frame(stems, frame_of, directory, scene_id) for stems in found]
    return FrameFiles(color=numbered[0], depth=numbered[1], pose=numbered[2] if layout.pose is not None else None)


def list_files(folder: Path, scene_id: str) -> list[str]:
    """The names of a folder's files, sorted.

    Raises:
        SourceError: it cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_file())
    except OSError as error:
        raise SourceError(f"cannot be listed: {error.strerror}", path=folder, scene=scene_id) from error


def listing_digest(directory: Path) -> str:
    """SHA-256 over the names and sizes of all files of a folder and of the folders in it, as far as they can be
    listed."""
    lines: list[str] = []
    folders = [directory]
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_file():
                        lines.append(f"{folder.name}/{entry.name} {entry.stat().st_size}")
                    elif folder == directory and entry.is_dir():
                        folders.append(Path(entry.path))
        except OSError as error:
            lines.append(f"{folder.name}: {error.strerror}")
    return hashlib.sha256("\n".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()


def _numbering(
    color: Mapping[str, list[str]], layout: Layout, directory: Path, scene_id: str
) -> Callable[[str], int | None]:
    """How a stem becomes a frame id: its number, or where colour files have no usable ones its place in their order."""
    numbers = [_number(stem) for stem in color]
    usable = all(number is not None and number <= MAX_FRAME_ID for number in numbers)
    if usable:
        return _number
    if layout.raw_indices:
        largest = max(number for number in numbers if number is not None)
        raise SourceError(
            f"has a frame {largest}, raw indices end at {MAX_FRAME_ID}",
            path=directory / layout.color.folder,
            scene=scene_id,
            cure="frames must be named by their raw index",
        )
    places = {stem: place for place, stem in enumerate(sorted(color))}
    return places.get


def _number(stem: str) -> int | None:
    match = NUMBERED.fullmatch(stem)
    return None if match is None else int(match[1])


def _by_frame(
    stems: Mapping[str, list[str]], frame_of: Callable[[str], int | None], directory: Path, scene_id: str
) -> dict[int, str]:
    files: dict[int, str] = {}
    for stem, names in stems.items():
        frame = frame_of(stem)
        if frame is None or frame > MAX_FRAME_ID:
            continue
        others = [files[frame]] if frame in files else []
        if len(names) + len(others) > 1:
            first, second = sorted([*others, *names])[:2]
            raise SourceError(
                f"{first} and {second} name the same frame",
                path=directory,
                scene=scene_id,
                frame=frame,
                cure="remove one of them",
            )
        files[frame] = names[0]
    return files
