"""Read any folder of RGB-D frames with poses and one intrinsics file, whatever program wrote it (``--rgbd``).

A scene is a folder in one of these forms; the folder that the user names is a scene, or each of its sub-folders is one:

- ``color/ depth/ pose/``: one file of each kind for a frame, with equal names or numbers. Colour (JPEG, PNG, or
  BMP, WebP or TIFF, which are encoded again) may also lie in ``rgb/``, ``image/`` or ``images/``, poses (camera to
  world, metres, OpenCV axes, unless a :class:`gapdata.sources.frame_reading.FrameReading` says otherwise;
  :func:`gapdata.sources.pose_files.parse_pose`) in ``poses/``.
- ``color/ depth/`` and one file of all poses: ``trajectory.log`` or ``scene/trajectory.log`` (Redwood, Open3D),
  ``traj.txt``, ``trajectory.txt``, ``poses.txt``, ``pose.txt`` or ``traj_w_c.txt``, read by
  :func:`gapdata.sources.pose_files.parse_trajectory`.
- ``results/frame000350.jpg``, ``results/depth000350.png`` and one file of all poses (Replica).
- ``frame-000350.color.png``, ``.depth.png``, ``.pose.txt`` (7-Scenes), or with ``_info.txt`` (ScanNet's C++ exporter,
  3RScan, where they may lie in ``sequence/``).
- ``rgb.txt``, ``depth.txt`` and ``groundtruth.txt`` (TUM, Bonn): :mod:`gapdata.sources.tum`.
- a capture of a phone or another tool: :data:`gapdata.sources.captures.CAPTURES`.
- one of the other ScanNet layouts of :mod:`gapdata.sources.layouts`, with their own camera files.

Names of folders and endings count in any case; hidden files, files that systems leave (:mod:`gapdata.files.folders`)
and folders that may not be read are passed over. A scene has the name of its folder, also where that is a link.

Depth is z-depth of colour's field of view, 0 or far away where it is unknown: 16-bit PNG, PGM, TIFF or ``.npy`` in
``1 / depth_scale`` metres, or floats in metres as TIFF, ``.npy`` or, where OpenCV reads it, EXR
(:mod:`gapdata.sources.depth_files`). The intrinsics file is one of
:data:`gapdata.sources.intrinsics_files.INTRINSICS_NAMES`, in the scene's folder or in the one that the user named;
:func:`gapdata.sources.camera_files.parse_intrinsics` lists its forms. Names such as ``00350`` or ``frame350`` give the
frame its raw index; other names (time stamps) are counted in their natural order, and paired by time where colour and
depth have stamps of their own (:mod:`gapdata.sources.frame_numbering`).
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from gapdata.annotations.label_tables import labels_by_name
from gapdata.errors import SourceError, UsageError
from gapdata.files.folders import by_lower_case, entries, in_any_case, is_kind, is_litter
from gapdata.files.natural_order import natural_key
from gapdata.geometry.pose_convention import PoseConvention
from gapdata.geometry.pose_names import AXES, CAMERA_TO_WORLD, DIRECTIONS
from gapdata.runtime.choices import check_choice
from gapdata.runtime.counting import counted, few
from gapdata.sources.base import Dataset, Scan
from gapdata.sources.boxes_file import BoxesFile, find_objects_file
from gapdata.sources.captures import CAPTURES, find_capture
from gapdata.sources.extracted import ExtractedScan
from gapdata.sources.foreign_folders import why_foreign
from gapdata.sources.frame_reading import AS_DOCUMENTED, FrameReading
from gapdata.sources.intrinsics_files import INTRINSICS_NAMES, find_intrinsics, intrinsics_file
from gapdata.sources.layouts import COLOR_ENDINGS, DEPTH_ENDINGS, Layout, Naming, recognise
from gapdata.sources.seven_scenes import UNREGISTERED, SevenScenesScan, is_seven_scenes, is_unregistered
from gapdata.sources.stamps import Stamps, file_stamps, stamps_of
from gapdata.sources.tum import LISTS, TUM_LISTS, TumScan

COLOR_FOLDERS = ("color", "colour", "rgb", "image", "images", "colors", "colours")
DEPTH_FOLDERS = ("depth", "depths")
POSE_FOLDERS = ("pose", "poses")
TRAJECTORY_NAMES = ("trajectory.log", "traj.txt", "trajectory.txt", "poses.txt", "pose.txt", "traj_w_c.txt")
WHOLE_SCENE = "scene/trajectory.log"
"""The poses of all frames where Open3D's reconstruction system wrote them; ``fragments/`` has poses of parts."""
BUNDLE_FUSION_INFO = "info.txt"
"""The file with the cameras of frames that were extracted from BundleFusion's captures."""
LEVELS = 2  # of sub-folders in which the files of a scene lie
SEQUENCE = "sequence"
"""Where 3RScan keeps the frames of a scan, below its folder."""
CAPTURE_ENDINGS = tuple(ending for capture in CAPTURES.values() for ending in capture.endings)
LONE_VIDEOS = (".mp4", ".mov")
LONE_VIDEO = (
    "a video alone has neither poses nor exact depth, also Record3D's RGBD video, whose depth is a colour: share the "
    "recording as .r3d, or give the folder of the capture"
)
SHOWN = 6  # entries of a folder without scenes that a message names
EXPECTED = "expected color/, depth/ and pose/ (or trajectory.log), see `gapdata build-shards --help`"


