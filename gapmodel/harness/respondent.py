"""A trained model that answers conversations: encoded as it was trained, in batches, on one device."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gapdata.errors import UsageError
from gapdata.runtime.counting import counted
from gapmodel.field_of_view import of_one_size
from gapmodel.generate import generate_answers
from gapmodel.harness.conversation import Sampling, read_messages
from gapmodel.harness.generation import Generation
from gapmodel.model_directory import load_model, model_directory
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.packing import IGNORED, Example
from gapmodel.processing import GapProcessor
from gapmodel.questions.taught import trained_frames


@dataclass(slots=True, kw_only=True)
class Respondent:
    """A model, its processor, and how it is shown videos.

    Attributes:
        model: in evaluation mode, on its device.
        processor: the model's.
        sampling: how videos are shown.
        trained_frames: most frames of a view in training; ``None`` where its recipe does not say.
    """

    model: GapForConditionalGeneration
    processor: GapProcessor
    sampling: Sampling = field(default_factory=Sampling)
    trained_frames: int | None = None
    _told: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, directory: Path, sampling: Sampling, device: str, dtype: str = "auto") -> Respondent:
        """Read a model directory, a run's directory or a checkpoint of the authors.

        Args:
            directory: of the model.
            sampling: how videos are shown.
            device: where the model runs.
            dtype: of its weights, ``float32`` or ``bfloat16``; ``auto`` keeps those of the files.

        Raises:
            UsageError: there is no model, or the type is another one.
        """
        types = {"auto": None, "float32": torch.float32, "bfloat16": torch.bfloat16}
        if dtype not in types:
            raise UsageError(f"dtype {dtype!r} is unknown", cure=f"use {', '.join(types)}")
        model, processor = load_model(directory)
        model.eval().to(device=device, dtype=types[dtype])
        frames = trained_frames(model_directory(directory))
        return cls(model=model, processor=processor, sampling=sampling, trained_frames=frames)

    def example(self, key: str, messages: Sequence[Mapping[str, Any]], answer: str = "") -> Example:
        """Return messages as the model's input, with the beginning of an answer.

        Raises:
            UsageError: they cannot be shown.
        """
        talk = read_messages(messages, self.sampling)
        shown, known = len(talk.images), self.trained_frames
        if known is not None and shown > known:
            note = f"more frames than the {known} of a view that the model was trained with"
            self._tell(note, f"{key} shows {counted(shown, 'frame')}, ")
        return self.processor.encode_turns(
            key,
            self.processor.look(of_one_size(talk.images)),
            talk.turns,
            answer=answer,
            seconds=talk.seconds(self.sampling, self.processor.config.seconds_per_frame),
        )

    def answers(self, examples: Sequence[Example], generation: Generation) -> list[str]:
        """Return the model's answers to some examples, in one batch."""
        if generation.unread:
            self._tell(f"settings that this model does not have: {', '.join(generation.unread)}")
        options, longest = dict(generation.options), generation.max_new_tokens
        found = generate_answers(self.model, self.processor, examples, longest, **options)
        return [generation.cut(text) for text in found]

    @torch.inference_mode()
    def likelihoods(self, examples: Sequence[Example]) -> list[tuple[float, bool]]:
        """Return of each example the log-probability of its answer, and whether greedy decoding would write it."""
        batch = self.processor.collate(examples).to(self.model.device)
        lengths = [int((example.labels != IGNORED).sum()) for example in examples]
        kept = max(lengths) + 1  # rows are padded on the left, so that answers end together
        logits = self.model(**batch.inputs, logits_to_keep=kept).logits[:, :-1].float()
        ids = batch.inputs["input_ids"][:, 1 - kept :] if kept > 1 else batch.inputs["input_ids"][:, :0]
        chosen = logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]  # (R, kept - 1)
        best = logits.argmax(-1) == ids
        rows = zip(lengths, chosen, best, strict=True)
        return [
            (float(row[kept - 1 - length :].sum()), bool(right[kept - 1 - length :].all()))
            for length, row, right in rows
        ]

    def _tell(self, note: str, about: str = "") -> None:
        """Say something on the terminal, once, about the document or the settings where it was seen first."""
        if note not in self._told:
            self._told.add(note)
            print(f"gap_mllm: {about}{note}", file=sys.stderr)
