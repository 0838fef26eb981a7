"""Gather all annotation files that a user names into one :class:`SceneAnnotations` per scene of the data set.

A file is recognised by its content (:mod:`gapdata.annotations.recognition`). The split of its scenes is decided by
:mod:`gapdata.annotations.split_evidence`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.annotation_file import AnnotationFile, named_split
from gapdata.annotations.benchmark import BenchmarkQuestion, Questions
from gapdata.annotations.conversation import ConversationItem
from gapdata.annotations.embodiedscan import EmbodiedScene, read_embodiedscan
from gapdata.annotations.embodiedscan_names import DATA_SETS
from gapdata.annotations.gap_json import read_conversations
from gapdata.annotations.multi3drefer import read_multi3drefer
from gapdata.annotations.proposals import MASK_SUFFIX, MASKS_KIND, read_masks, read_proposals
from gapdata.annotations.recognition import FileKind, recognise
from gapdata.annotations.referit3d import read_referit3d
from gapdata.annotations.report import FileReport, Tally
from gapdata.annotations.scanqa import read_scanqa
from gapdata.annotations.scanrefer import Description, Descriptions, read_descriptions
from gapdata.annotations.scene_annotations import Provenance, SceneAnnotations
from gapdata.annotations.spar import read_spar, read_spar_bench
from gapdata.annotations.split_evidence import (
    EMBODIEDSCAN,
    EVERY,
    HELD_OUT,
    MADE_FROM_IT,
    SPLIT_ANEW,
    Evidence,
    decide,
    possible_splits,
)
from gapdata.annotations.splits import FileSplits
from gapdata.annotations.sqa3d import SituatedAnswers, read_answers, read_sqa3d, report_of_answers
from gapdata.annotations.vsi_bench import read_vsi_bench
from gapdata.errors import FileError, UsageError
from gapdata.files.folders import is_litter
from gapdata.files.storage import Location, absolute_text, location
from gapdata.geometry.boxes import EulerConvention

DESCRIPTION_READERS: Mapping[FileKind, Callable[[Location, Collection[str] | None], Descriptions]] = {
    "descriptions": read_descriptions,
    "multi3drefer": read_multi3drefer,
    "referit3d": read_referit3d,
}
QUESTION_READERS: Mapping[FileKind, Callable[[Location, Collection[str] | None], Questions]] = {
    "vsi-bench": read_vsi_bench,
    "spar": read_spar,
    "spar-bench": read_spar_bench,
    "scanqa": read_scanqa,
    "sqa3d": read_sqa3d,
}
MADE_FROM_EMBODIEDSCAN = frozenset({"det", "recons"})
"""Conversation files of these tasks follow EmbodiedScan's splits; files of other tasks keep ScanNet's splits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherReport:
    """The reports of all files, and how often two files have the same thing."""

    files: tuple[FileReport, ...]
    file_splits: tuple[FileSplits, ...]
    """The splits of each file, for :func:`gapdata.annotations.splits.overlaps`."""
    conflicts: Mapping[str, int]
    """Count of what was left out because an earlier file had it already, by reason."""
    contradictions: tuple[UsageError, ...] = ()
    """An error for each file with scenes of another split than its name or the user says."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, for ``report.json``."""
        return {"files": [file.to_dict() for file in self.files], "conflicts": dict(self.conflicts)}

    def lines(self) -> list[str]:
        """Return lines for people."""
        repeats = [
            f"{count} left out, because an earlier file has the same: {reason.replace('_', ' ')}"
            for reason, count in self.conflicts.items()
        ]
        return [line for file in self.files for line in file.lines()] + repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """All annotations of a build."""

    scenes: Mapping[str, SceneAnnotations]
    """By scene id, sorted; a scene that is in no file is absent."""
    report: GatherReport


def gather(
    paths: Sequence[AnnotationFile | Location | str],
    scene_ids: Collection[str] | None = None,
    *,
    source: str = "scannet",
    euler: EulerConvention | None = None,
    scene_splits: Mapping[str, str] | None = None,
) -> Gathered:
    """Read all files in the order given.

    Where two files have the same thing, the first one counts.

    Args:
        paths: annotation files, and folders of ``<scene>.mask.npz``.
        scene_ids: the scenes of the data set; other scenes are only counted in the report. All scenes by default.
        source: the name of the data set, whose samples are taken from EmbodiedScan's files. Folders of extracted frames
            (``rgbd``) may hold scenes of ScanNet.
        euler: the Euler convention of the boxes in conversation files; by default it is found from each file's boxes.
        scene_splits: the data set's split of each scene, with which the split of a file is checked. Without it a file
            has the split that its name states, if any.

    Raises:
        FileError: a file is damaged or of an unknown kind. Damaged items are left out and reported.
        UsageError: a folder does not hold masks, a file is named twice, or the split of its scenes is not known.
    """
    wanted = None if scene_ids is None else frozenset(scene_ids)
    gathering = _Gathering(wanted, euler, scene_splits, source if source in DATA_SETS else "scannet")
    for file in _files(paths):
        gathering.read(file)
    gathering.pair_situations()
    return gathering.result()