@dataclass(frozen=True, slots=True, kw_only=True)
class RgbdFolder(Dataset):
    """A folder of scenes, with the objects that a user lists beside them."""

    name: ClassVar[str] = "rgbd"

    root: Path
    scene_directories: Mapping[str, Path] = field(repr=False)
    reading: FrameReading = AS_DOCUMENTED
    """What the user says about the frames of all scenes."""

    @classmethod
    def open(cls, root: str | os.PathLike[str], reading: FrameReading = AS_DOCUMENTED) -> RgbdFolder:
        """Find the scenes: the folder itself, or else its sub-folders.

        Raises:
            UsageError: the folder does not exist, holds no scene, or two scenes would get the same name.
        """
        root = Path(root)
        if not root.is_dir() and not _is_capture_file(root):
            lone = root.suffix.lower() in LONE_VIDEOS and root.is_file()
            raise UsageError(
                "is not a directory", path=root, cure=LONE_VIDEO if lone else "give a folder of RGB-D frames"
            )
        root = root.absolute()
        directories, passed_over = _find_scenes(root)
        if not directories:
            raise UsageError("holds no RGB-D frames", path=root, cure=_what_lies_in(root, passed_over))
        scenes: dict[str, Path] = {}
        for name, directory in directories.items():
            scene_id = scene_name(_without_ending(Path(name) if name else root))
            if scene_id in scenes:
                raise UsageError(
                    f"{scenes[scene_id].name} and {directory.name} would both be scene {scene_id}",
                    path=root,
                    cure="rename one of them",
                )
            scenes[scene_id] = directory
        return cls(
            root=root,
            scene_directories={scene: scenes[scene] for scene in sorted(scenes, key=natural_key)},
            reading=reading,
            passed_over=passed_over,
        )

    def kind(self, scene_id: str) -> str:
        """Return the name of the layout, or ``missing``."""
        place = self.scene_directories[scene_id]
        capture = capture_of(place)
        layout = None if capture else recognise_rgbd(place)
        return capture or ("missing" if layout is None else layout.name)

    def annotated(self, scene_id: str) -> bool:
        """Return whether there is an ``objects.json``."""
        return self._objects_file(scene_id) is not None

    def labels(self, label: str) -> dict[str, str]:
        """Return the names of a label in the taxonomies that have it."""
        return labels_by_name(label)

    def stamps(self, scene_id: str) -> Stamps:
        """Return the stamps of the files of the scene, and of a list of objects beside it."""
        place, listed = self.scene_directories[scene_id], self._objects_file(scene_id)
        single = [place] if place.is_file() else []
        return {
            **stamps_of([place], nested=LEVELS),
            **file_stamps(single if listed is None else [*single, listed.path]),
        }

    def lacks(self, scene_ids: Sequence[str], *, splits_given: bool) -> tuple[str, ...]:
        """Return a line about scenes whose depth is not registered to colour, and no calibration says how it lies."""
        found = [scene_id for scene_id in scene_ids if is_unregistered(self.scene_directories[scene_id], self.root)]
        return (f"note: {counted(len(found), 'scene')} ({few(found, SHOWN)}): {UNREGISTERED}",) if found else ()

    def open_scan(self, scene_id: str) -> Scan:
        """Open one scene.

        Raises:
            UsageError: there is no such scene.
            SourceError: its frames or its intrinsics are missing or damaged.
        """
        scan = self._open(scene_id)
        scan.objects_file = self._objects_file(scene_id)
        return scan

    def _objects_file(self, scene_id: str) -> BoxesFile | None:
        place = self.scene_directories[scene_id]
        found = find_objects_file(place)
        return find_objects_file(place.parent) if found is None and place.name == SEQUENCE else found

    def _open(self, scene_id: str) -> Scan:
        self.directory(scene_id)
        directory = self.scene_directories[scene_id]
        if capture := capture_of(directory):
            return CAPTURES[capture].load().open_capture(scene_id, directory, self.reading)
        layout = recognise_rgbd(directory)
        if layout is None:
            raise SourceError("holds no RGB-D frames", path=directory, scene=scene_id, cure=EXPECTED)
        if layout == TUM_LISTS:
            nearby = find_intrinsics(scene_id, (directory, directory.parent))
            return TumScan(scene_id, directory, layout, shared_intrinsics=nearby, reading=self.reading)
        shared = None
        if layout.matrices is None and layout.info is None:
            shared = intrinsics_file(scene_id, directory, self.root)
            if is_seven_scenes(layout):
                return SevenScenesScan(scene_id, directory, layout, shared_intrinsics=shared, reading=self.reading)
        return ExtractedScan(scene_id, directory, layout, shared_intrinsics=shared, reading=self.reading)


