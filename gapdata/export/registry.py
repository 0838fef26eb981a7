"""The forms in which a build is exported for other people's programs, by name: ``gapdata export --format NAME``.

An exit is a form of export: one file and one row of :data:`EXITS`. Importing this module does not import any exit or
heavy library, because the help of the command line reads it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from gapdata.files.storage import Location
    from gapdata.records.schema import Record
    from gapdata.shards.reader import ShardReader

GAP_TASKS = ("recons", "det", "scanrefer1", "scanrefer2", "scanrefer", "scan2cap")
"""The tasks of GAP-MLLM's and VG-LLM's files: pre-training, detection, grounding's two stages and its one-pass form,
captioning. :data:`gapdata.annotations.conversation.TASKS` are the same."""

TRAINERS = ("swift", "llamafactory", "qwen", "llava", "trl")
"""Whose form conversations take: ms-swift, LLaMA-Factory, Qwen's finetune repository, LLaVA and its heirs, TRL."""


def question_tasks() -> Sequence[str]:
    """Return the names of all tasks that a record can be asked."""
    from gapdata.tasks.questions import TASKS

    return tuple(TASKS)


def spatial_tasks() -> Sequence[str]:
    """Return the names of all types of spatial questions."""
    from gapdata.tasks.spatial.kinds import KINDS

    return tuple(KINDS)


class ExitModule(Protocol):
    """What the file of an exit defines."""

    def export(self, build: ShardReader, records: Iterable[Record], out: Path, **options: Any) -> dict[str, Any]:
        """Write records to a folder and return what becomes ``report.json``.

        Args:
            build: where the records are from.
            records: those to write, in the build's order, each read when it is asked for.
            out: a folder of this export's own; it may hold what the same export wrote before it was stopped.
            options: those of the row, with the values that were given or the defaults.

        Raises:
            ShardError: a record is damaged.
        """
        ...

    def format_report(self, report: Mapping[str, Any]) -> str:
        """Return the report as text for a terminal."""
        ...


class CheckedExitModule(ExitModule, Protocol):
    """What the file of an exit defines that the terms of use may forbid."""

    def check(self, build: Location, terms: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> None:
        """Refuse what may not be exported so, before anything is written.

        Args:
            build: the folder.
            terms: rows of :func:`gapdata.sources.terms.terms_table`.
            options: those of the row, with the values that were given or the defaults.

        Raises:
            UsageError: the terms do not allow it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """One form of export."""

    module: str
    """The file that writes it, an :class:`ExitModule`."""
    help: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further options that it takes, with their defaults."""
    tasks: Callable[[], Sequence[str]] = tuple
    """What its option ``tasks`` can name, in order; the default ``None`` of that option stands for all."""

    by_terms: bool = False
    """Whether the terms of use of the build's scans decide: the file is a :class:`CheckedExitModule`, and its
    ``export`` is given ``terms``, too."""

    def load(self) -> ExitModule:
        """Import the file that writes this form."""
        return cast(ExitModule, importlib.import_module(self.module))


EXITS: dict[str, Exit] = {
    "gap-json": Exit(
        module="gapdata.export.gap_json",
        options={"tasks": GAP_TASKS, "wording": "gap"},
        tasks=lambda: GAP_TASKS,
        help="JSON and images that GAP-MLLM's and VG-LLM's own loaders read, and build-shards reads back",
    ),
    "chat": Exit(
        module="gapdata.export.chat",
        options={
            **{"trainer": "swift", "tasks": None, "wording": "consistent", "taxonomy": None},
            **{"marks": 1, "per_kind": 2, "questions": None},
        },
        tasks=question_tasks,
        help="questions and answers of all tasks as conversations for ms-swift, LLaMA-Factory, Qwen's finetune code, "
        "LLaVA or TRL, with the marks drawn into the images",
    ),
    "hf": Exit(
        module="gapdata.export.hf",
        options={"private": False, "text_only": False, "name": "Views of scanned rooms"},
        by_terms=True,
        help="a Hugging Face dataset of the same tars, with a card by which load_dataset reads every frame of every "
        "view",
    ),
    "lmms-eval": Exit(
        module="gapdata.export.lmms_eval",
        options={"tasks": None, "taxonomy": None, "per_kind": 2, "questions": None},
        tasks=spatial_tasks,
        help="spatial questions as a task of lmms-eval, on which any model is scored, with its blind twin",
    ),
    "energon": Exit(
        module="gapdata.export.energon",
        help="the same tars for megatron-energon, with their splits and a cooker",
    ),
    "transforms": Exit(
        module="gapdata.export.transforms",
        help="scenes with transforms.json, depth and a cloud, as nerfstudio reads them",
    ),
    "colmap": Exit(
        module="gapdata.export.colmap",
        help="scenes as COLMAP's text models with a cloud, as trainers of Gaussian splats read them",
    ),
    "posed-images": Exit(
        module="gapdata.export.posed_images",
        help="the frames alone, as JPEG, depth and pose files in EmbodiedScan's layout, which --scannet reads",
    ),
}
