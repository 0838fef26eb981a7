"""Where the questions of an evaluation come from: a build's own, its conversations verbatim, or a conversation file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gapdata.errors import UsageError
from gapdata.shards.reader import ShardReader
from gapdata.shards.records import Records
from gapdata.tasks.predictions import Asking
from gapmodel.evaluation.asking import TASKS, TaskQuestions
from gapmodel.evaluation.build_conversations import BuildConversations, holds_conversations_alone
from gapmodel.evaluation.conversation_files import ConversationFile
from gapmodel.evaluation.given_asking import given_asking, given_tasks
from gapmodel.evaluation.given_records import GivenRecords
from gapmodel.evaluation.run import Askings, asked_tasks
from gapmodel.evaluation.tasks import ALL, ANY, expand

Kind = Literal["build", "conversations", "file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionSource:
    """What a worker has to open; small, because it is sent to the worker."""

    kind: Kind
    place: str  # the build, or the file
    images: Path | None = None
    proposals: Path | None = None
    split: str = "val"
    written: Path | None = None
    """The file of `gapdata questions` whose spatial questions are asked."""

    def open(self) -> Records:
        """Return the records; those of conversations are :class:`GivenRecords`.

        Raises:
            UsageError: there is nothing to ask.
        """
        if self.kind == "file":
            assert self.images is not None
            return ConversationFile(Path(self.place), self.images, self.proposals)
        reader = ShardReader(self.place)
        return BuildConversations(reader, self.split) if self.kind == "conversations" else reader

    def askings(self, reader: Records, own: Askings) -> Askings:
        """Return how the questions of each task are put: as rows have them, or as ``own`` says."""
        if not isinstance(reader, GivenRecords):
            return own
        asking: Asking = given_asking(reader)
        return lambda _: asking


def question_source(
    shards: str | None,
    conversations: Path | None,
    images: Path | None,
    proposals: Path | None,
    tasks: str | None,
    split: str,
) -> QuestionSource:
    """Return the source that a command line names.

    The conversations of a build are asked where ``tasks`` is ``conversation``, or where no task is named and they are
    all that the split holds.

    Raises:
        UsageError: it names none or two, or the split does not exist.
    """
    if (shards is None) == (conversations is None):
        raise UsageError(
            "name either a build with --shards or a file of questions with --conversations", cure="name one of them"
        )
    if conversations is not None:
        if images is None:
            raise UsageError("--conversations needs its images", cure="name their folder with --images")
        return QuestionSource(kind="file", place=str(conversations), images=images, proposals=proposals)
    if images is not None or proposals is not None:
        raise UsageError("--images and --proposals are for --conversations", cure="leave them out: a build has its own")
    if tasks is not None and tasks != ANY and ANY in map(str.strip, tasks.split(",")):
        raise UsageError(f"{ANY} is asked alone", cure="ask the other tasks by another command")
    reader = ShardReader(shards or "")
    reader.select(split=split)  # a split that no build has is refused before anything is asked
    alone = tasks is None and holds_conversations_alone(reader, split)
    kind: Kind = "conversations" if alone or tasks == ANY else "build"
    return QuestionSource(kind=kind, place=str(reader.build), split=split)


def source_tasks(source: QuestionSource, tasks: str | None) -> str | None:
    """Return the tasks to choose from a command line's: of conversations all that they ask, where none is named."""
    if source.kind == "build" or tasks not in (None, ANY):
        return tasks
    return ALL


def questions_of(
    reader: Records,
    askings: Askings,
    tasks: tuple[str, ...],
    limit: int | None,
    *,
    optional: bool,
    written: Path | None = None,
) -> list[TaskQuestions]:
    """Return all questions of a source."""
    if not isinstance(reader, GivenRecords):
        return asked_tasks(reader, askings, tasks, limit, optional=optional, written=written)
    named, _ = expand(tasks)
    return given_tasks(reader, [task for task in named if task in TASKS or not optional], limit)