def open_folder(
    root: Path,
    *,
    depth_scale: float | None = None,
    poses: str = CAMERA_TO_WORLD,
    axes: str = "opencv",
    pose_units: float | None = None,
    pose_shift: int = 0,
    depth_shift: int = 0,
) -> RgbdFolder:
    """Open a folder of RGB-D frames, with the facts that the folder does not state.

    Args:
        root: the folder of frames, or of such folders.
        depth_scale: units of depth per metre; by default what the intrinsics file says, else 1000.
        poses: what the pose matrices map, one of :data:`gapdata.geometry.pose_names.DIRECTIONS`.
        axes: of the camera, one of :data:`gapdata.geometry.pose_names.AXES`.
        pose_units: metres of a unit of the poses' translations; by default 1, which is checked where a format may have
            any unit.
        pose_shift: how many places later the pose of a frame is stored.
        depth_shift: how many places later the depth image of a frame is stored.

    Raises:
        UsageError: the folder holds no such frames, or an option has an impossible value.
    """
    check_choice("poses", poses, DIRECTIONS)
    check_choice("axes", axes, tuple(AXES))
    if depth_scale is not None and not 0 < depth_scale < float("inf"):
        raise UsageError(
            f"--depth-scale is {depth_scale:g}, expected a positive number of units per metre such as 1000"
        )
    reading = FrameReading(
        convention=PoseConvention(
            direction=poses, axes=axes, metres_per_unit=1.0 if pose_units is None else pose_units
        ),
        depth_units_per_metre=depth_scale,
        pose_shift=pose_shift,
        depth_shift=depth_shift,
        units_stated=pose_units is not None,
    )
    return RgbdFolder.open(root, reading)


def scene_name(directory: Path) -> str:
    """Return the folder's name as a scene id: characters that would end a key or a path become underscores.

    ``.`` and ``..`` get the name of the folder that they lead to.
    """
    named = directory if directory.name not in ("", "..") else directory.resolve()
    return re.sub(r"[^A-Za-z0-9_-]", "_", unicodedata.normalize("NFC", named.name)) or "root"


