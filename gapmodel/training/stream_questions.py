"""The questions of a stream at each visit of a record, the same on every worker and after every restart.

A visit's questions and their variations are drawn only from the seed, the record's key, the epoch and the visit's share
(:mod:`gapmodel.training.mixture` says which record is visited when).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gapdata.errors import UsageError
from gapdata.seeding import generator_for
from gapdata.shards.records import Records
from gapdata.tasks import detection, image_space, pointmap
from gapdata.tasks.chat import Mark, Question
from gapdata.tasks.questions import questions, task_named
from gapdata.tasks.spatial.question_index import question_index
from gapdata.tasks.spatial.view_facts import ViewFacts
from gapdata.tasks.task import QuestionOptions
from gapmodel.packing import Example, Frames
from gapmodel.processing import GapProcessor
from gapmodel.questions.options import question_options
from gapmodel.questions.recipe import samples_prompts, spatial_types
from gapmodel.questions.records import chosen_records, quality_bounds
from gapmodel.questions.spatial import draw_questions, most_questions, needs_pixels
from gapmodel.questions.strange_views import StrangeViews
from gapmodel.training.augment import DecodedRecord, decode, mirror, sample_prompt, subset
from gapmodel.training.dense import dense_targets
from gapmodel.training.mixture import StreamOrder, Visit
from gapmodel.training.recipe import Stream
from gapmodel.training.record_cache import RecordCache


def build_of(stream: Stream, builds: Mapping[str, Records]) -> Records:
    """Return the build that a stream uses.

    Raises:
        UsageError: a build of its name was not given.
    """
    if stream.build not in builds:
        given = ", ".join(repr(name) for name in builds) or "none"
        raise UsageError(
            f"stream {stream.name!r} uses the build {stream.build!r}, which --shards does not give; given: {given}",
            cure=f"add --shards {stream.build or ''}{'=' if stream.build else ''}DIR",
        )
    return builds[stream.build]


class StreamQuestions:
    """The questions of one stream, visit by visit.

    Args:
        stream: which questions are asked.
        reader: where the records are.
        processor: turns questions into model input.
        seed: decides order and variations.
        labels: the classes of the dense targets (:mod:`gapmodel.training.dense`); ``None`` for none.
        raw: whether pixels stay uint8 until they are on the model's device.
        cache: where decoded views are kept; one for all streams of a process.
    """

    def __init__(
        self,
        stream: Stream,
        reader: Records,
        processor: GapProcessor,
        seed: int,
        labels: Sequence[str] | None = None,
        *,
        raw: bool = True,
        cache: RecordCache | None = None,
    ) -> None:
        self.stream = stream
        self.reader = reader
        self.processor = processor
        self.seed = seed
        self.raw = raw
        self.classes = None if labels is None else {label: index for index, label in enumerate(labels)}
        self.samples_prompts = samples_prompts(stream.data)
        self.in_image = stream.data.space == "image"
        self.types = tuple(spatial_types(stream.data))
        """The types of questions about space; empty for other tasks."""
        self.written = question_index(Path(stream.data.questions)) if stream.data.questions else None
        """The file that has the stream's questions about space; ``None`` where they are drawn."""
        shown = self.samples_prompts or self.in_image or (self.written is None and needs_pixels(self.types))
        self.geometry = self.classes is not None or shown
        self.cache = RecordCache() if cache is None else cache

    def order(self) -> StreamOrder:
        """Return the order in which the records are visited.

        Raises:
            UsageError: the build has none of the stream's records.
        """
        data = self.stream.data
        chosen = chosen_records(self.reader, data)
        records = self.reader.order(seed=self.seed, split=data.split, view=data.view, quality=quality_bounds(data))
        if data.visits:
            return StreamOrder(self.stream.name, records, data.visits, self.stream.weight)
        counts = self._counts(chosen)
        starts = dict(zip(counts, itertools.accumulate(counts.values(), initial=0), strict=False))
        alone = tuple(
            tuple(item for index in shard for item in range(starts[index], starts[index] + counts[index]))
            for shard in records.shards
        )
        return StreamOrder(
            self.stream.name,
            replace(records, shards=tuple(shard for shard in alone if shard)),
            1,
            self.stream.weight,
            items=[(index, number) for index, count in counts.items() for number in range(count)],
        )

    def _counts(self, chosen: Sequence[int]) -> dict[int, int]:
        """Count the questions of each of these records, by its index; for tasks about texts their JSON is read."""
        data, options = self.stream.data, question_options(self.stream.data)
        if self.written is not None:
            return {index: self.written.counts(self.reader.keys[index], self.types).total() for index in chosen}
        if self.types:
            return dict.fromkeys(chosen, most_questions(data))
        task = task_named(data.task)
        if self.in_image:
            return dict.fromkeys(chosen, 1)
        if self.samples_prompts or task.count is not None:
            found = "objects" if self.samples_prompts else task.about
            held = self.reader.counts(found)
            many = {index: int(held[index]) for index in chosen}
            if self.samples_prompts or task.count is None:
                return {index: data.questions_per_view if count else 0 for index, count in many.items()}
            return {index: task.count(count, options) for index, count in many.items()}
        unvaried = np.random.default_rng(0)
        records = ((index, self.reader.without_images(index)) for index in chosen)
        return {index: len(questions(record, data.task, options, unvaried)) for index, record in records}

    def examples(self, visit: Visit, strange: StrangeViews | None = None) -> list[Example]:
        """Return the questions of a visit with their answers; those about the same pixels share their :class:`Frames`.

        An example's key is ``<record>/<stream>/<number of the question>``, about space ``<type>-<number>``. A visit has
        no question where the record has fewer questions than visits.

        Args:
            visit: which questions.
            strange: views of other places whose frames the geometry encoder gets instead, with the questions' marks.
        """
        decoded, rng = self._shown(visit)
        key = decoded.record.key
        looks: dict[tuple[Mark, ...], Frames] = {}
        examples = []
        for number, question in self._asked(decoded, visit, rng):
            if question.marks not in looks:
                frames = self.processor.look(list(decoded.images), question.marks, raw=self.raw)
                if strange is not None:
                    other = strange.images(visit.record, len(decoded.images))
                    lent = self.processor.look(other, question.marks, raw=self.raw).geometry_images
                    frames = replace(frames, geometry_images=lent)
                looks[question.marks] = frames
            config = self.processor.config
            targets = (
                None
                if self.classes is None
                else dense_targets(decoded, question, config, self.classes, in_image=self.in_image)
            )
            name = f"{key}/{self.stream.name}/{number}"
            look = looks[question.marks]
            examples.append(self.processor.encode(name, look, question, with_answer=True, targets=targets))
        return examples

    def view(self, visit: Visit) -> DecodedRecord:
        """Return the view that a visit shows: the record's, or a variation of it."""
        return self._shown(visit)[0]

    def _shown(self, visit: Visit) -> tuple[DecodedRecord, np.random.Generator]:
        """Return the view that a visit shows, and the source of its further choices."""
        decoded = self._decoded(visit.record)
        epoch, share = str(visit.epoch), str(visit.share)
        rng = generator_for(self.seed, "vary", self.stream.name, decoded.record.key, epoch, share)
        return self._varied(decoded, rng), rng

    def _asked(
        self, decoded: DecodedRecord, visit: Visit, rng: np.random.Generator
    ) -> Sequence[tuple[int | str, Question]]:
        """Return the visit's share of the record's questions, with their numbers in this epoch."""
        data, record = self.stream.data, decoded.record
        options = question_options(data)
        if self.types and self.written is None:
            depth, instances = (decoded.depth, decoded.instances) if self.geometry else (None, None)
            facts = ViewFacts(record, options, depth=depth, instances=instances)
            drawn = draw_questions(facts, data, self.seed, visit.epoch)
            mine = drawn[visit.share :: data.visits or max(1, len(drawn))]
            return [(name, item.to_question(len(record))) for name, item in mine]
        if self.samples_prompts:
            step = data.visits or data.questions_per_view
            numbers = range(visit.share, data.questions_per_view, step) if record.objects else range(0)
            return [(number, self._sampled(decoded, options, rng)) for number in numbers]
        if self.in_image:
            return [(0, _boxes_in_images(decoded, options))] if visit.share == 0 else []
        # Prompts are shared out among questions, and questions among visits, anew in each epoch, which asks each once.
        sharing = generator_for(self.seed, "share", self.stream.name, record.key, str(visit.epoch))
        if self.written is not None:
            named = self.written.about(record, self.types)
            order = sharing.permutation(len(named))[visit.share :: data.visits or max(1, len(named))].tolist()
            return [(named[place].name, named[place].question.to_question(len(record))) for place in order]
        asked = questions(record, data.task, options, sharing)
        numbers = sharing.permutation(len(asked))[visit.share :: data.visits or max(1, len(asked))].tolist()
        return [(number, asked[number]) for number in numbers]

    def _sampled(self, decoded: DecodedRecord, options: QuestionOptions, rng: np.random.Generator) -> Question:
        prompt = sample_prompt(decoded, rng)
        if prompt is None:
            raise UsageError(f"record {decoded.record.key}: no pixel to ask about", cure="use data.prompts = 'stored'")
        render = image_space.render_point if self.in_image else pointmap.render
        return render(decoded.record, prompt, options)

    def _varied(self, decoded: DecodedRecord, rng: np.random.Generator) -> DecodedRecord:
        data = self.stream.data
        frames = data.frames or len(decoded.record)
        stored = data.task == "pointmap" and not self.samples_prompts
        if data.reframe and not stored:
            decoded = subset(decoded, rng.permutation(len(decoded.record))[:frames].tolist())
        elif frames < len(decoded.record):
            decoded = subset(decoded, range(frames))
        return mirror(decoded) if data.mirror and rng.random() < 0.5 else decoded

    def _decoded(self, index: int) -> DecodedRecord:
        """Return a decoded record. Streams that draw on one build share it, where they decode the same members."""
        key = (self.stream.build, index, self.geometry)
        return self.cache.get(key, lambda: decode(self.reader[index], geometry=self.geometry))


def _boxes_in_images(decoded: DecodedRecord, options: QuestionOptions) -> Question:
    """Return the question that asks where in the images the objects of a detection question are."""
    found = detection.targets(decoded.record, options)
    return image_space.render_boxes(decoded.record, found, decoded.instances, options)
