"""Any folder of RGB-D frames with poses and one intrinsics file, whatever made it (``--rgbd``).

A scene is a folder in one of these forms; the folder that the user names is a scene itself, or holds one a sub-folder:

- ``color/ depth/ pose/``: one file each a frame, of equal names but for the ending. Colour (JPEG or PNG) may also lie
  in ``rgb/``, ``image/`` or ``images/``, poses (16 numbers, camera to world, metres, OpenCV axes) in ``poses/``.
- ``color/ depth/`` and one file of all poses: ``trajectory.log`` (Redwood, Open3D), ``traj.txt``, ``trajectory.txt`` or
  ``poses.txt``, read by :func:`gapdata.sources.pose_files.parse_trajectory`.
- ``results/frame000350.jpg``, ``results/depth000350.png`` and one file of all poses (Replica).
- ``frame-000350.color.png``, ``.depth.png``, ``.pose.txt`` (7-Scenes).
- one of the ScanNet layouts of :mod:`gapdata.sources.layouts`, with their own camera files.

Depth is 16-bit PNG or PGM, z-depth in ``1 / depth_scale`` metres, 0 or far away where there is none, and of the same
field of view as colour. The intrinsics file is one of ``INTRINSICS_NAMES``, in the scene's folder or in the one that
the user named; :func:`gapdata.sources.camera_files.parse_intrinsics` says what may stand in it. Names such as
``00350`` or ``frame350`` give the frame its raw index; where names have no such number (time stamps) frames are counted
in the order of their names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from gapdata.errors import SourceError, UsageError
from gapdata.sources.extracted import ExtractedScan
from gapdata.sources.layouts import Layout, Naming, listing_digest, recognise

INTRINSICS_NAMES = (
    "intrinsics.json",
    "intrinsics.txt",
    "intrinsic.json",
    "intrinsic.txt",
    "camera.json",
    "cam_params.json",
    "camera-intrinsics.txt",
)
COLOR_FOLDERS = ("color", "rgb", "image", "images")
POSE_FOLDERS = ("pose", "poses")
TRAJECTORY_NAMES = ("trajectory.log", "traj.txt", "trajectory.txt", "poses.txt")
COLOR_PATTERN, DEPTH_PATTERN, POSE_PATTERN = r"(.+)\.(?:jpg|jpeg|png)", r"(.+)\.(?:png|pgm)", r"(.+)\.txt"
URI = re.compile(r"[a-z][a-z0-9+]+:/")  # pathlib joins the two slashes
EXPECTED = "expected color/, depth/ and pose/ (or trajectory.log), see `gapdata build-shards --help`"


@dataclass(frozen=True, slots=True, kw_only=True)
class RgbdFolder:
    """A folder of scenes without annotation; ``depth_units_per_metre`` overrides what intrinsics files say."""

    name: ClassVar[str] = "rgbd"

    root: Path
    scene_directories: Mapping[str, Path]
    depth_units_per_metre: float | None = None

    @classmethod
    def open(cls, root: str | os.PathLike[str], depth_units_per_metre: float | None = None) -> RgbdFolder:
        """Find the scenes: the folder itself, or else its sub-folders.

        Raises:
            UsageError: the folder does not exist, holds no scene, or two scenes would get the same name.
        """
        root = Path(root)
        if URI.match(os.fspath(root)):
            raise UsageError(
                "is no local folder", path=root, cure="extracted frames are read from disk: copy or mount them"
            )
        if not root.is_dir():
            raise UsageError("is no directory", path=root, cure="give a folder of RGB-D frames")
        root = root.absolute()
        if recognise_rgbd(root) is not None:
            directories = [root]
        else:
            directories = [entry for entry in sorted(root.iterdir()) if entry.is_dir() and recognise_rgbd(entry)]
        if not directories:
            raise UsageError("holds no RGB-D frames", path=root, cure=EXPECTED)
        scenes: dict[str, Path] = {}
        for directory in directories:
            scene_id = scene_name(directory)
            if scene_id in scenes:
                raise UsageError(
                    f"{scenes[scene_id].name} and {directory.name} would both be scene {scene_id}",
                    path=root,
                    cure="rename one of them",
                )
            scenes[scene_id] = directory
        return cls(
            root=root, scene_directories=dict(sorted(scenes.items())), depth_units_per_metre=depth_units_per_metre
        )

    @property
    def scene_ids(self) -> tuple[str, ...]:
        """All scenes, sorted."""
        return tuple(self.scene_directories)

    def split(self, scene_id: str) -> str:
        """``unknown``."""
        return "unknown"

    def kind(self, scene_id: str) -> str:
        """The name of the layout, or ``missing``."""
        layout = recognise_rgbd(self.scene_directories[scene_id])
        return "missing" if layout is None else layout.name

    def annotated(self, scene_id: str) -> bool:
        """Never: such folders have no objects."""
        return False

    def labels(self, label: str) -> dict[str, str]:
        """The label itself."""
        return {"raw": label}

    def open_scan(self, scene_id: str) -> ExtractedScan:
        """Open one scene.

        Raises:
            SourceError: its frames or its intrinsics are missing or damaged.
        """
        directory = self.scene_directories[scene_id]
        layout = recognise_rgbd(directory)
        if layout is None:
            raise SourceError("holds no RGB-D frames", path=directory, scene=scene_id, cure=EXPECTED)
        shared = None
        if layout.matrices is None and layout.info is None:
            shared = _intrinsics_file(scene_id, directory, self.root)
        units = self.depth_units_per_metre
        return ExtractedScan(scene_id, directory, layout, shared_intrinsics=shared, depth_units_per_metre=units)

    def unreadable_digest(self, scene_id: str) -> str:
        """The names and sizes of the scene's files."""
        return f"unreadable, {listing_digest(self.scene_directories[scene_id])}"