def _files(paths: Sequence[AnnotationFile | Location | str]) -> Iterable[AnnotationFile]:
    seen: set[str] = set()
    for named in paths:
        given = named if isinstance(named, AnnotationFile) else AnnotationFile(path=location(named))
        path = given.path
        try:
            is_folder = path.is_dir()
            found = [entry for entry in path.iterdir() if _is_mask_file(entry.name)] if is_folder else [path]
        except OSError as error:
            raise FileError(f"cannot be read: {error.strerror or error}", path=path) from error
        if not found:
            raise UsageError(
                f"does not hold *{MASK_SUFFIX}", path=path, cure="name annotation files, or a folder of masks"
            )
        for file in sorted(found, key=str):
            if absolute_text(file) in seen:
                raise UsageError("is named twice", path=file, cure="name every annotation file once")
            seen.add(absolute_text(file))
            yield AnnotationFile(path=file, split=given.split)


def _held_out(file: AnnotationFile) -> Mapping[str, frozenset[str]] | None:
    """Return how a file splits scenes anew: a ``test`` may be of the data set's validation scenes."""
    return HELD_OUT if (file.split or named_split(file.path)) == "test" else None


def _is_mask_file(name: str) -> bool:
    return name.endswith(MASK_SUFFIX) and not is_litter(name)


