"""A Hugging Face dataset without pixels or geometry: which frames make each view, and spatial questions about them.

```
views_train.jsonl      key, source, scene_id, split, view, frame_ids
questions_train.jsonl  id, key, scene_id, frame_ids, type, question, answer, options
README.md LICENSE.md
```
Whoever has the scans can rebuild the rest. Questions are those of :mod:`gapdata.tasks.spatial`, computed here, with
bare numbers and letters for answers, as published benchmarks about the same scans have them; boxes, points, cameras
and the sentences of other people, which have terms of their own, are left out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from gapdata.export.asked import record_questions
from gapdata.export.dataset_card import Config, card
from gapdata.export.placing import check_names
from gapdata.export.public_terms import licence_text
from gapdata.files.atomic import atomic_file, write_atomically
from gapdata.records.schema import Record
from gapdata.runtime.counting import counted
from gapdata.tasks.chat import IMAGE
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.task import QuestionOptions

TABLES: Mapping[str, Mapping[str, str]] = {
    "views": {
        **dict.fromkeys(("key", "source", "scene_id", "split", "view"), "string"),
        **{"frame_ids": "list: int64", "image_size": "list: int64"},
    },
    "questions": {
        **{"id": "string", "key": "string", "scene_id": "string", "frame_ids": "list: int64"},
        **{"task": "string", "type": "string", "question": "string", "answer": "string"},
        **{"options": "list: string", "marks": "list:\n      list: int64"},
    },
}
"""Columns of each table with their types."""


def export_text(
    records: Iterable[Record], out: Path, *, terms: Sequence[Mapping[str, Any]], name: str
) -> dict[str, Any]:
    """Write the folder and return the report.

    Args:
        records: those to export, with their members, which some questions look at.
        out: the folder.
        terms: the terms of use of the scans.
        name: of the dataset.

    Raises:
        ShardError: a record is damaged.
    """
    files: dict[str, BinaryIO] = {}
    splits: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    with ExitStack() as stack:
        for record in records:
            check_names(record)
            splits[record.split] += 1
            for table, row in _rows(record):
                file = f"{table}_{record.split}.jsonl"
                if file not in files:
                    files[file] = stack.enter_context(atomic_file(out / file))
                files[file].write(json.dumps(row, allow_nan=False).encode() + b"\n")
                asked[row.get("task", "")] += 1
    del asked[""]
    write_atomically(out / "LICENSE.md", licence_text(terms).encode())
    configs = [
        Config(
            name=table,
            files={split: [f"{table}_{split}.jsonl"] for split in sorted(splits) if f"{table}_{split}.jsonl" in files},
            features=columns,
        )
        for table, columns in TABLES.items()
        if any(file.startswith(table) for file in files)
    ]
    text = (
        f"{counted(splits.total(), 'view')} of scanned rooms as scene ids and raw frame numbers, and "
        f"{counted(asked.total(), 'question')} about them. It holds no pixels and no geometry: get the scans from "
        "their owners (LICENSE.md) and build the views with gapdata. `marks` are [number, position of the frame, "
        "column, row] in an image of `image_size`.\n"
    )
    page = card(name, configs, records=splits.total(), tasks=("visual-question-answering",), text=text)
    write_atomically(out / "README.md", page.encode())
    return {"records": splits.total(), "questions": dict(sorted(asked.items())), "private": False}


def _rows(record: Record) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield rows of the tables, without a word of what the frames show beyond the answers."""
    frames = list(record.frame_ids)
    yield (
        "views",
        {
            **{"key": record.key, "source": record.source, "scene_id": record.scene_id, "split": record.split},
            **{"view": record.view, "frame_ids": frames, "image_size": list(record.image_size)},
        },
    )
    for task, items, _ in record_questions(record, tuple(KINDS), QuestionOptions()):
        for item in items:
            yield (
                "questions",
                {
                    **{"id": item.id, "key": record.key, "scene_id": record.scene_id, "frame_ids": frames},
                    **{"task": task, "type": item.type, "question": item.question.text.replace(IMAGE, "")},
                    "answer": item.question.answer,
                    "options": list(item.about.get("options", ())),
                    "marks": [[mark.number, mark.frame, *mark.pixel] for mark in item.question.marks],
                },
            )
