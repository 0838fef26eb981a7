"""Our processor in the form that transformers expects, for ``AutoProcessor``, ``pipeline`` and ``transformers serve``.

:class:`~gapmodel.processing.GapProcessor` does the work: the same question has the same tokens and pixels. A mark,
which transformers does not have a word for, is one more key of an image:

    {"type": "image", "image": picture, "mark": [250, 81]}                  GAP-MLLM's red cross on that pixel
    {"type": "image", "image": picture, "mark": {"1": [250, 81]}}           the cross with the number 1

Pixels (column, row) are those of the picture as it is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import BatchFeature, PreTrainedTokenizerBase, ProcessorMixin
from transformers.image_utils import load_image

from gapdata.errors import UsageError
from gapdata.prompts.marks import draw_marks
from gapdata.recipes.typed_fields import from_mapping
from gapdata.tasks.chat import IMAGE, Mark
from gapmodel.field_of_view import of_one_size
from gapmodel.packing import Example, Frames
from gapmodel.processing import FILE, GapProcessor, ProcessorConfig, Turn
from gapmodel.questions.chat_turns import known_role, read_turn
from gapmodel.tokenizer import SPECIAL

PLACEHOLDER = f"{SPECIAL['vision_start']}{SPECIAL['image']}{SPECIAL['vision_end']}"
"""An image in a conversation that is written out as text."""
WRITTEN_TURN = re.compile(rf"{re.escape(SPECIAL['start'])}(\w+)\n(.*?)(?:{re.escape(SPECIAL['end'])}\n?|\Z)", re.DOTALL)
WITHOUT_EFFECT = frozenset(
    ("padding", "padding_side", "return_mm_token_type_ids", "add_special_tokens", "load_audio_from_video", "timeout")
)
"""Arguments of other processors that change nothing here: rows are always padded, on the left."""


@dataclass(slots=True)
class MarkedChat:
    """Turns, and the images that stand in them."""

    turns: list[Turn] = field(default_factory=list)
    images: list[NDArray[np.uint8]] = field(default_factory=list)  # (H, W, 3) RGB each
    marks: list[Mark] = field(default_factory=list)
    begun: str = ""  # what the answer begins with


class GapInputs(BatchFeature):  # type: ignore[misc]
    """The model's arguments; the geometry encoder's images stay float32, as it normalises them before it rounds."""

    def to(self, *args: Any, **kwargs: Any) -> GapInputs:
        """Move to a device and cast floats, but do not cast ``geometry_images``."""
        geometry = self.data.pop("geometry_images", None)
        super().to(*args, **kwargs)
        if geometry is not None:
            device = self.data["input_ids"].device
            moved = [view.to(device) for view in geometry] if isinstance(geometry, list) else geometry.to(device)
            self.data["geometry_images"] = moved
        return self


class GapHubProcessor(ProcessorMixin):  # type: ignore[misc]
    """A tokenizer, and ``settings``: the fields of :class:`~gapmodel.processing.ProcessorConfig`."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        settings: Mapping[str, Any] | None = None,
        chat_template: str | None = None,
    ) -> None:
        tokenizer.padding_side = "left"
        super().__init__(tokenizer, chat_template=chat_template or tokenizer.chat_template)
        config: ProcessorConfig = from_mapping(ProcessorConfig, settings or {}, "processor_config.json")
        self.settings = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(config).items()}
        self._own = GapProcessor(tokenizer, config)

    @property
    def model_input_names(self) -> list[str]:
        """Names of what :meth:`__call__` returns."""
        text = ["input_ids", "attention_mask", "mm_token_type_ids"]
        return [*text, "pixel_values", "image_grid_thw", "geometry_images"]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``processor_config.json`` holds."""
        found = {"processor_class": type(self).__name__, "settings": dict(self.settings)}
        return found | ({"auto_map": self.auto_map} if hasattr(self, "auto_map") else {})

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> Any:
        """Write the tokenizer, ``processor_config.json``, and the file that gapmodel itself reads."""
        written = super().save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)
        (Path(save_directory) / FILE).write_text(json.dumps(self.settings, indent=2) + "\n", encoding="utf-8")
        return written

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        marks: Any = None,
        return_tensors: str | None = "pt",
        **kwargs: Any,
    ) -> GapInputs:
        """Return the model's arguments for one question, or for several in a batch.

        Args:
            images: the images of the view; of several questions a list of such lists (or one image each).
            text: the question, or several; with ``<image>`` where images stand, else they stand before it. What
                ``apply_chat_template(tokenize=False)`` wrote is taken, too.
            marks: for each image ``None`` or its mark, in the form of the module's description; of several questions
                a list of such lists.
            return_tensors: ``pt``.
            **kwargs: those of other processors that have no effect here.

        Raises:
            UsageError: the arguments do not fit each other, or one has an effect that this processor does not have.
        """
        _check_arguments(return_tensors, kwargs)
        if text is None:
            raise UsageError("images without a question", cure="give text, too")
        if isinstance(text, str):
            several, texts = False, [text]
        else:
            several, texts = True, list(text)
        views = _per_question(images, several, len(texts), "images")
        marked = _per_question(marks, several, len(texts), "marks")
        asked = zip(texts, views, marked, strict=True)
        return self._inputs([_asked(question, *shown) for question, *shown in asked])

    def apply_chat_template(
        self,
        conversation: Any,
        chat_template: str | None = None,
        *,
        tools: Any = None,
        documents: Any = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool | str = False,
        tokenize: bool = False,
        return_tensors: str | None = "pt",
        return_dict: bool = False,
        processor_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return a conversation, or several, as the model's arguments (``tokenize=True``) or as text.

        Args:
            conversation: messages of the roles system, user and assistant. Their content is text or a list of parts:
                ``{"type": "text", "text": ...}`` and images, given as ``image``, ``url``, ``path`` or ``base64``, with
                or without a ``mark``.
            chat_template: another template is refused, because the model was trained with this one.
            tools: refused.
            documents: refused.
            add_generation_prompt: open the assistant's turn.
            continue_final_message: the last message is the beginning of the answer.
            tokenize: return arguments instead of text.
            return_tensors: ``pt``.
            return_dict: with ``tokenize``, return all arguments instead of ``input_ids``.
            processor_kwargs: arguments of :meth:`__call__`.
            **kwargs: the same.

        Raises:
            UsageError: a message, or an argument, is of a kind that the model does not know.
        """
        for name, value in (("chat_template", chat_template), ("tools", tools), ("documents", documents)):
            if value:
                raise UsageError(f"{name} cannot be used with this model", cure="leave it out")
        _check_arguments(return_tensors, {**kwargs, **(processor_kwargs or {})})
        single = not conversation or isinstance(conversation[0], Mapping)
        found = [
            _read(messages, bool(continue_final_message)) for messages in ([conversation] if single else conversation)
        ]
        opened = add_generation_prompt or bool(continue_final_message)
        if not tokenize:
            texts = [_written(talk, opened) for talk in found]
            return texts[0] if single else texts
        inputs = self._inputs(found, opened=opened)
        return inputs if return_dict else inputs["input_ids"]

    def _inputs(self, conversations: Sequence[MarkedChat], *, opened: bool = True) -> GapInputs:
        examples = [self._example(talk, opened) for talk in conversations]
        return GapInputs(self._own.collate(examples).inputs)

    def _example(self, talk: MarkedChat, opened: bool) -> Example:
        return self._own.encode_turns("", self._look(talk), talk.turns, answer=talk.begun, opened=opened)

    def _look(self, talk: MarkedChat) -> Frames:
        if len({image.shape for image in talk.images}) <= 1:
            return self._own.look(talk.images, talk.marks)
        # Marks belong to the pictures as they were given.
        marked, width = [], self._own.config.mark_native_width
        for index, image in enumerate(talk.images):
            pixels_of = {mark.number: mark.pixel for mark in talk.marks if mark.frame == index}
            marked.append(draw_marks(image, pixels_of, width) if pixels_of else image)
        return self._own.look(of_one_size(marked))


