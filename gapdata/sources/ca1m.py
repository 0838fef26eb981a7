"""Read CA-1M (``--ca1m``): captures of ARKitScenes with poses and exhaustive boxes in a laser scanner's world.

The folder holds ``ca1m-train-<id>.tar`` and ``ca1m-val-<id>.tar``, one capture each, or ``train/`` and ``val/`` with
them, as the official tool caches them. They are read in place (:mod:`gapdata.sources.ca1m_scan`). A scene's id is that
of the video, which it has in ARKitScenes, too; its split is in the name of its tar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from gapdata.annotations.label_tables import labels_by_name
from gapdata.errors import PASSING, StoreError, UsageError
from gapdata.files.natural_order import natural_key
from gapdata.files.storage import Location, file_sizes, subfolders
from gapdata.sources.arkit.capture_lists import read_capture_lists
from gapdata.sources.base import Dataset
from gapdata.sources.ca1m_boxes import STRUCTURE
from gapdata.sources.ca1m_scan import Ca1mScan
from gapdata.sources.stamps import Stamps, stamps_of

TAR = re.compile(r"ca1m-(train|val)-([0-9]{1,12})\.tar", re.ASCII)
HELD_OUT = "val"
EXPECTED = "expected ca1m-train-<id>.tar or ca1m-val-<id>.tar, one for each capture; they need not be unpacked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ca1m(Dataset):
    """A folder of CA-1M's tars."""

    name: ClassVar[str] = "ca1m"

    visits: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The visit of each scene that a list of ARKitScenes names, where one lies in or above the folder."""
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """The splits of each scene by the names of its tars."""

    @classmethod
    def open(cls, root: Location) -> Ca1m:
        """Find the tars of a folder.

        Raises:
            UsageError: the folder does not exist or holds none, or a list of ARKitScenes cannot be read.
        """
        if not root.is_dir():
            problem = "is a file, expected a folder with it" if root.exists() else "is not a directory"
            raise UsageError(problem, path=root, cure=EXPECTED)
        try:
            tars = list(_tars(root))
        except OSError as error:
            kind = StoreError if error.errno in PASSING else UsageError
            raise kind(f"cannot be listed: {error.strerror or error}", path=root) from error
        if not tars:
            raise UsageError("holds no tar of CA-1M", path=root, cure=EXPECTED)
        # Sorted so that the held-out tar of a capture in both splits comes last and counts.
        ordered = sorted(tars, key=lambda tar: (natural_key(tar[1]), tar[0]))
        splits = {
            scene: tuple(sorted({split for split, other, _ in ordered if other == scene})) for _, scene, _ in ordered
        }
        visits = read_capture_lists(root).visits
        return cls(
            root=root,
            scene_directories={scene: place for _, scene, place in ordered},
            in_two_splits={scene: named for scene, named in splits.items() if len(named) > 1},
            visits={scene: visits[scene] for scene in splits if scene in visits},
            splits=splits,
        )

    def open_scan(self, scene_id: str) -> Ca1mScan:
        """Open one capture.

        Raises:
            UsageError: there is no such scene.
            SourceError: its tar is damaged, or has no complete frame.
            StoreError: the store fails.
        """
        return Ca1mScan(scene_id, self.directory(scene_id))

    def split(self, scene_id: str) -> str:
        """Return the split in the name of the tar; ``val`` for a capture in both."""
        return self.splits[scene_id][-1] if scene_id in self.splits else "unknown"

    def places(self, scene_id: str) -> tuple[str, ...]:
        """Return the video, ``arkitscenes video 42898570``, and its visit where a list of ARKitScenes names it."""
        video = f"arkitscenes video {scene_id}"
        return (video, f"arkitscenes visit {self.visits[scene_id]}") if scene_id in self.visits else (video,)

    def kind(self, scene_id: str) -> str:
        """Return ``tar``."""
        return "tar"

    def annotated(self, scene_id: str) -> bool:
        """Return true: all published tars have boxes."""
        return True

    def labels(self, label: str) -> dict[str, str]:
        """Return the names of ``wall``, ``floor``, ``ceiling`` and ``door_frame``; other boxes have no class."""
        return {**labels_by_name(label.replace("_", " ")), "raw": label} if label in STRUCTURE else {"raw": label}

    def stamps(self, scene_id: str) -> Stamps:
        """Return size and time of the last change of the tar."""
        tar = self.scene_directories[scene_id]
        return stamps_of([tar.parent], wanted=lambda name: name == tar.name)

    def unreadable_digest(self, scene_id: str) -> str:
        """Return the bytes of the tar, on a disk."""
        tar = self.scene_directories[scene_id]
        return f"unreadable, {tar.stat().st_size} bytes" if isinstance(tar, Path) and tar.is_file() else "unreadable"


def open_folder(root: Location) -> Ca1m:
    """See :meth:`gapdata.sources.registry.SourceModule.open_folder`."""
    return Ca1m.open(root)


def _tars(root: Location) -> Iterator[tuple[str, str, Location]]:
    """Yield split, id and place of each tar in a folder, and in ``train/`` and ``val/`` in it."""
    for folder in (root, *(place for place in subfolders(root) if place.name in ("train", HELD_OUT))):
        for name in file_sizes(folder):
            match = TAR.fullmatch(name)
            if match is not None:
                yield match[1], match[2], folder / name
