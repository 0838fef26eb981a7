"""Layouts of extracted frames: which files make a frame, which hold the cameras, and how a folder is recognised.

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
with a step leave gaps.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from gapdata.errors import PASSING, StoreError
from gapdata.files.folders import by_lower_case, is_litter

COLOR_ENDINGS = ("jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff")
DEPTH_ENDINGS = ("png", "pgm", "npy", "tif", "tiff", "exr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How the files of one kind are named.

    ``pattern`` matches a file's name without its ending; its one group is the part that names the frame. Case does not
    count.
    """

    folder: str = ""  # below the scene's folder
    pattern: str = r"(.+)"
    endings: tuple[str, ...]

    def frame_name(self, name: str) -> str | None:
        """Return the part of a file's name that names its frame; ``None`` for a file of another kind."""
        stem, dot, ending = name.rpartition(".")
        match = (
            re.fullmatch(self.pattern, stem, re.IGNORECASE | re.DOTALL)
            if dot and ending.lower() in self.endings
            else None
        )
        return None if match is None else match[1]

    @property
    def said(self) -> str:
        """Return what is looked for, for people."""
        shape = self.pattern.replace(r"(\d+)", "NUMBER").replace("(.+)", "NAME").replace("\\", "")
        endings = ", ".join(f".{ending}" for ending in self.endings[:-1])
        ending = f"{endings} or .{self.endings[-1]}" if endings else f".{self.endings[-1]}"
        return f"{self.folder}/{shape}{ending}" if self.folder else f"{shape}{ending}"


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
    """Whether numbers are raw indices by definition; otherwise :mod:`gapdata.sources.frame_numbering` decides."""

    def with_namings(self, change: Callable[[Naming], Naming]) -> Layout:
        """Return the layout with every naming changed."""
        pose = None if self.pose is None else change(self.pose)
        return replace(self, color=change(self.color), depth=change(self.depth), pose=pose)


OFFICIAL_EXPORT = Layout(
    name="official-export",
    color=Naming(folder="color", pattern=r"(\d+)", endings=COLOR_ENDINGS),
    depth=Naming(folder="depth", pattern=r"(\d+)", endings=DEPTH_ENDINGS),
    pose=Naming(folder="pose", pattern=r"(\d+)", endings=("txt",)),
    matrices=("intrinsic/intrinsic_color.txt", "intrinsic/intrinsic_depth.txt"),
    extrinsics=("intrinsic/extrinsic_color.txt", "intrinsic/extrinsic_depth.txt"),
)
POSED_IMAGES = Layout(
    name="posed-images",
    color=Naming(pattern=r"(\d+)", endings=("jpg", "jpeg")),
    depth=Naming(pattern=r"(\d+)", endings=DEPTH_ENDINGS),
    pose=Naming(pattern=r"(\d+)", endings=("txt",)),
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
    color=Naming(pattern=r"frame-(\d+)\.color", endings=COLOR_ENDINGS),
    depth=Naming(pattern=r"frame-(\d+)\.depth", endings=DEPTH_ENDINGS),
    pose=Naming(pattern=r"frame-(\d+)\.pose", endings=("txt",)),
    info="_info.txt",
)


def recognise(names: Iterable[str]) -> Layout | None:
    """Return the ScanNet layout of a folder with these entries, or ``None``.

    A folder without its camera files is still recognised by its images, so that opening it can say what is missing.
    """
    found = by_lower_case(name for name in names if not is_litter(name))
    if "color" in found and "depth" in found:
        layout = FRAMES_25K if not found.keys().isdisjoint(FRAMES_25K.matrices or ()) else OFFICIAL_EXPORT
        if "_info.txt" in found and layout is OFFICIAL_EXPORT and "intrinsic" not in found:
            layout = replace(layout, name="folders-info", matrices=None, extrinsics=None, info="_info.txt")
        return layout.with_namings(lambda naming: replace(naming, folder=found.get(naming.folder, naming.folder)))
    if "_info.txt" in found:
        return SEVEN_SCENES
    for layout in (POSED_IMAGES, SEVEN_SCENES):
        if any(layout.color.frame_name(name) for name in found.values()):
            return layout
    return None


def find_frames(directories: Iterable[Path]) -> tuple[Path, Layout] | None:
    """Return the first folder with extracted frames in a ScanNet layout, and the layout.

    A folder that cannot be listed is passed over.

    Raises:
        StoreError: the file system fails.
    """
    for directory in directories:
        try:
            layout = recognise(os.listdir(directory))
        except OSError as error:
            if error.errno in PASSING:
                raise StoreError(f"cannot be listed: {error.strerror}", path=directory) from error
            continue
        if layout is not None:
            return directory, layout
    return None