def scene_name(directory: Path) -> str:
    """The folder's name as a scene id: what would end a key in a shard, or a path, becomes an underscore."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", directory.resolve().name)


def recognise_rgbd(directory: Path) -> Layout | None:
    """The layout of a folder of frames, ``None`` where there are none. Which files are missing is said when it is
    opened."""
    names = frozenset(os.listdir(directory))
    known = recognise(names)
    if known is not None and known.info is not None and known.info not in names:
        return replace(known, info=None)
    if known is not None and known.matrices is not None and _has_any(directory, known.matrices):
        return known
    color = next((name for name in COLOR_FOLDERS if name in names), None)
    trajectory = next((name for name in TRAJECTORY_NAMES if name in names), None)
    if color is not None and "depth" in names:
        pose = next((name for name in POSE_FOLDERS if name in names), None)
        return Layout(
            name="color-depth-pose" if pose or not trajectory else "color-depth-trajectory",
            color=Naming(folder=color, pattern=COLOR_PATTERN),
            depth=Naming(folder="depth", pattern=DEPTH_PATTERN),
            pose=Naming(folder=pose or POSE_FOLDERS[0], pattern=POSE_PATTERN) if pose or not trajectory else None,
            trajectory=None if pose else trajectory,
            raw_indices=False,
        )
    if "results" in names and trajectory is not None:
        return Layout(
            name="results-trajectory",
            color=Naming(folder="results", pattern=r"frame(\d+)\.(?:jpg|jpeg|png)"),
            depth=Naming(folder="results", pattern=r"depth(\d+)\.(?:png|pgm)"),
            trajectory=trajectory,
        )
    return None


def _has_any(directory: Path, names: tuple[str, ...]) -> bool:
    return any((directory / name).is_file() for name in names)


def _intrinsics_file(scene_id: str, directory: Path, root: Path) -> Path:
    for folder in dict.fromkeys((directory, root)):
        found = [path for name in INTRINSICS_NAMES if (path := folder / name).is_file()]
        if len(found) > 1:
            problem = f"has both {found[0].name} and {found[1].name}"
            raise SourceError(problem, path=folder, scene=scene_id, cure="keep the one that belongs to the frames")
        if found:
            return found[0]
    raise SourceError(
        "has no intrinsics file",
        path=directory,
        scene=scene_id,
        cure=f'write {INTRINSICS_NAMES[0]}: {{"fx": ..., "fy": ..., "cx": ..., "cy": ..., "depth_scale": 1000}}',
    )
