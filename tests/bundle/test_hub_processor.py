"""The processor that transformers knows makes of a question what ours does, and refuses what it cannot do."""

from __future__ import annotations

import base64
import io
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from gapdata.errors import UsageError
from gapdata.prompts.marks import draw_marks
from gapdata.tasks.chat import Mark, Question
from gapdata.tasks.prompting import PromptingName
from gapmodel.bundle.processor import GapHubProcessor, GapInputs
from gapmodel.field_of_view import of_one_size
from gapmodel.processing import GapProcessor, ProcessorConfig
from gapmodel.tokenizer import train_tokenizer

TEXT = "What is <|im_end|> at the mark?\nSay it."
SMALL = ProcessorConfig(image_size=(64, 64), temporal_patch_size=1, geometry_patch_size=14, mark_native_width=256.0)


def both(config: ProcessorConfig = SMALL) -> tuple[GapProcessor, GapHubProcessor]:
    tokenizer = train_tokenizer(["system user assistant seconds", TEXT, "You are a helpful assistant."])
    return GapProcessor(tokenizer, config), GapHubProcessor(tokenizer, asdict(config))


def frame(seed: int, width: int = 80, height: int = 64) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def equal(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def ask(processor: GapHubProcessor, content: list[dict[str, Any]], **how: Any) -> GapInputs:
    chat = [{"role": "user", "content": content}]
    options = {"add_generation_prompt": True, "tokenize": True, "return_dict": True}
    found: GapInputs = processor.apply_chat_template(chat, **{**options, **how})
    return found


@pytest.mark.parametrize("prompting", ["authors", "qwen", "plain"])
@pytest.mark.parametrize("paper", [False, True])
def test_a_question_has_the_same_tokens_and_pixels(prompting: PromptingName, paper: bool) -> None:
    ours, theirs = both(replace(SMALL, prompting=prompting, paper_preprocessing=paper))
    frames = [frame(0), frame(1)]
    marks = (Mark(frame=0, pixel=(30, 20)), Mark(frame=1, pixel=(3, 4), number=2))
    question = Question(text="<image>\n<image>\n" + TEXT, answer="", marks=marks)
    expected = ours.collate([ours.encode("", frames, question, with_answer=False)]).inputs
    content: list[dict[str, Any]] = [
        {"type": "image", "image": Image.fromarray(frames[0]), "mark": [30, 20]},
        {"type": "image", "image": frames[1], "mark": {"2": [3, 4]}},
        {"type": "text", "text": TEXT},
    ]
    assert equal(expected, dict(ask(theirs, content)))
    called = theirs(images=frames, text=TEXT, marks=[(30, 20), {2: (3, 4)}])
    assert equal(expected, dict(called))


def test_a_conversation_that_is_written_out_gives_the_same_again() -> None:
    _, processor = both()
    frames = [frame(0), frame(1)]
    content: list[dict[str, Any]] = [{"type": "image", "image": item} for item in frames]
    content.append({"type": "text", "text": "What is at the mark?"})
    chat = [{"role": "system", "content": "Say it."}, {"role": "user", "content": content}]
    written = processor.apply_chat_template(chat, add_generation_prompt=True)
    assert written.count("<|image_pad|>") == 2
    again = processor(text=[written], images=frames)
    direct = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=True)
    assert equal(dict(direct), dict(again))


def test_an_answer_can_be_begun_and_a_turn_left_closed() -> None:
    ours, processor = both()
    chat = [{"role": "user", "content": "What is at the mark?"}, {"role": "assistant", "content": "It is"}]
    begun = processor.apply_chat_template(chat, tokenize=True, continue_final_message=True)
    asked = processor.apply_chat_template(chat[:1], tokenize=True, add_generation_prompt=True)
    closed = processor.apply_chat_template(chat[:1], tokenize=True)
    assert ours.decode(begun[0, asked.shape[1] :].tolist()) == "It is"
    assert torch.equal(begun[:, : asked.shape[1]], asked)
    assert torch.equal(asked[:, : closed.shape[1]], closed)
    assert ours.tokenizer.decode(asked[0, closed.shape[1] :]) == "<|im_start|>assistant\n"