def _check_arguments(return_tensors: str | None, given: Mapping[str, Any]) -> None:
    if return_tensors not in (None, "pt", "auto"):
        raise UsageError(f"return_tensors={return_tensors!r}", cure="this model has PyTorch's tensors: 'pt'")
    unknown = sorted(name for name, value in given.items() if name not in WITHOUT_EFFECT and value)
    if unknown:
        raise UsageError(f"{', '.join(unknown)} cannot be set for this model", cure="leave it out")


def _per_question(given: Any, several: bool, count: int, what: str) -> list[Any]:
    """Return what belongs to each question, of ``images`` or ``marks``."""
    if given is None:
        return [()] * count
    if not several:
        return [given if isinstance(given, (list, tuple)) else [given]]
    if count == 1 and not (len(given) and isinstance(given[0], (list, tuple))):
        return [given]
    if len(given) != count:
        raise UsageError(f"{what} for {len(given)} questions, but {count} texts", cure="give a list for each text")
    return [item if isinstance(item, (list, tuple)) else [item] for item in given]


def _asked(text: str, images: Sequence[Any], marks: Sequence[Any]) -> MarkedChat:
    """Return a question, or a conversation that was written out, as turns."""
    found = MarkedChat()
    for index, image in enumerate(images):
        _show(found, image, marks[index] if index < len(marks) else None)
    if not text.startswith(SPECIAL["start"]):
        pieces = text.split(IMAGE, len(images)) if IMAGE in text else [*[""] * len(images), text]
        found.turns = [Turn("user", tuple(pieces))]
    else:
        written = [(role, said.split(PLACEHOLDER)) for role, said in WRITTEN_TURN.findall(text)]
        if written and written[-1][0] == "assistant" and not text.rstrip("\n").endswith(SPECIAL["end"]):
            found.begun = written.pop()[1][0]
        found.turns = [Turn(known_role(role), tuple(pieces)) for role, pieces in written]
    places = sum(len(turn.texts) - 1 for turn in found.turns)
    if places != len(images):
        raise UsageError(f"{places} places for {len(images)} images", cure=f"write {IMAGE} once for each image")
    return found


