"""Read ARKitScenes (``--arkitscenes``): captures of furnished rooms with a tablet, their poses, meshes and boxes.

The folder is the download with ``3dod/`` and ``raw/``, one of these, one fold, any folder of captures, or one capture.
A capture in both packages is one scene (:mod:`gapdata.sources.arkit.assets`). The scene's id is the video's, 8 digits.

- A frame's raw index counts thirtieths of a second (:mod:`gapdata.sources.arkit.clock`), so that recipes mean the same
  seconds for 3dod's 10 images a second and for raw's 60.
- The split is the fold, ``Training`` or ``Validation``, by the lists that come with the data set, else by the folder. A
  visit's captures show the same place: :meth:`ArkitScenes.places` names it, and captures of a visit in both folds (the
  published folds have one, 381879) are named before a build and in its report.
- Images lie as the tablet was held. ``sky_direction`` of ``metadata.csv`` is not read, because it is wrong for a sixth
  of the captures: frames are turned by gravity in their poses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from gapdata.annotations.label_tables import labels_by_table
from gapdata.errors import SourceError, UsageError, kind_of_failure
from gapdata.files.storage import Location, subfolders
from gapdata.runtime.counting import counted, few
from gapdata.sources.arkit.assets import Assets, find_assets
from gapdata.sources.arkit.capture_lists import METADATA, read_capture_lists
from gapdata.sources.arkit.find_captures import FOLDS, any_frames, find_captures
from gapdata.sources.arkit.frames import download_command
from gapdata.sources.arkit.scan import ArkitScan
from gapdata.sources.base import Dataset
from gapdata.sources.stamps import Stamps, listing_digest, stamps_of

TABLE = "arkitscenes"
SHOWN = 5
"""Scenes, or entries of a folder, that a message names."""
HELD_OUT = "val"
EXPECTED = (
    "expected 3dod/Training/<id>/<id>_frames/lowres_wide, raw/Training/<id>/lowres_wide, or folders of captures that"
    " are named by 8 digits"
)
DOWNLOAD = (
    "python3 download_data.py 3dod --video_id_csv threedod/3dod_train_val_splits.csv --download_dir DIR, with the"
    " script of https://github.com/apple/ARKitScenes"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArkitScenes(Dataset):
    """A download of ARKitScenes."""

    name: ClassVar[str] = "arkitscenes"

    homes: Mapping[str, tuple[Location, ...]] = field(default_factory=dict, repr=False)
    """The folders of each scene, the preferred one first."""
    folds: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """The splits of each scene by its folders and lists; empty where nothing says it, two where they differ."""
    visits: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The visit of each scene that a list names."""

    @classmethod
    def open(cls, root: Location) -> ArkitScenes:
        """Find the captures below a folder.

        Raises:
            UsageError: the folder does not exist or holds no capture, or a list of captures cannot be read.
        """
        if not root.is_dir():
            problem = "is a file" if root.exists() else "is not a directory"
            raise UsageError(problem, path=root, cure=EXPECTED)
        try:
            found = find_captures(root)
            if not found.homes or not any_frames(found):
                raise UsageError("holds no capture of ARKitScenes", path=root, cure=_what_lies_in(root))
            lists = read_capture_lists(root)
        except OSError as error:
            raise UsageError(f"cannot be listed: {error.strerror or error}", path=error.filename or root) from error
        folds = {
            capture: tuple(split for split in FOLDS.values() if split in {*splits, *lists.folds.get(capture, ())})
            for capture, splits in found.folds.items()
        }
        visits = {capture: lists.visits[capture] for capture in found.homes if capture in lists.visits}
        return cls(
            root=root,
            scene_directories={capture: places[0] for capture, places in found.homes.items()},
            passed_over=found.passed_over,
            in_two_splits=_in_two_splits(folds, visits),
            homes=found.homes,
            folds=folds,
            visits=visits,
        )

    def open_scan(self, scene_id: str) -> ArkitScan:
        """Open one capture.

        Raises:
            UsageError: there is no such scene.
            SourceError: its frames, cameras or poses are missing or damaged.
            StoreError: the store fails.
        """
        self.directory(scene_id)
        return ArkitScan(scene_id, self.homes[scene_id])

    def split(self, scene_id: str) -> str:
        """Return ``train`` for the fold Training and ``val`` for Validation; the latter where both are named."""
        folds = self.folds.get(scene_id, ())
        return folds[-1] if folds else "unknown"

    def places(self, scene_id: str) -> tuple[str, ...]:
        """Return the visit, such as ``arkitscenes visit 381879``; nothing where no list names it."""
        return (f"{self.name} visit {self.visits[scene_id]}",) if scene_id in self.visits else ()

    def kind(self, scene_id: str) -> str:
        """Return the package that the frames are from, ``3dod`` or ``raw``, or ``missing``; opening says why."""
        try:
            return self._assets(scene_id).package
        except SourceError:
            return "missing"

    def annotated(self, scene_id: str) -> bool:
        """Return whether the capture has a file of boxes; it may say that nobody annotated the capture."""
        try:
            return self._assets(scene_id).boxes is not None
        except SourceError:
            return False

    def labels(self, label: str) -> dict[str, str]:
        """Return the names of a category, by ``manifests/categories/arkitscenes.tsv``."""
        return labels_by_table(TABLE, label)

    def stamps(self, scene_id: str) -> Stamps:
        """Return the stamps of all files of the capture that may be read."""
        try:
            assets = self._assets(scene_id)
        except SourceError:
            return {}
        return stamps_of([*assets.listed, *assets.folders.values()])

    def unreadable_digest(self, scene_id: str) -> str:
        """Return a digest of the names and sizes of the capture's files, on a disk."""
        try:
            places = [place for place in self._assets(scene_id).listed if isinstance(place, Path)]
        except SourceError as error:
            return f"unreadable, {error.problem}"
        return f"unreadable, {', '.join(listing_digest(place) for place in places)}"

    def lacks(self, scene_ids: Sequence[str], *, splits_given: bool) -> tuple[str, ...]:
        """Return a line for boxes, meshes, splits and visits that are missing, and for visits in both folds."""
        lines = list(self._lacking_files(scene_ids))
        if not splits_given and all(self.split(scene_id) == "unknown" for scene_id in scene_ids):
            lines.append(
                f"note: neither {METADATA} nor the folders Training and Validation say the splits of these captures, so"
                " their split is 'unknown'; training and evaluation look for train and val unless told otherwise"
            )
        if not self.visits:
            lines.append(
                f"note: no {METADATA} in or above {self.root} names the visits of these captures, so that captures of"
                " one place in both splits are not noticed; download_data.py writes it beside the folds"
            )
        return (*lines, *self._in_both_folds(scene_ids))

    def _lacking_files(self, scene_ids: Sequence[str]) -> list[str]:
        held = {}
        for scene_id in scene_ids:
            with suppress(SourceError):
                held[scene_id] = self._assets(scene_id)
        lacking = {
            ("boxes", ""): [name for name, assets in held.items() if assets.boxes is None],
            ("a mesh", ""): [name for name, assets in held.items() if assets.boxes and assets.mesh is None],
            ("confidence, so that all of their depth counts as sure", "confidence"): [
                name for name, assets in held.items() if assets.package != "missing" and not assets.has_confidence
            ],
        }
        names_of_folds = dict(zip(FOLDS.values(), FOLDS, strict=True))
        lines = []
        for (what, raw_assets), missing in lacking.items():
            if missing:
                command = download_command(missing[0], names_of_folds.get(self.split(missing[0]), ""), raw_assets)
                named = few(missing, SHOWN)
                lines.append(
                    f"note: {counted(len(missing), 'capture')} without {what}: {named}; to get the first: {command}"
                )
        return lines

    def _in_both_folds(self, scene_ids: Sequence[str]) -> list[str]:
        """Return a warning for each capture and each visit of a build that is in both folds."""
        lines = [
            f"warning: {scene_id} is in both folds by its folders and lists; it counts as {HELD_OUT}, so that no"
            " held-out capture is trained on"
            for scene_id in scene_ids
            if len(self.folds.get(scene_id, ())) > 1
        ]
        for visit, splits in sorted(_scenes_of_visits(self.visits, scene_ids, self.split).items()):
            if len(splits) > 1:
                named = " and ".join(f"{', '.join(splits[split])} ({split})" for split in sorted(splits))
                lines.append(
                    f"warning: visit {visit} is in both splits: {named} show the same place; leave one side out with"
                    " --scenes, or do not count these captures in an evaluation"
                )
        return lines

    def _assets(self, scene_id: str) -> Assets:
        """List the capture's folders.

        Raises:
            SourceError: they cannot be listed.
            StoreError: the store fails.
        """
        try:
            return find_assets(self.homes[scene_id])
        except OSError as error:
            problem = f"cannot be listed: {error.strerror or error}"
            raise kind_of_failure(error)(problem, path=error.filename, scene=scene_id) from error