def test_several_questions_make_a_batch_with_a_row_each() -> None:
    ours, processor = both()
    views = [[frame(0), frame(1)], [frame(2)]]
    texts = ["What is at the mark?", "Say it."]
    questions = [
        Question(text="<image>" * len(view) + text, answer="") for view, text in zip(views, texts, strict=True)
    ]
    examples = [ours.encode("", view, item, with_answer=False) for view, item in zip(views, questions, strict=True)]
    expected, found = ours.collate(examples).inputs, processor(images=views, text=texts)
    geometry = found.pop("geometry_images")
    assert all(torch.equal(one, two) for one, two in zip(expected.pop("geometry_images"), geometry, strict=True))
    assert equal(expected, dict(found))


def test_frames_of_several_sizes_are_fitted_after_their_marks_are_drawn() -> None:
    ours, processor = both()
    frames = [frame(0), frame(1, 160, 128)]
    marked = [draw_marks(frames[0], {0: (30, 20)}, SMALL.mark_native_width), frames[1]]
    expected = ours.look(of_one_size(marked))
    found = processor(images=frames, text=TEXT, marks=[(30, 20), None])
    assert np.array_equal(found["geometry_images"][0].numpy(), expected.geometry_images)


def test_images_come_as_paths_and_data_uris(tmp_path: Any) -> None:
    _, processor = both()
    path = tmp_path / "0.png"
    Image.fromarray(frame(0)).save(path)
    buffer = io.BytesIO()
    Image.fromarray(frame(0)).save(buffer, "PNG")
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    ways: list[dict[str, Any]] = [{"image": frame(0)}, {"path": str(path)}, {"image": path}, {"url": uri}]
    seen = [ask(processor, [{"type": "image", **way}, {"type": "text", "text": TEXT}]) for way in ways]
    assert all(equal(dict(seen[0]), dict(other)) for other in seen[1:])


def test_rounding_leaves_the_geometry_encoder_s_images_as_they_are() -> None:
    _, processor = both()
    found = processor(images=frame(0), text=TEXT).to(dtype=torch.bfloat16)
    assert found["pixel_values"].dtype == torch.bfloat16
    assert found["geometry_images"].dtype == torch.float32


@pytest.mark.parametrize(
    ("content", "how", "problem"),
    [
        ([{"type": "video", "video": "a.mp4"}], {}, "reads text and images"),
        ([{"type": "image"}], {}, "no image"),
        ([{"type": "image", "image": frame(0), "mark": [80, 0]}], {}, "outside of its image of 80x64"),
        ([{"type": "image", "image": np.zeros((4, 4), np.float32)}], {}, "uint8"),
        ([], {"tools": [{"name": "search"}]}, "tools cannot be used"),
        ([], {"chat_template": "{{ messages }}"}, "chat_template cannot be used"),
        ([], {"truncation": True}, "truncation cannot be set"),
        ([], {"return_tensors": "np"}, "PyTorch"),
        ([], {"continue_final_message": True}, "no answer to go on with"),
    ],
)
def test_what_the_model_does_not_know_is_refused(content: Any, how: dict[str, Any], problem: str) -> None:
    _, processor = both()
    with pytest.raises(UsageError, match=problem):
        ask(processor, content, **how)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"images": frame(0)}, "without a question"),
        ({"images": [frame(0), frame(1)], "text": "<image> What?"}, "1 places for 2 images"),
        ({"images": [[frame(0)]], "text": ["What?", "Where?"]}, "images for 1 questions"),
    ],
)
def test_images_that_do_not_fit_the_text_are_refused(arguments: dict[str, Any], problem: str) -> None:
    _, processor = both()
    with pytest.raises(UsageError, match=problem):
        processor(**arguments)


def test_saved_and_loaded_it_is_the_same(tmp_path: Any) -> None:
    ours, processor = both(replace(SMALL, prompting="authors"))
    processor.save_pretrained(str(tmp_path))
    again = GapHubProcessor.from_pretrained(str(tmp_path))
    assert equal(dict(processor(images=frame(0), text=TEXT)), dict(again(images=frame(0), text=TEXT)))
    assert GapProcessor.from_pretrained(tmp_path).config == ours.config
