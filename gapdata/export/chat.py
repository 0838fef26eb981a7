"""Export questions as conversations that other trainers of vision-language models read.

```
TASK_SPLIT.jsonl     a question a line (gapdata.export.chat_forms), such as pointmap_train.jsonl
images/              the frames, each once, and marked copies (gapdata.export.frame_images)
README.md            how the trainer is started on this folder; for LLaMA-Factory dataset_info.json, too
export.json report.json
```
Names of images are relative to the folder, which can be moved. Memory holds one record. Equal builds and options give
equal bytes; the same command goes on where it was stopped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from gapdata.errors import ShardError
from gapdata.export.asked import ExportedQuestion, record_questions, written_questions
from gapdata.export.chat_forms import FORMS, Form, line
from gapdata.export.frame_images import FrameImages
from gapdata.export.placing import CURE, check_names
from gapdata.files.atomic import atomic_file, write_atomically
from gapdata.files.json_items import JsonList
from gapdata.records.schema import Record
from gapdata.runtime.choices import check_choice
from gapdata.runtime.counting import counted
from gapdata.shards.reader import ShardReader
from gapdata.tasks.questions import TASKS
from gapdata.tasks.spatial.question_index import QuestionIndex
from gapdata.tasks.task import QuestionOptions
from gapdata.tasks.wordings import Wording


def export(
    build: ShardReader,
    records: Iterable[Record],
    out: Path,
    *,
    trainer: str = "swift",
    tasks: Sequence[str] | None = None,
    wording: Wording = "consistent",
    taxonomy: str | None = None,
    marks: int = 1,
    per_kind: int = 2,
    questions: Path | None = None,
) -> dict[str, Any]:
    """Write the questions and the images that they are about, and return the report.

    Args:
        build: where the records are from.
        records: those to export.
        out: the folder.
        trainer: one of :data:`gapdata.export.chat_forms.FORMS`.
        tasks: some of :data:`gapdata.tasks.questions.TASKS`; ``None`` for all.
        wording: words of the questions, with their Euler convention.
        taxonomy: of the names of objects; ``None`` takes the record's own labels.
        marks: how many pixels a pointmap question marks.
        per_kind: the most questions of one spatial type about a view.
        questions: the file of ``gapdata questions`` whose spatial questions are taken instead of drawn ones.

    Raises:
        UsageError: a task or the trainer is unknown, or the file is not about this build.
        ShardError: the build is damaged, or a name in it would lead out of the folder.
    """
    check_choice("trainer", trainer, FORMS)
    for task in tasks or ():
        check_choice("task", task, TASKS)
    chosen = [task for task in TASKS if tasks is None or task in tasks]
    options = QuestionOptions(wording=wording, taxonomy=taxonomy, marks=marks, per_kind=per_kind)
    written = written_questions(build, questions)
    with _ChatExport(out, FORMS[trainer], written) as export:
        for record in records:
            export.take(record, chosen, options)
        export.finish()
    for name, text in FORMS[trainer].further(export.places).items():
        write_atomically(out / name, text.encode())
    return {"trainer": trainer, **export.report()}


def format_report(report: Mapping[str, Any]) -> str:
    """Return the report as text for a terminal."""
    lines = [
        f"{counted(sum(report['items'].values()), 'question')} about {report['exported']} of "
        f"{counted(report['records'], 'record')}, {counted(report['frames'], 'frame')} and "
        f"{counted(report['marked'], 'marked copy', 'marked copies')}, for {report['trainer']}"
    ]
    lines += [f"  {count:7d} in {name}" for name, count in report["items"].items()]
    for task, reasons in report["left_out"].items():
        lines += [f"  {count:7d} left out of {task}: {reason}" for reason, count in reasons.items()]
    return "\n".join([*lines, "README.md says how the trainer reads them"])


class _ChatExport:
    """An export under way: the open files, the images, and the counts."""

    def __init__(self, out: Path, form: Form, written: QuestionIndex | None) -> None:
        self._out, self._form, self._written = out, form, written
        self._images = FrameImages(out)
        self._files: dict[str, _Items] = {}
        self._places: dict[str, tuple[str, str]] = {}
        self._lost: dict[str, Counter[str]] = {}
        self._records = self._exported = 0
        self._stack = ExitStack()

    def __enter__(self) -> _ChatExport:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def take(self, record: Record, tasks: Sequence[str], options: QuestionOptions) -> None:
        """Write one record's questions and images."""
        check_names(record)
        self._records += 1
        found = False
        for task, asked, lost in record_questions(record, tasks, options, written=self._written):
            if +lost:
                self._lost.setdefault(task, Counter()).update(lost)
            for item in asked:
                self._write(record, item)
            found |= bool(asked)
        self._exported += found

    def finish(self) -> None:
        """End the files; they appear when the ``with`` block ends well."""
        self._images.flush()
        for file in self._files.values():
            file.close()

    @property
    def places(self) -> dict[str, tuple[str, str]]:
        """Task and split of each file, by name."""
        return dict(sorted(self._places.items()))

    def report(self) -> dict[str, Any]:
        """Return what was written and what was left out, in plain types and a fixed order."""
        return {
            "records": self._records,
            "exported": self._exported,
            "frames": self._images.frames,
            "marked": self._images.marked,
            "items": {name: file.count for name, file in sorted(self._files.items())},
            "left_out": {task: dict(sorted(lost.items())) for task, lost in sorted(self._lost.items())},
        }

    def _write(self, record: Record, asked: ExportedQuestion) -> None:
        images = self._images.write(record, asked.question.marks)
        name = f"{asked.task}_{record.split}{self._form.suffix}"
        if name not in self._files:
            file = self._stack.enter_context(atomic_file(self._out / name))
            self._files[name] = JsonList(file) if self._form.suffix == ".json" else _Lines(file)
            self._places[name] = asked.task, record.split
        try:
            self._files[name].extend([line(self._form, record, asked, images)])
        except ValueError as error:
            problem = f"record {record.key}: a number cannot be written as JSON: {error}"
            raise ShardError(problem, cure=CURE) from error


class _Lines:
    """A file with a JSON object a line, written like :class:`gapdata.files.json_items.JsonList`."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.count = file, 0

    def extend(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Write some items.

        Raises:
            ValueError: an item has a number that is not finite, which JSON cannot hold.
        """
        for item in items:
            self.file.write(json.dumps(item, allow_nan=False).encode() + b"\n")
            self.count += 1

    def close(self) -> None:
        """End the file."""


_Items = JsonList | _Lines
