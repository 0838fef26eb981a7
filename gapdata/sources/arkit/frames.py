"""Find the frames of a capture: colour images with depth and camera, each with its tick of the clock and its pose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.frame_names import MAX_FRAME_ID
from gapdata.files.storage import Location
from gapdata.runtime.counting import counted
from gapdata.sources.arkit.assets import POSES, Assets
from gapdata.sources.arkit.cameras import MAX_BYTES, parse_pincams
from gapdata.sources.arkit.capture_files import CaptureFiles
from gapdata.sources.arkit.clock import (
    SECOND,
    StampedFiles,
    one_each_tick,
    raw_indices,
    seconds_text,
    stamped_files,
)
from gapdata.sources.arkit.trajectory import INTERPOLATED, LONGEST_GAP, parse_trajectory, poses_of_frames
from gapdata.sources.stamped_poses import StampedPoses

ENDINGS: Mapping[str, tuple[str, ...]] = {
    "color": ("png", "jpg", "jpeg"),
    "depth": ("png",),
    "cameras": ("pincam",),
    "confidence": ("png",),
}
TRAJECTORY_BYTES = 1 << 28
SHOWN = {"color": "lowres_wide/", "depth": "lowres_depth/", "cameras": "lowres_wide_intrinsics/"}
AGAIN = "download it again"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatchedFrames:
    """The frames of a capture; their order is that of time."""

    ids: tuple[int, ...]
    """Raw indices."""
    files: Mapping[str, Mapping[int, str]]
    """By kind (``color``, ``depth``, ``confidence``), the name of each frame's file; a frame may lack confidence."""
    cameras: NDArray[np.float64]
    """(n, 6) width height fx fy cx cy of each frame, as its file has them."""
    camera_to_world: NDArray[np.float64]  # (N, 4, 4) by raw index, metres, NaN where unknown
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Matches:
    """The files of a capture, and which of them belong to each colour image."""

    kinds: Mapping[str, StampedFiles]
    places: Mapping[str, NDArray[np.int64]]
    """By kind, (n,) the place of the file of each colour image, -1 where there is none."""
    whole: NDArray[np.int64]  # (m,) colour images with depth and a camera

    @property
    def stamps(self) -> NDArray[np.int64]:
        """The moments of the images that are whole, (m,) microseconds."""
        return self.kinds["color"].stamps[self.whole]

    def names(self, kind: str, images: NDArray[np.int64], ids: Sequence[int]) -> dict[int, str]:
        """Return the names of a kind's files by raw index; images without one are left out."""
        found = self.kinds[kind].names
        places = self.places[kind][images].tolist()
        return {frame: found[place] for frame, place in zip(ids, places, strict=True) if place >= 0}


def find_frames(assets: Assets, files: CaptureFiles) -> MatchedFrames:
    """Match the files of a capture by their time stamps.

    Raises:
        SourceError: a kind of files is missing, no frame is complete, or the trajectory cannot be read or does not
            reach any frame.
    """
    _check_complete(assets, files)
    assert assets.poses is not None
    matches = _match(assets, files)
    rows = _trajectory(assets.poses, files)
    poses = poses_of_frames(rows, matches.stamps)
    ticks, chosen = _on_the_clock(matches, poses.rank, assets.folders["color"], files)
    cameras, readable = _cameras(assets.folders["cameras"], matches, matches.whole[chosen], files)
    chosen = chosen[readable]
    images, ids = matches.whole[chosen], ticks[chosen].tolist()
    named = {kind: matches.names(kind, images, ids) for kind in matches.kinds if kind != "cameras"}
    by_frame = np.full((ids[-1] + 1, 4, 4), np.nan)
    by_frame[ids] = poses.camera_to_world[chosen]
    if not poses.rank[chosen].any():
        problem = _why_without_pose(rows.stamps, matches.stamps[chosen])
        raise files.damage(problem, assets.poses, cure=AGAIN)
    counts = {
        **_misfits(matches),
        "frame_beyond_30_hz": len(matches.whole) - len(readable),
        "unreadable_camera": int((~readable).sum()),
        "frame_without_confidence": len(ids) - len(named.get("confidence", ids)),
        "pose_interpolated": int((poses.rank[chosen] == INTERPOLATED).sum()),
        "frame_without_pose": int((poses.rank[chosen] == 0).sum()),
        **poses.notes,
    }
    return MatchedFrames(
        ids=tuple(ids),
        files=named,
        cameras=cameras[readable],
        camera_to_world=by_frame,
        notes={name: count for name, count in counts.items() if count},
    )


def download_command(capture: str, fold: str, raw_assets: str = "") -> str:
    """Return the command that downloads a capture, with the script of ARKitScenes' repository.

    Args:
        capture: its id.
        fold: ``Training`` or ``Validation``; anything else becomes a word for the user to replace.
        raw_assets: what to take of the raw package, with blanks between; by default the 3dod package is taken.
    """
    shown = fold if fold in ("Training", "Validation") else "FOLD"
    package, assets = ("raw", f" --raw_dataset_assets {raw_assets}") if raw_assets else ("3dod", "")
    return f"python3 download_data.py {package} --split {shown} --video_id {capture}{assets} --download_dir DIR"


