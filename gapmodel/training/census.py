"""What a run asks nothing about, counted by stream and reason before its first step: nothing is left out silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gapdata.records.expressions import descriptions
from gapdata.shards.reader import ShardReader
from gapdata.tasks.questions import left_out
from gapmodel.data import StreamQuestions, chosen_records, question_options, without_images
from gapmodel.field_of_view import PAPER_WIDTH, paper_height
from gapmodel.training.distributed import Ranks
from gapmodel.training.recipe import VARIED

UNDESCRIBED = (*VARIED, "conversation")
"""Tasks whose questions are not about descriptions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCensus:
    """One stream's records, and what in them no question is about."""

    records: int
    empty: int  # records of pointmap streams without a prompt, or without an object to draw one from
    descriptions: int  # of tasks that ask about descriptions
    left_out: Mapping[str, int]  # descriptions by the reason why they are not asked about

    def __str__(self) -> str:
        """One line for whoever starts the run."""
        parts = [f"{self.records:,} record{'' if self.records == 1 else 's'}"]
        if self.empty:
            parts.append(f"{self.empty:,} of them with nothing to ask about")
        if self.left_out:
            reasons = ", ".join(f"{count:,} because {reason}" for reason, count in self.left_out.items())
            parts.append(f"{sum(self.left_out.values()):,} of {self.descriptions:,} descriptions left out: {reasons}")
        return "; ".join(parts)


ALONE = Ranks()


def census(streams: Sequence[StreamQuestions], ranks: Ranks = ALONE) -> dict[str, StreamCensus]:
    """Count what each stream draws on; all ranks take part and get the same.

    Where a stream asks about descriptions the JSON of all its records is read. Each rank reads its share, so that none
    waits for another longer than a collective may take.
    """
    return {stream.stream.name: _census(stream, ranks) for stream in streams}


def _census(stream: StreamQuestions, ranks: Ranks) -> StreamCensus:
    data, reader = stream.stream.data, stream.reader
    chosen = chosen_records(reader, data)
    lost: Counter[str] = Counter()
    told = empty = 0
    if data.task not in UNDESCRIBED:
        for index in chosen[ranks.rank :: ranks.world_size]:
            record = without_images(reader, index)
            told += len(descriptions(record))
            lost.update(left_out(record, data.task, question_options(data)))
        told, lost = _together(told, lost, ranks)
    elif data.task == "pointmap":
        asked_about = "objects" if stream.samples_prompts else "prompts"
        if isinstance(reader, ShardReader):
            empty = int((reader.counts(asked_about)[chosen] == 0).sum())
        else:
            empty = sum(not getattr(reader[index], asked_about) for index in chosen)
    reasons = dict(sorted(lost.items()))
    return StreamCensus(records=len(chosen), empty=empty, descriptions=told, left_out=reasons)


def sights(streams: Sequence[StreamQuestions]) -> list[str]:
    """What the vision tower sees of each stream's frames, as its first record has them, and in how many tokens."""
    told = []
    for stream in streams:
        config, first = stream.processor.config, chosen_records(stream.reader, stream.stream.data)[0]
        width, height = without_images(stream.reader, first).image_size
        rows, columns = (side * config.patch_size for side in config.grid_of(width, height))
        paper = f"resized to {PAPER_WIDTH}x{paper_height(width, height)}, " if config.paper_preprocessing else ""
        seen = f"{paper}seen as {columns}x{rows} in {config.tokens_of(width, height)} tokens each"
        told.append(f"{stream.stream.name}: frames of {width}x{height} are {seen}")
    return told


def _together(told: int, lost: Counter[str], ranks: Ranks) -> tuple[int, Counter[str]]:
    """Return the sums over all ranks."""
    parts = ranks.gathered((told, dict(lost)))
    return sum(count for count, _ in parts), sum((Counter(reasons) for _, reasons in parts), Counter())
