"""Count, before the first step, what each stream of a run asks about and what it leaves out, and why.

Nothing is left out silently, and a stream without any question is refused.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gapdata.errors import UsageError
from gapdata.runtime.counting import counted
from gapdata.shards.records import Records
from gapdata.tasks.questions import count_askable, left_out, task_named
from gapmodel.field_of_view import PAPER_WIDTH, paper_height
from gapmodel.questions.options import question_options
from gapmodel.questions.recipe import samples_prompts, spatial_types
from gapmodel.questions.records import chosen_records, outside_quality
from gapmodel.questions.spatial import looked_at, survey_types
from gapmodel.training.distributed import ALONE, Ranks
from gapmodel.training.recipe import Stream
from gapmodel.training.stream_questions import StreamQuestions, build_of

ANNOTATED = "build from annotated scans: ScanNet's, or those of `gapdata synth`"
ALIGNED = 'put <scene>.txt with axisAlignment beside the mesh and build again, or set boxes = "oriented"'
CURES = {
    "the object has no aligned box": ALIGNED,
    "the object has no proposal": 'build with Mask3D\'s proposals among --annotations, or set caption_point = "truth"',
    "the first frame shows too little of the object": 'take view = "around", or lower min_visible_pixels',
    "no frame shows enough of the object": "lower min_visible_pixels",
}
"""What to do where all descriptions are left out, by the reason."""
NEEDS = {
    "masks": ("have no instance masks (scans of your own have none), so marked pixels have no names", ANNOTATED),
    "prompts": ("have no prompts", 'build with prompts.per_view above 0, or set prompts = "sampled"'),
    "objects": ("have no objects to detect (scans of your own are not annotated)", ANNOTATED),
    "conversations": (
        "have no conversations",
        "build with annotations.conversations = true and conversations or a benchmark's questions among --annotations",
    ),
    "descriptions": ("have no descriptions", "build with ScanRefer's JSON among --annotations"),
}
"""What records lack where a stream has no question, and what to do about it."""
DRAWN = (
    "questions are drawn view by view, so names of objects can tell answers (a lamp is above a table); "
    "data.questions = FILE asks those of `gapdata questions BUILD --out FILE`, which are balanced over the build"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCensus:
    """One stream's records, and what in them is not asked about."""

    records: int
    empty: int  # records without anything that the stream asks about: a prompt, an object, a conversation
    descriptions: int  # of tasks that ask about descriptions
    left_out: Mapping[str, int]  # descriptions or objects by the reason why they are not asked about
    outside: int = 0  # further records that the recipe's bounds on quality leave out
    looked: int = 0  # records that were asked about space, of which ``empty`` have no question
    types: Mapping[str, int] = field(default_factory=dict)  # how many of these can be asked each type
    unasked: Mapping[str, str] = field(default_factory=dict)  # the most frequent reason why none is asked a type
    drawn: bool = False  # whether questions about space are drawn view by view, not taken from a file

    def __str__(self) -> str:
        """Return one line for whoever starts the run."""
        parts = [counted(self.records, "record")]
        if self.looked:
            asked = ", ".join(f"{name} {count:,}" for name, count in self.types.items() if count)
            parts.append(
                f"of {counted(self.looked, 'record')} looked at, so many can be asked each type: {asked or 'none'}"
            )
            parts += [DRAWN] if self.drawn else []
            parts += [f"never {name}, because {reason}" for name, reason in self.unasked.items()]
        if self.outside:
            parts.append(f"{self.outside:,} more left out by the recipe's bounds on quality")
        if self.empty:
            parts.append(f"{self.empty:,} without anything to ask about")
        if self.left_out:
            of = f" of {counted(self.descriptions, 'description')}" if self.descriptions else ""
            parts.append(f"{sum(self.left_out.values()):,}{of} left out: {self.why}")
        return "; ".join(parts)

    def to_fields(self) -> dict[str, Any]:
        """Return plain values for the log; what only questions about space have is left out of others."""
        fields = dataclasses.asdict(self)
        if not self.looked:
            del fields["looked"], fields["types"], fields["unasked"], fields["drawn"]
        return fields

    @property
    def why(self) -> str:
        """The reasons why descriptions are left out, with their counts."""
        return ", ".join(f"{count:,} because {reason}" for reason, count in self.left_out.items())


def census(streams: Sequence[Stream], builds: Mapping[str, Records], ranks: Ranks = ALONE) -> dict[str, StreamCensus]:
    """Count what each stream asks about; all ranks take part and get the same.

    Where a stream asks about descriptions or conversations, the JSON of all its records is read. Each rank reads its
    share, so that no rank waits for another for longer than a collective operation may take.

    Raises:
        UsageError: a build was not given, or has none of a stream's records.
    """
    return {stream.name: _census(stream, build_of(stream, builds), ranks) for stream in streams}


def refuse_unasked(streams: Sequence[Stream], builds: Mapping[str, Records], found: Mapping[str, StreamCensus]) -> None:
    """Stop before a run in which a stream would have no question.

    Raises:
        UsageError: a stream has no question; the message says what is missing, or which rule left out how many.
    """
    for stream in streams:
        _refuse_nothing(stream, found[stream.name], build_of(stream, builds))