def open_folder(root: Location) -> ArkitScenes:
    """See :meth:`gapdata.sources.registry.SourceModule.open_folder`."""
    return ArkitScenes.open(root)


def _in_two_splits(folds: Mapping[str, tuple[str, ...]], visits: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the splits of the captures that are in both folds, and of those whose visit is."""
    by_visit = _scenes_of_visits(visits, list(folds), lambda capture: folds[capture][-1] if folds[capture] else "")
    both = {visit for visit, splits in by_visit.items() if len(splits) > 1}
    everything = tuple(FOLDS.values())
    return {capture: everything for capture, splits in folds.items() if len(splits) > 1 or visits.get(capture) in both}


def _scenes_of_visits(
    visits: Mapping[str, str], scene_ids: Sequence[str], split_of: Callable[[str], str]
) -> dict[str, dict[str, list[str]]]:
    """Return scenes with a known split by visit and split."""
    found: dict[str, dict[str, list[str]]] = {}
    for scene_id in scene_ids:
        if scene_id in visits and split_of(scene_id) in FOLDS.values():
            found.setdefault(visits[scene_id], {}).setdefault(split_of(scene_id), []).append(scene_id)
    return found


def _what_lies_in(root: Location) -> str:
    """Return what to do about a folder without captures."""
    held = [f"{place.name}/" for place in subfolders(root)]
    content = f"it holds {few(held, SHOWN)}" if held else "it holds no folder"
    return f"{EXPECTED}; {content}; to download: {DOWNLOAD}"