class _Gathering:
    """The content of the files that have been read so far."""

    def __init__(
        self,
        wanted: frozenset[str] | None,
        euler: EulerConvention | None,
        scene_splits: Mapping[str, str] | None,
        source: str,
    ) -> None:
        self.wanted, self.euler, self.source = wanted, euler, source
        self.scene_splits = scene_splits
        self.contradictions: list[UsageError] = []
        self.provenance: dict[str, list[Provenance]] = {}
        self.embodied: dict[str, EmbodiedScene] = {}
        self.descriptions: dict[str, dict[tuple[int, str], Description]] = {}
        self.proposals: dict[str, NDArray[np.float64]] = {}
        self.mask_files: dict[str, str] = {}
        self.conversations: dict[str, list[ConversationItem]] = {}
        self.questions: dict[str, dict[tuple[Any, ...], BenchmarkQuestion]] = {}
        self.situations: list[AnnotationFile] = []  # SQA3D's questions, which wait for their answers
        self.situated_answers: list[SituatedAnswers] = []
        self.reports: list[FileReport] = []
        self.file_splits: list[FileSplits] = []
        self.conflicts: dict[str, int] = {}
        self.masks: dict[str, Tally] = {}  # by folder, because each scene has a file of its own

    def read(self, file: AnnotationFile) -> None:
        """Read one file."""
        path = file.path
        kind = recognise(path)
        if kind == "embodiedscan":
            embodied = read_embodiedscan(path, {self.source: self.wanted})
            scenes = embodied.of(self.source)
            resplit = EMBODIEDSCAN if self.source == "scannet" else SPLIT_ANEW
            self._note(file, embodied.report, dict.fromkeys(scenes, resplit))
            self._first("scene_of_two_EmbodiedScan_files", self.embodied, scenes)
        elif kind in DESCRIPTION_READERS:
            described = DESCRIPTION_READERS[kind](path, self.wanted)
            self._note(file, described.report, dict.fromkeys(described.scenes, _held_out(file)))
            for scene_id, items in described.scenes.items():
                keyed = {(item.object_id, item.ann_id): item for item in items}
                self._first("description_of_two_files", self.descriptions.setdefault(scene_id, {}), keyed)
        elif kind in QUESTION_READERS:
            self._take_questions(file, QUESTION_READERS[kind](path, self.wanted))
        elif kind == "sqa3d questions":
            self.situations.append(file)
        elif kind == "sqa3d answers":
            self.situated_answers.append(read_answers(path))
        elif kind == "proposals":
            proposed = read_proposals(path, self.wanted)
            self._note(file, proposed.report, dict.fromkeys(proposed.scenes), teaches=False)
            self._first("proposals_of_two_files", self.proposals, proposed.scenes)
        elif kind == "masks":
            self._read_masks(file)
        elif kind == "nothing":
            self._note(file, Tally().report(path=path, kind="nothing", split=named_split(path)), {})
        else:
            talked = read_conversations(path, self.wanted, euler=self.euler)
            made = {
                scene_id: MADE_FROM_IT if any(item.task in MADE_FROM_EMBODIEDSCAN for item in items) else None
                for scene_id, items in talked.scenes.items()
            }
            self._note(file, talked.report, made)
            for scene_id, conversations in talked.scenes.items():
                self.conversations.setdefault(scene_id, []).extend(conversations)

    def _take_questions(self, file: AnnotationFile, found: Questions) -> None:
        self._note(file, found.report, dict.fromkeys(found.scenes, _held_out(file)))
        for scene_id, items in found.scenes.items():
            keyed = {item.key: item for item in items}
            self._first("question_of_two_files", self.questions.setdefault(scene_id, {}), keyed)

    def pair_situations(self) -> None:
        """Read SQA3D's questions, when the answers of all files are known.

        Raises:
            UsageError: its release's files of questions or of answers are missing.
        """
        if bool(self.situations) != bool(self.situated_answers):
            path = self.situations[0].path if self.situations else self.situated_answers[0].path
            has, lacks = ("questions", "annotations") if self.situations else ("annotations", "questions")
            problem = f"has SQA3D's {has} only, which belong together with its {lacks}"
            cure = f"name v1_balanced_{'sqa_' if self.situations else ''}{lacks}_*.json with --annotations, too"
            raise UsageError(problem, path=path, cure=cure)
        answers = {number: said for file in self.situated_answers for number, said in file.by_id.items()}
        used: dict[str, str] = {}
        for file in self.situations:
            found = read_sqa3d(file.path, self.wanted, answers)
            self._take_questions(file, found)
            used.update({str(item.id): scene_id for scene_id, items in found.scenes.items() for item in items})
        self.reports += [report_of_answers(file, used) for file in self.situated_answers]

    def _read_masks(self, file: AnnotationFile) -> None:
        """Check a mask file; a worker, which has the mesh, reads it again to make boxes."""
        path = file.path
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
        source = Provenance(source=path.name, kind=MASKS_KIND, split=file.split)
        self.provenance.setdefault(masks.scene_id, []).append(source)

    def _note(
        self,
        file: AnnotationFile,
        report: FileReport,
        resplit: Mapping[str, Mapping[str, frozenset[str]] | None],
        *,
        teaches: bool = True,
    ) -> None:
        """Add the report of a file and the split of its scenes.

        Args:
            file: the file.
            report: its report, to which the decision about its split is added.
            resplit: for each of its scenes, the splits that files of this kind give in place of the data set's, by
                that of the data set; ``None`` where they keep the data set's.
            teaches: whether a model learns from the file, so that its split must be known.
        """
        name, known = file.path.name, self.scene_splits
        decision = decide(
            Evidence(
                path=file.path,
                stated=file.split,
                named=named_split(file.path),
                possible={
                    scene_id: EVERY if known is None else possible_splits(known.get(scene_id), resplit[scene_id])
                    for scene_id in resplit
                },
            ),
            must_know=teaches and known is not None,
        )
        self.contradictions += [] if decision.contradiction is None else [decision.contradiction]
        for scene_id, split in decision.splits.items():
            source = Provenance(source=name, kind=report.kind, split=split)
            self.provenance.setdefault(scene_id, []).append(source)
        if decision.splits:
            notes = {**report.notes, **decision.notes}
            report = replace(report, split=decision.split, split_from=decision.split_from, notes=notes)
        self.reports.append(report)
        self.file_splits.append(FileSplits(source=name, splits=decision.splits))

    def _first(self, reason: str, known: dict[Any, Any], new: Mapping[Any, Any]) -> None:
        repeated = len(known.keys() & new.keys())
        if repeated:
            self.conflicts[reason] = self.conflicts.get(reason, 0) + repeated
        known.update({key: value for key, value in new.items() if key not in known})

    def result(self) -> Gathered:
        """Return all annotations by scene."""
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
                questions=tuple(self.questions.get(scene_id, {}).values()),
            )
        masks = [tally.report(path=path, kind=MASKS_KIND, split=None) for path, tally in self.masks.items()]
        report = GatherReport(
            files=(*self.reports, *masks),
            file_splits=tuple(self.file_splits),
            conflicts=dict(self.conflicts),
            contradictions=tuple(self.contradictions),
        )
        return Gathered(scenes=scenes, report=report)