def _check_complete(assets: Assets, files: CaptureFiles) -> None:
    """Refuse a capture that lacks a whole kind of files.

    Raises:
        SourceError: it does; the message has the command that downloads it.
    """
    lacking = [shown for kind, shown in SHOWN.items() if kind not in assets.folders]
    lacking += [POSES[0]] if assets.poses is None else []
    if not lacking:
        return
    home = assets.listed[-1]
    cure = f"download it: {download_command(files.scene_id, home.parent.name)}"
    if lacking == [POSES[0]]:
        cure += "; ARKitScenes has no poses for 24 of its raw captures"
    packed = [
        place.name for place in assets.zips if place.name.removesuffix(".zip") in {name.rstrip("/") for name in lacking}
    ]
    if packed:
        cure = f"unpack {', '.join(packed)}"
    raise files.damage(f"lacks {', '.join(lacking)}", home, cure=cure)


def _match(assets: Assets, files: CaptureFiles) -> _Matches:
    """List all folders and find the files of each colour image.

    Raises:
        SourceError: a folder cannot be listed, or no colour image has depth and a camera.
    """
    kinds = {
        kind: stamped_files(files.listed(place), ENDINGS[kind], files.scene_id)
        for kind, place in sorted(assets.folders.items())
    }
    places = {kind: found.nearest(kinds["color"].stamps) for kind, found in kinds.items()}
    whole = np.flatnonzero((places["depth"] >= 0) & (places["cameras"] >= 0))
    if not len(whole):
        raise files.damage(_why_incomplete(kinds), assets.folders["color"].parent, cure=AGAIN)
    return _Matches(kinds=kinds, places=places, whole=whole)


def _trajectory(path: Location, files: CaptureFiles) -> StampedPoses:
    try:
        return parse_trajectory(files.text(path, TRAJECTORY_BYTES))
    except ValueError as error:
        raise files.damage(str(error), path, cure=AGAIN) from error


def _on_the_clock(
    matches: _Matches, rank: NDArray[np.int64], folder: Location, files: CaptureFiles
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the tick of each whole image, (m,), and the places among them of those that are read.

    Raises:
        SourceError: the images are of more time than there are raw indices.
    """
    stamps, start = matches.stamps, int(matches.kinds["color"].stamps[0])
    ticks = raw_indices(stamps, start)
    if ticks[-1] > MAX_FRAME_ID:
        span = counted(int(stamps[-1] - start) // SECOND, "second")
        raise files.damage(f"has images over {span}", folder, cure=AGAIN)
    return ticks, one_each_tick(ticks, stamps, start, rank)


def _cameras(
    folder: Location, matches: _Matches, images: NDArray[np.int64], files: CaptureFiles
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the camera of each image, (n, 6), and which images have a readable one, (n,).

    Raises:
        SourceError: none can be read.
    """
    names = [matches.kinds["cameras"].names[place] for place in matches.places["cameras"][images].tolist()]
    values, problems = parse_pincams(files.texts(folder, names, MAX_BYTES))
    if len(problems) == len(names):
        raise files.damage(problems[0], folder / names[0], cure=AGAIN)
    readable = np.ones(len(names), dtype=bool)
    readable[list(problems)] = False
    return values, readable


def _misfits(matches: _Matches) -> dict[str, int]:
    """Return how many colour images lack another file, and how many files belong to no frame."""
    counts: dict[str, int] = {}
    for kind in ("color", "depth"):
        found, places = matches.kinds[kind], matches.places[kind]
        counts[f"{kind}_file_of_no_frame"] = found.strays + len(found.names) - len(np.unique(places[places >= 0]))
    counts["frame_without_depth"] = int((matches.places["depth"] < 0).sum())
    counts["frame_without_camera"] = int((matches.places["cameras"] < 0).sum())
    return counts


def _why_incomplete(kinds: Mapping[str, StampedFiles]) -> str:
    held = ", ".join(
        f"{counted(len(kinds[kind].names), noun)}"
        for kind, noun in (("color", "colour image"), ("depth", "depth image"), ("cameras", "camera file"))
    )
    firsts = ", ".join(found.names[0] for found in kinds.values() if found.names)
    of_these = f", such as {firsts}" if firsts else ""
    return f"has no complete frame: it has {held}{of_these}, and no colour image has the time of both others"


def _why_without_pose(rows: Sequence[str], stamps: NDArray[np.int64]) -> str:
    return (
        f"has no pose for any frame: frames are from {seconds_text(int(stamps[0]))} to "
        f"{seconds_text(int(stamps[-1]))} s, poses from {rows[0]} to {rows[-1]} s, and poses more than "
        f"{LONGEST_GAP:g} s apart are not joined"
    )