def _read(messages: Sequence[Mapping[str, Any]], continued: bool) -> MarkedChat:
    """Return messages as turns and images."""
    found = MarkedChat()

    def show(part: Mapping[str, Any]) -> int:
        if part.get("type") != "image":
            raise UsageError(f"content of type {part.get('type')!r}", cure="this model reads text and images")
        source = next((part[name] for name in ("image", "url", "path", "base64") if name in part), None)
        _show(found, source, part.get("mark"))
        return 1

    found.turns = [read_turn(message, show) for message in messages]
    if continued:
        if not found.turns or found.turns[-1].role != "assistant" or len(found.turns[-1].texts) != 1:
            raise UsageError("there is no answer to go on with", cure="end with a message of the assistant, in text")
        found.begun = found.turns.pop().texts[0]
    return found


def _show(found: MarkedChat, source: Any, mark: Any) -> None:
    """Add an image and its marks."""
    if isinstance(source, Tensor):
        source = source.numpy(force=True)
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
            raise UsageError(f"an image is an array {source.shape} of {source.dtype}", cure="give (H, W, 3) uint8")
        pixels = source
    elif source is None:
        raise UsageError("an image part has no image", cure='write {"type": "image", "image": picture}')
    else:
        pixels = np.asarray(load_image(str(source) if isinstance(source, Path) else source).convert("RGB"))
    pixels_of = mark if isinstance(mark, Mapping) else {} if mark is None else {0: mark}
    for number, pixel in pixels_of.items():
        column, row = (int(value) for value in pixel)
        if not (0 <= column < pixels.shape[1] and 0 <= row < pixels.shape[0]):
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise UsageError(
                f"the mark {column},{row} is outside of its image of {size}", cure="give a pixel (column, row)"
            )
        found.marks.append(Mark(frame=len(found.images), pixel=(column, row), number=int(number)))
    found.images.append(pixels)


def _written(talk: MarkedChat, opened: bool) -> str:
    """Return a conversation as text; the processor adds time stamps and the system prompt when it reads it."""
    turns = [f"{SPECIAL['start']}{turn.role}\n{PLACEHOLDER.join(turn.texts)}{SPECIAL['end']}\n" for turn in talk.turns]
    return "".join([*turns, *([f"{SPECIAL['start']}assistant\n{talk.begun}"] if opened else [])])