def _census(stream: Stream, reader: Records, ranks: Ranks) -> StreamCensus:
    data = stream.data
    chosen = chosen_records(reader, data)
    if spatial_types(data):
        return _census_of_types(stream, reader, chosen, ranks)
    lost: Counter[str] = Counter()
    told = empty = 0
    task = task_named(data.task)
    if task.left_out is None and task.about in ("prompts", "objects"):
        empty = _without(reader, chosen, "objects" if samples_prompts(data) else task.about)
    else:
        for index in chosen[ranks.rank :: ranks.world_size]:
            record = reader.without_images(index)
            things, unasked = count_askable(record, data.task), left_out(record, data.task, question_options(data))
            lost.update(unasked)
            if task.about == "descriptions":
                told += things
                empty += not things
            else:
                empty += things <= sum(unasked.values())
        told, empty, lost = _together(told, empty, lost, ranks)
    return StreamCensus(
        records=len(chosen),
        empty=empty,
        descriptions=told,
        left_out=dict(sorted(lost.items())),
        outside=outside_quality(reader, data),
    )


def _census_of_types(stream: Stream, reader: Records, chosen: Sequence[int], ranks: Ranks) -> StreamCensus:
    """Count what some records can be asked about space; each rank asks its share of them."""
    mine = looked_at(chosen, stream.data)[ranks.rank :: ranks.world_size]
    parts = ranks.gathered(dataclasses.replace(survey_types(reader, mine, stream.data), texts=()))
    types = {name: sum(part.asked[name] for part in parts) for name in spatial_types(stream.data)}
    reasons = {name: sum((Counter(part.refused[name]) for part in parts), Counter[str]()) for name in types}
    return StreamCensus(
        records=len(chosen),
        empty=sum(part.empty for part in parts),
        descriptions=0,
        left_out={},
        outside=outside_quality(reader, stream.data),
        looked=sum(part.looked for part in parts),
        types=types,
        unasked={name: _most(reasons[name]) for name, count in types.items() if not count},
        drawn=not stream.data.questions,
    )


def _most(reasons: Counter[str]) -> str:
    return reasons.most_common(1)[0][0] if reasons else "there is nothing to ask about"


def frame_notes(streams: Sequence[StreamQuestions]) -> list[str]:
    """Return a line for each stream: the size in which the vision tower sees its frames, and their tokens."""
    told = []
    for stream in streams:
        config, first = stream.processor.config, chosen_records(stream.reader, stream.stream.data)[0]
        width, height = stream.reader.without_images(first).image_size
        rows, columns = (side * config.patch_size for side in config.grid_of(width, height))
        paper = f"resized to {PAPER_WIDTH}x{paper_height(width, height)}, " if config.paper_preprocessing else ""
        seen = f"{paper}seen as {columns}x{rows} in {counted(config.tokens_of(width, height), 'token')} each"
        told.append(f"{stream.stream.name}: frames of {width}x{height} are {seen}")
    return told


def _without(reader: Records, chosen: Sequence[int], what: str) -> int:
    """Count the records without ``prompts`` or ``objects``."""
    return int((reader.counts(what)[chosen] == 0).sum())


def _refuse_nothing(stream: Stream, found: StreamCensus, reader: Records) -> None:
    data = stream.data
    if found.looked and found.empty == found.looked:
        raise UsageError(
            f"stream {stream.name!r} has no question: none of {counted(found.looked, 'record')} looked at can be asked"
            f" {', '.join(f'{name} ({reason})' for name, reason in found.unasked.items())}",
            cure="take other types, other views, or another build",
        )
    if not found.looked and found.empty == found.records:
        need: str = task_named(data.task).about
        if need == "prompts" and _without(reader, chosen_records(reader, data), "objects") == found.records:
            need = "masks"
        lack, cure = NEEDS[need]
        if found.left_out and not found.descriptions:
            lack, cure = f"have nothing that can be asked about: {found.why}", "take other views, or another build"
        raise UsageError(
            f"stream {stream.name!r} has no question: its {counted(found.records, 'record')} {lack}", cure=cure
        )
    if found.descriptions and found.descriptions == sum(found.left_out.values()):
        most = max(found.left_out, key=lambda reason: found.left_out[reason])
        raise UsageError(
            f"stream {stream.name!r} has no question: all of its {counted(found.descriptions, 'description')} in"
            f" {counted(found.records, 'record')} are left out: {found.why}",
            cure=CURES.get(most, "take other views, or another build"),
        )


def shared_views(found: Mapping[str, StreamCensus]) -> list[str]:
    """Return a note for each stream with descriptions that share a view's frames; the authors drew frames for each."""
    return [
        f"{name}: {item.descriptions / item.records:.1f} descriptions share the frames of a view; the authors drew"
        " frames for each description, as gapdata's recipe paper-grounding does"
        for name, item in found.items()
        if item.descriptions > item.records
    ]


def _together(told: int, empty: int, lost: Counter[str], ranks: Ranks) -> tuple[int, int, Counter[str]]:
    """Return the sums over all ranks."""
    parts = ranks.gathered((told, empty, dict(lost)))
    reasons = sum((Counter(part) for _, _, part in parts), Counter())
    return sum(part[0] for part in parts), sum(part[1] for part in parts), reasons
