"""The conversations that a build holds, as records that are asked verbatim.

A build keeps question, answer and mark of each (:mod:`gapdata.records.expressions`) and the cameras of its frames, but
not what the files say beside them. So the truth is that of the answers, to two decimals, and a caption has one
reference and counts as found; the file itself (:mod:`gapmodel.evaluation.conversation_files`) says more.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import SupportsIndex

from gapdata.annotations.conversation import TASKS
from gapdata.records.expressions import Conversation, conversations
from gapdata.records.keys import VIEW_OF_SCENE
from gapdata.records.schema import Record
from gapdata.shards.records import Records
from gapdata.tasks.chat import Mark
from gapmodel.evaluation.asking import spread
from gapmodel.evaluation.given_records import GivenRecords, GivenRow, UnusableRow, counted_reasons, given_record

LOOKED_AT = 20
"""Records that are looked at to see whether a split holds conversations alone."""


class BuildConversations(GivenRecords):
    """The conversations of a split of a build.

    Raises:
        UsageError: the split has no conversation that can be asked.
    """

    def __init__(self, reader: Records, split: str) -> None:
        left_out: Counter[str] = Counter()
        records, self._places = [], []
        for index in reader.select(split=split):
            base = reader.without_images(index)
            for number, item in enumerate(told(base)):
                try:
                    records.append(given_record(_row(item), _numbered(base, number), self.convention))
                    self._places.append(index)
                except UnusableRow as unusable:
                    left_out[str(unusable)] += 1
        super().__init__(records, counted_reasons(left_out))
        self._reader, self.split, self.fingerprint = reader, split, reader.fingerprint
        self.source = str(getattr(reader, "build", ""))
        self.refuse_nothing("build shards with --recipe gap-json --annotations FILE, or name other tasks")

    def __getitem__(self, which: SupportsIndex | str, /) -> Record:
        position = self.keys.index(which) if isinstance(which, str) else which.__index__()
        return dataclasses.replace(super().__getitem__(position), members=self._reader[self._places[position]].members)


def told(record: Record) -> list[Conversation]:
    """Return the conversations of a record that GAP-MLLM's or VG-LLM's files hold."""
    return [item for item in conversations(record) if item.benchmark is None and item.task in TASKS]


def holds_conversations_alone(reader: Records, split: str) -> bool:
    """Return whether the views of a split are those of conversations, as ``manifests/gap-json.toml`` builds them."""
    looked_at = spread(reader.select(split=split), LOOKED_AT)
    return bool(looked_at) and all(told(reader.without_images(index)) for index in looked_at)


def _row(item: Conversation) -> GivenRow:
    mark = None
    if item.mark is not None:
        frame, u, v = item.mark
        mark = Mark(frame=frame, pixel=(round(u), round(v)))
    return GivenRow(kind=item.task, question=item.question, answer=item.answer, mark=mark)


def _numbered(base: Record, number: int) -> Record:
    """Return a record with a key for one of its conversations, and nothing but frames and cameras."""
    scene = VIEW_OF_SCENE.fullmatch(base.key)
    key = f"{base.key}-talk{number}" if scene else f"{base.scene_id}-{base.view}-{number}"
    return dataclasses.replace(base, key=key, objects=(), prompts=(), expressions=())
