"""Gathers all annotation files that a user names into one :class:`SceneAnnotations` per scene of the data set.

A file is known by its content, never by its name: EmbodiedScan's pickles, ScanRefer's and Scan2Cap's sentences,
Mask3D's boxes and masks, GAP-MLLM's and VG-LLM's conversations. Only a mask's scene and the split that a file claims
are in its name, and nowhere else.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.conversation import Conversation
from gapdata.annotations.embodiedscan import EmbodiedScene, read_embodiedscan
from gapdata.annotations.files import absolute_text, claimed_split, open_annotation
from gapdata.annotations.gap_json import read_conversations
from gapdata.annotations.json_items import json_items
from gapdata.annotations.proposals import MASK_SUFFIX, MASKS_KIND, read_masks, read_proposals
from gapdata.annotations.report import FileReport, Tally
from gapdata.annotations.scanrefer import Description, read_descriptions
from gapdata.annotations.scene_annotations import Provenance, SceneAnnotations
from gapdata.annotations.splits import SplitClaim
from gapdata.errors import AnnotationError, UsageError
from gapdata.files.folders import is_litter
from gapdata.geometry.boxes import EulerConvention
from gapdata.storage import Location, location

FileKind = Literal["embodiedscan", "descriptions", "proposals", "masks", "conversations", "nothing"]

SNIFFED_ITEMS = 20
"""A file is told by the first of so many items that is recognised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherReport:
    """What became of every file, and what two files said about the same thing."""

    files: tuple[FileReport, ...]
    claims: tuple[SplitClaim, ...]
    """Of each file, for :func:`gapdata.annotations.splits.overlaps`."""
    conflicts: Mapping[str, int]
    """What was left out because an earlier file had said it already, by reason."""

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for ``report.json``."""
        return {"files": [file.to_dict() for file in self.files], "conflicts": dict(self.conflicts)}

    def lines(self) -> list[str]:
        """For people."""
        repeats = [f"{count} left out: {reason.replace('_', ' ')}" for reason, count in self.conflicts.items()]
        return [line for file in self.files for line in file.lines()] + repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """All annotations of a build."""

    scenes: Mapping[str, SceneAnnotations]
    """Only scenes about which some file says something, sorted."""
    report: GatherReport


def gather(
    paths: Sequence[Location | str],
    scene_ids: Collection[str] | None = None,
    *,
    euler: EulerConvention | None = None,
) -> Gathered:
    """Read all files, in the order given; where two speak of the same thing the first one counts.

    Args:
        paths: annotation files, and folders of ``<scene>.mask.npz``.
        scene_ids: the scenes of the data set; others are counted in the report. All by default.
        euler: what the angles of conversation files mean; by default what each file itself shows.

    Raises:
        AnnotationError: a file is damaged or of no known kind. Damaged items are left out and reported.
        UsageError: a folder holds no masks, or a file is named twice.
    """
    wanted = None if scene_ids is None else frozenset(scene_ids)
    gathering = _Gathering(wanted, euler)
    for path in _files(paths):
        gathering.read(path)
    return gathering.result()


def recognise(path: Location) -> FileKind:
    """The kind of a file, by its content; ``nothing`` for an empty list, which any of them may be.

    Raises:
        AnnotationError: it cannot be read or is none of those that are known.
    """
    with open_annotation(path) as file:
        head = file.read_at(0, 4)
    if head[:1] == b"\x80":
        return "embodiedscan"
    if head == b"PK\x03\x04":
        return "masks"
    if not head:
        raise AnnotationError("is empty", path=path, cure="download it again")
    sniffed = list(itertools.islice(json_items(path), SNIFFED_ITEMS))
    if not sniffed:
        return "nothing"
    for item in sniffed:
        kind = _kind_of_item(item)
        if kind is not None:
            return kind
    raise AnnotationError(
        "is no annotation file of a known kind",
        path=path,
        cure="known are EmbodiedScan's .pkl, ScanRefer's, Scan2Cap's, GAP-MLLM's and VG-LLM's .json, and Mask3D's "
        "pred_box.json and mask.npz",
    )


def _kind_of_item(item: Any) -> FileKind | None:
    if not isinstance(item, dict) or not item:
        return None
    if {"scene_id", "object_id", "description"} <= item.keys():
        return "descriptions"
    if item.keys() & {"images", "image", "video"} and item.keys() & {"conversations", "answer_text"}:
        return "conversations"
    boxes = next((rows for rows in item.values() if rows != []), None)
    if isinstance(boxes, list) and all(isinstance(row, list) and len(row) == 6 for row in boxes):
        return "proposals"
    return None


def _files(paths: Sequence[Location | str]) -> Iterable[Location]:
    seen: set[str] = set()
    for named in paths:
        path = location(named)
        try:
            is_folder = path.is_dir()
            found = [entry for entry in path.iterdir() if _is_mask_file(entry.name)] if is_folder else [path]
        except OSError as error:
            raise AnnotationError(f"cannot be read: {error.strerror or error}", path=path) from error
        if not found:
            raise UsageError(f"holds no *{MASK_SUFFIX}", path=path, cure="name annotation files, or a mask folder")
        for file in sorted(found, key=str):
            if absolute_text(file) in seen:
                raise UsageError("is named twice", path=file, cure="name every annotation file once")
            seen.add(absolute_text(file))
            yield file


def _is_mask_file(name: str) -> bool:
    return name.endswith(MASK_SUFFIX) and not is_litter(name)


class _Gathering:
    """What has been read so far."""

    def __init__(self, wanted: frozenset[str] | None, euler: EulerConvention | None) -> None:
        self.wanted, self.euler = wanted, euler
        self.provenance: dict[str, list[Provenance]] = {}
        self.embodied: dict[str, EmbodiedScene] = {}
        self.descriptions: dict[str, dict[tuple[int, str], Description]] = {}
        self.proposals: dict[str, NDArray[np.float64]] = {}
        self.mask_files: dict[str, str] = {}
        self.conversations: dict[str, list[Conversation]] = {}
        self.reports: list[FileReport] = []
        self.claims: list[SplitClaim] = []
        self.conflicts: dict[str, int] = {}
        self.masks: dict[str, Tally] = {}  # by folder: there is a file for each scene

    def read(self, path: Location) -> None:
        """Read one file."""
        kind = recognise(path)
        if kind == "embodiedscan":
            embodied = read_embodiedscan(path, self.wanted)
            self._note(path, embodied.report, embodied.scenes)
            self._first("scene_of_two_EmbodiedScan_files", self.embodied, embodied.scenes)
        elif kind == "descriptions":
            described = read_descriptions(path, self.wanted)
            self._note(path, described.report, described.scenes)
            for scene_id, items in described.scenes.items():
                keyed = {(item.object_id, item.ann_id): item for item in items}
                self._first("description_of_two_files", self.descriptions.setdefault(scene_id, {}), keyed)
        elif kind == "proposals":
            proposed = read_proposals(path, self.wanted)
            self._note(path, proposed.report, proposed.scenes)
            self._first("proposals_of_two_files", self.proposals, proposed.scenes)
        elif kind == "masks":
            self._read_masks(path)
        elif kind == "nothing":
            self._note(path, Tally().report(path=path, kind="nothing", split=claimed_split(path)), ())
        else:
            talked = read_conversations(path, self.wanted, euler=self.euler)
            self._note(path, talked.report, talked.scenes)
            for scene_id, conversations in talked.scenes.items():
                self.conversations.setdefault(scene_id, []).extend(conversations)

    def _read_masks(self, path: Location) -> None:
        """Check a mask file now, though only a worker that has the mesh can use it."""
        tally = self.masks.setdefault(f"{path.parent}/*{MASK_SUFFIX}", Tally())
        masks = read_masks(path)
        if self.wanted is not None and masks.scene_id not in self.wanted:
            tally.ignore("scene_not_in_data_set", masks.scene_id)
            return
        for index, mask in enumerate(masks.masks):
            if not len(mask):
                tally.defect("mask_without_vertex", f"{masks.scene_id} mask {index}")
        tally.take(masks.scene_id)
        self._first("masks_of_two_files", self.mask_files, {masks.scene_id: absolute_text(path)})
        self.provenance.setdefault(masks.scene_id, []).append(Provenance(source=path.name, kind=MASKS_KIND, split=None))

    def _note(self, path: Location, report: FileReport, scenes: Iterable[str]) -> None:
        source = Provenance(source=path.name, kind=report.kind, split=report.split)
        for scene_id in scenes:
            self.provenance.setdefault(scene_id, []).append(source)
        self.reports.append(report)
        self.claims.append(
            SplitClaim(source=path.name, kind=report.kind, split=report.split, scene_ids=frozenset(scenes))
        )

    def _first(self, reason: str, known: dict[Any, Any], new: Mapping[Any, Any]) -> None:
        repeated = len(known.keys() & new.keys())
        if repeated:
            self.conflicts[reason] = self.conflicts.get(reason, 0) + repeated
        known.update({key: value for key, value in new.items() if key not in known})

    def result(self) -> Gathered:
        """Everything by scene."""
        scenes = {}
        for scene_id in sorted(self.provenance):
            embodied = self.embodied.get(scene_id)
            scenes[scene_id] = SceneAnnotations(
                scene_id=scene_id,
                provenance=tuple(self.provenance[scene_id]),
                axis_alignment=None if embodied is None else embodied.axis_alignment,
                boxes=None if embodied is None else embodied.boxes,
                visible=None if embodied is None else embodied.visible,
                descriptions=tuple(self.descriptions.get(scene_id, {}).values()),
                proposals=self.proposals.get(scene_id),
                mask_file=self.mask_files.get(scene_id),
                conversations=tuple(self.conversations.get(scene_id, ())),
            )
        masks = [tally.report(path=path, kind=MASKS_KIND, split=None) for path, tally in self.masks.items()]
        report = GatherReport(files=(*self.reports, *masks), claims=tuple(self.claims), conflicts=dict(self.conflicts))
        return Gathered(scenes=scenes, report=report)
