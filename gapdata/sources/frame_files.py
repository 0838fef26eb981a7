"""Find the files of each frame of a scene, from one listing of each folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gapdata.annotations.frame_names import MAX_FRAME_ID
from gapdata.errors import SourceError, kind_of_failure
from gapdata.files.folders import file_names
from gapdata.sources.frame_numbering import Numbering, number_frames
from gapdata.sources.incomplete import Sought, why_incomplete
from gapdata.sources.layouts import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFiles:
    """The files of each kind by frame id, as paths relative to the scene's folder."""

    color: Mapping[int, str]
    depth: Mapping[int, str]
    pose: Mapping[int, str] | None  # None where one trajectory has all poses
    noticed: Mapping[str, int] = field(default_factory=dict)
    """Notes about files that do not belong to a frame, and files that were paired by time."""

    @property
    def kinds(self) -> dict[str, Mapping[int, str]]:
        """Return the files by kind; poses only where they are files."""
        return {"color": self.color, "depth": self.depth, **({"pose": self.pose} if self.pose is not None else {})}

    @property
    def complete(self) -> list[int]:
        """Return the ids of the complete frames, ascending."""
        return sorted(set.intersection(*(set(names) for names in self.kinds.values())))

    @property
    def span(self) -> int:
        """Return one more than the largest frame id of any kind."""
        return 1 + max((frame for names in self.kinds.values() for frame in names), default=-1)

    @property
    def missing(self) -> dict[str, int]:
        """Return notes: how many frames lack a file, by kind, and what else was noticed."""
        known = set().union(*(set(names) for names in self.kinds.values()))
        counts = {f"frame_without_{kind}": len(known) - len(names) for kind, names in self.kinds.items()}
        return {**{name: count for name, count in counts.items() if count}, **self.noticed}


def file_names_in(folder: Path, scene_id: str) -> list[str]:
    """Return the names of the files in a folder of frames.

    Raises:
        SourceError: it does not exist, or cannot be listed.
    """
    try:
        return file_names(folder)
    except FileNotFoundError as error:
        cure = "poses are in pose/ or poses/, or all in one trajectory.log or traj.txt"
        problem = f"has colour and depth, but no folder {folder.name}"
        raise SourceError(problem, path=folder.parent, scene=scene_id, cure=cure) from error
    except OSError as error:
        problem = f"cannot be listed: {error.strerror}"
        raise kind_of_failure(error)(problem, path=folder, scene=scene_id) from error


def list_frames(
    directory: Path,
    layout: Layout,
    scene_id: str,
    listed: Callable[[Path, str], list[str]] = file_names_in,
) -> FrameFiles:
    """Find a scene's frames by one listing of each folder.

    Args:
        directory: the folder that the layout's paths are relative to.
        layout: how files are named.
        scene_id: for messages.
        listed: returns the names of the files in a folder, which may lie in an archive.

    Raises:
        SourceError: a folder cannot be listed, no frame is complete, two files name the same frame, or a number is
            not a raw index.
    """
    namings = {"color": layout.color, "depth": layout.depth}
    if layout.pose is not None:
        namings["pose"] = layout.pose
    listings = {folder: listed(directory / folder, scene_id) for folder in {item.folder for item in namings.values()}}
    sought = {
        kind: Sought.among(
            listings[naming.folder],
            naming,
            others=[other for other in namings.values() if other is not naming and other.folder == naming.folder],
        )
        for kind, naming in namings.items()
    }
    try:
        names = {kind: list(found.files) for kind, found in sought.items()}
        numbering = _raw_indices(names) if layout.raw_indices else number_frames(names)
    except ValueError as error:
        raise SourceError(str(error), path=directory, scene=scene_id, cure="remove one of them") from error
    except _NotARawIndex as error:
        cure = "name frames by their raw index"
        raise SourceError(str(error), path=directory / layout.color.folder, scene=scene_id, cure=cure) from error
    by_frame = {
        kind: _by_frame(numbering.frames[kind], found.files, directory, scene_id) for kind, found in sought.items()
    }
    files = FrameFiles(
        color=by_frame["color"],
        depth=by_frame["depth"],
        pose=by_frame.get("pose"),
        noticed=_noticed(sought, numbering, files_of=by_frame),
    )
    if not files.complete:
        problem, cure = why_incomplete(sought, numbering)
        raise SourceError(f"has no complete frame: {problem}", path=directory, scene=scene_id, cure=cure)
    return files


class _NotARawIndex(Exception):
    """A number is not a raw index."""


def _raw_indices(names: Mapping[str, Sequence[str]]) -> Numbering:
    """Read names that are raw indices by definition."""
    largest = max(map(int, names["color"]), default=0)
    if largest > MAX_FRAME_ID:
        raise _NotARawIndex(f"has a frame {largest}, but raw indices are at most {MAX_FRAME_ID}")
    usable = {kind: {name: int(name) for name in found} for kind, found in names.items()}
    return Numbering(
        frames={kind: {name: at for name, at in found.items() if at <= MAX_FRAME_ID} for kind, found in usable.items()}
    )


def _by_frame(
    frames: Mapping[str, int], files: Mapping[str, Sequence[str]], directory: Path, scene_id: str
) -> dict[int, str]:
    found: dict[int, str] = {}
    for name, frame in frames.items():
        candidates = [*([found[frame]] if frame in found else []), *files[name]]
        if len(candidates) > 1:
            first, second = sorted(candidates)[:2]
            raise SourceError(
                f"{first} and {second} name the same frame",
                path=directory,
                scene=scene_id,
                frame=frame,
                cure="remove one of them",
            )
        found[frame] = candidates[0]
    return found


def _noticed(
    sought: Mapping[str, Sought], numbering: Numbering, files_of: Mapping[str, Mapping[int, str]]
) -> dict[str, int]:
    notes = {}
    for kind, found in sought.items():
        strays = sum(len(files) for files in found.files.values()) + len(found.misnamed) - len(files_of[kind])
        if strays:
            notes[f"{kind}_file_of_no_frame"] = strays
        if kind in numbering.pairs:
            notes[f"{kind}_paired_by_time"] = len(numbering.pairs[kind].partners)
    return notes