def _find_scenes(root: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the folders of frames by their names (the root's is empty), and the folders that are passed over.

    Raises:
        UsageError: the root cannot be listed.
    """
    try:
        if _is_scene(root):
            return {"": root}, {}
        with os.scandir(root) as found:
            folders = sorted(
                (entry for entry in found if is_kind(entry, folder=True) or _is_capture_file(Path(entry.path))),
                key=lambda e: natural_key(e.name),
            )
    except OSError as error:
        raise UsageError(f"cannot be listed: {error.strerror}", path=root) from error
    directories: dict[str, Path] = {}
    passed_over: dict[str, str] = {}
    for entry in folders:
        for place in (Path(entry.path), Path(entry.path, SEQUENCE)):
            try:
                is_scene = _is_scene(place)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                is_scene = False
                if not is_litter(entry.name):
                    passed_over[entry.name] = f"cannot be listed: {error.strerror}"
            if is_scene and is_litter(entry.name):
                passed_over[entry.name] = "is hidden or a backup by its name"
            elif is_scene:
                directories[entry.name] = place
            if is_scene:
                break
        if entry.name not in directories and not is_litter(entry.name):
            reason = why_foreign(Path(entry.path)) or _what_lies_deeper(Path(entry.path))
            passed_over |= {} if reason is None else {entry.name: reason}
    return directories, passed_over


def _what_lies_deeper(folder: Path) -> str | None:
    """Return that a folder holds folders of frames instead of frames; ``None`` for another folder."""
    try:
        below = [entry.name for entry in entries(folder) if is_kind(entry, folder=True) and not is_litter(entry.name)]
        found = next((name for name in sorted(below, key=natural_key)[:SHOWN] if _is_scene(folder / name)), None)
    except OSError:
        return None
    return None if found is None else f"holds scans one level further down, such as {found}/: give {folder} itself"


def _is_scene(place: Path) -> bool:
    """Return whether frames lie in a folder or file.

    Raises:
        OSError: the folder cannot be listed.
    """
    return capture_of(place) is not None or (not place.is_file() and recognise_rgbd(place) is not None)


def capture_of(place: Path) -> str | None:
    """Return the name of a capture's format (:data:`gapdata.sources.captures.CAPTURES`), or ``None``.

    Raises:
        OSError: the folder cannot be listed.
    """
    return find_capture(place, {} if place.is_file() else by_lower_case(entry.name for entry in entries(place)))


def _is_capture_file(place: Path) -> bool:
    return place.suffix.lower() in CAPTURE_ENDINGS and place.is_file()


def _without_ending(place: Path) -> Path:
    return place.with_suffix("") if place.suffix.lower() in CAPTURE_ENDINGS else place


def _what_lies_in(root: Path, passed_over: Mapping[str, str]) -> str:
    """Return what to do about a folder without scenes."""
    held = [entry.name + ("/" if is_kind(entry, folder=True) else "") for entry in entries(root)]
    content = f"; it holds {few(held, SHOWN)}" if held else "; it is empty"
    foreign = why_foreign(root)
    content += f"; it {foreign}" if foreign else ""
    return EXPECTED + content + "".join(f"; {name} {reason}" for name, reason in passed_over.items())


def recognise_rgbd(directory: Path) -> Layout | None:
    """Return the layout of a folder of frames; ``None`` for another folder. Opening it says which files are missing.

    Raises:
        OSError: the folder cannot be listed.
    """
    names = by_lower_case(entry.name for entry in entries(directory))
    known = recognise(names.values())
    if known is not None and known.info is not None and known.info not in names:
        own = not known.color.folder and names.keys().isdisjoint(INTRINSICS_NAMES)
        return replace(known, info=names.get(BUNDLE_FUSION_INFO) if own else None)
    if known is not None and (known.matrices is None or _has_any(directory, known.matrices)):
        return known if not known.color.folder else _of_any_names(known)
    color, depth, pose, trajectory = (
        next((names[name] for name in candidates if name in names), None)
        for candidates in (COLOR_FOLDERS, DEPTH_FOLDERS, POSE_FOLDERS, TRAJECTORY_NAMES)
    )
    if trajectory is None and "scene" in names and _has_any(directory, (WHOLE_SCENE,)):
        trajectory = WHOLE_SCENE
    if names.keys() >= LISTS and pose is None and trajectory is None:
        return TUM_LISTS
    if color is not None and depth is not None:
        return Layout(
            name="color-depth-pose" if pose or not trajectory else "color-depth-trajectory",
            color=Naming(folder=color, endings=COLOR_ENDINGS),
            depth=Naming(folder=depth, endings=DEPTH_ENDINGS),
            pose=Naming(folder=pose or POSE_FOLDERS[0], endings=("txt",)) if pose or not trajectory else None,
            trajectory=None if pose else trajectory,
            raw_indices=False,
        )
    if "results" in names and trajectory is not None:
        return Layout(
            name="results-trajectory",
            color=Naming(folder=names["results"], pattern=r"frame(\d+)", endings=COLOR_ENDINGS),
            depth=Naming(folder=names["results"], pattern=r"depth(\d+)", endings=DEPTH_ENDINGS),
            trajectory=trajectory,
        )
    return None


def _of_any_names(layout: Layout) -> Layout:
    """Return the layout with names that need not be raw indices, as ScanNet's are."""
    freed = layout.with_namings(lambda naming: Naming(folder=naming.folder, endings=naming.endings))
    return replace(freed, raw_indices=False)


def _has_any(directory: Path, names: tuple[str, ...]) -> bool:
    return any(os.path.lexists(in_any_case(directory, name)) for name in names)
