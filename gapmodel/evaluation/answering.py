"""Put questions to a model: in batches, a worker's share of them, and only those without an answer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from gapdata.shards.records import Records
from gapdata.tasks.chat import Unparsable
from gapmodel.evaluation.asking import Asked, TaskQuestions, around_views, second_id, second_stage
from gapmodel.evaluation.grounding import chosen_frame
from gapmodel.generate import generate_answers
from gapmodel.inspection.geometry_treatments import Treatment, treated
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.packing import Example, Frames, in_batches
from gapmodel.processing import GapProcessor
from gapmodel.questions.strange_views import StrangeViews

Change = Callable[[dict[str, Any]], dict[str, Any]]
"""What is done to the inputs of a batch."""


class Keeper(Protocol):
    """A place for predictions: a :class:`gapmodel.evaluation.predictions.PredictionFile`."""

    def append(self, lines: Sequence[dict[str, str]], /) -> None:
        """Keep some predictions."""
        ...


@dataclass(slots=True, kw_only=True)
class Answerer:
    """A model and its answers.

    Args:
        model: in evaluation mode, on its device.
        processor: the model's.
        reader: the build.
        batch_size: questions answered at once.
        texts: the answers so far, by question; grows.
        keeper: also gets every new answer.
        share: (rank, workers); this worker takes every ``workers``-th record, from number ``rank`` on.
        bar: whether to show a bar.
        treatment: what is done to the model's geometry; nothing where it is ``None``.
    """

    model: GapForConditionalGeneration
    processor: GapProcessor
    reader: Records
    batch_size: int = 32
    texts: dict[str, str] = field(default_factory=dict)
    keeper: Keeper | None = None
    share: tuple[int, int] = (0, 1)
    bar: bool = True
    treatment: Treatment | None = None
    _images: tuple[int, list[NDArray[np.uint8]]] = (-1, [])
    _looks: dict[tuple[int, ...], Frames] = field(default_factory=dict)
    _strange: StrangeViews | None = None
    _strange_look: tuple[tuple[int, int], NDArray[np.float32]] | None = None

    def answer(self, questions: TaskQuestions) -> None:
        """Answer this worker's share of a task's questions, both stages where it has two.

        Raises:
            UsageError: the geometry of other places is wanted, and a split shows only one.
        """
        mine = shared(questions, self.share)
        self._ask(questions.task, mine)
        if questions.task == "grounding_two_stage":
            self._ask(f"{questions.task}, second stage", second_questions(self.reader, questions, mine, self.texts))

    def _ask(self, name: str, asked: Sequence[Asked]) -> None:
        waiting = [item for item in asked if item.id not in self.texts]
        title = f"answering {name}" + (f", geometry {self.treatment.name}" if self.treatment else "")
        with tqdm(
            total=len(asked), desc=title, unit="question", mininterval=1.0, file=sys.stderr, disable=not self.bar
        ) as bar:
            bar.update(len(asked) - len(waiting))
            for batch in in_batches(waiting, self.batch_size):
                examples = [self.example(item) for item in batch]
                longest = max(item.tokens for item in batch)
                change = self.change(batch, examples)
                found = generate_answers(self.model, self.processor, examples, longest, change)
                lines = [
                    {"id": item.id, "task": item.kind, "key": item.key, "text": text}
                    for item, text in zip(batch, found, strict=True)
                ]
                if self.keeper is not None:
                    self.keeper.append(lines)
                self.texts |= {line["id"]: line["text"] for line in lines}
                bar.update(len(batch))

    def example(self, item: Asked) -> Example:
        """Return a question as the model's input."""
        # Questions about a view follow each other: it is decoded once, and prepared once where nothing is drawn on it.
        if self._images[0] != item.index:
            record = self.reader[item.index]
            self._images = (item.index, [record.image(frame) for frame in range(len(record))])
            self._looks = {}
        images, marks = self._images[1], item.question.marks
        shown = [images[frame] for frame in item.order] if item.order else images
        if marks:
            return self.processor.encode(item.key, shown, item.question, with_answer=False)
        if item.order not in self._looks:
            self._looks = {item.order: self.processor.look(shown)}
        return self.processor.encode(item.key, self._looks[item.order], item.question, with_answer=False)

    def change(self, batch: Sequence[Asked], examples: Sequence[Example]) -> Change:
        """Return what is done to the inputs of a batch of questions."""
        if self.treatment is None:
            return dict
        strange = None
        if self.treatment.change == "strange":
            shapes = [len(example.frames.geometry_images) for example in examples]
            views = [self.strange_frames(item, frames) for item, frames in zip(batch, shapes, strict=True)]
            strange = [torch.from_numpy(view).to(self.model.device) for view in views]
        return partial(treated, self.model, treatment=self.treatment, strange=strange)

    def strange_frames(self, item: Asked, frames: int) -> NDArray[np.float32]:
        """Return another place's frames as the geometry encoder sees them, (F, 3, H, W), with the question's marks.

        The marks stay where they are: what is taken away is the geometry, not the place that is asked about.
        """
        if self._strange is None:
            self._strange = StrangeViews(self.reader)
        marks, wanted = item.question.marks, (item.index, frames)
        if marks:
            return self.processor.look(self._strange.images(*wanted), marks).geometry_images
        if self._strange_look is None or self._strange_look[0] != wanted:
            shown = self._strange.images(*wanted)
            self._strange_look = (wanted, self.processor.look(shown).geometry_images)
        return self._strange_look[1]


def shared(questions: TaskQuestions, share: tuple[int, int]) -> list[Asked]:
    """Return a worker's part of a task's questions: those about every ``workers``-th record.

    So no record is decoded twice, and workers agree without talking: the part depends only on the questions and the
    share.
    """
    rank, workers = share
    turn = {index: place % workers for place, index in enumerate(questions.records)}
    return [item for item in questions.asked if turn[item.index] == rank]


def second_questions(
    reader: Records, questions: TaskQuestions, asked: Sequence[Asked], texts: dict[str, str]
) -> list[Asked]:
    """Return the second-stage questions that follow answered first ones.

    They are about the frame that we read from the answer, and about the one that the authors read where it differs.
    Where no frame can be read they are about frame 0, as the authors' are.
    """
    around = around_views(reader)
    found: dict[str, Asked] = {}
    for item in asked:
        record = questions.records[item.index]
        for frame in frames_to_ask(texts[item.id], len(record)):
            second = second_stage(reader, around, item, record, frame, questions.asking)
            found.setdefault(second.id, second)
    return list(found.values())


def frames_to_ask(text: str, frames: int) -> list[int]:
    """Return the frames that the second stage is asked about, by the first stage's answer."""
    read = [chosen_frame(text, frames), chosen_frame(text, frames, compat="gap")]
    return sorted({0 if isinstance(frame, Unparsable) else frame for frame in read})


def missing(questions: Sequence[TaskQuestions], texts: dict[str, str]) -> int:
    """Count the questions without an answer; the second stage of a question counts as one."""
    count = 0
    for task in questions:
        for item in task.asked:
            text = texts.get(item.id)
            if text is None:
                count += 1
            elif task.task == "grounding_two_stage":
                frames = frames_to_ask(text, len(task.records[item.index]))
                count += any(second_id(item, frame) not in texts for frame in frames)
    return count
