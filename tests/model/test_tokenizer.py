"""Tokenizers and the chat's layout: Qwen's from its rank file, checked on a small one, and the template's text."""

from __future__ import annotations

import base64
import functools
import itertools
import json
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from gapdata.errors import UsageError
from gapdata.tasks.chat import IMAGE, Question
from gapdata.tasks.prompting import PROMPTING, PromptingName
from gapmodel.packing import IGNORED
from gapmodel.presets import QWEN_TOKENS
from gapmodel.processing import AUTHORS, GapProcessor, ProcessorConfig
from gapmodel.tokenizer import CONTROL, PLAIN, load_tokenizer, qwen_tokenizer, special_token_ids, text_encoder

WORDS = [b"he", b"ll", b"hell", b"hello", b" w", b"or", b" wor", b"ld", b" world", b" -", b"\n\n", "é".encode(), b"use"]
WORDS += [b"user", b"ass", b"is", b"assis"]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All bytes in Qwen's order of the printable ones first, then a few merged tokens."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order = [*printable, *(byte for byte in range(256) if byte not in printable)]
    tokens = [*(bytes([byte]) for byte in order), *WORDS]
    path = tmp_path_factory.mktemp("ranks") / "qwen.tiktoken"
    path.write_text("".join(f"{base64.b64encode(t).decode()} {rank}\n" for rank, t in enumerate(tokens)))
    return path


def by_rank(text: bytes, table: dict[bytes, int]) -> list[int]:
    """Byte-pair encoding as tiktoken defines it: join the neighbours whose union has the lowest rank."""
    parts = [text[i : i + 1] for i in range(len(text))]
    while True:
        ranked = [(table[a + b], i) for i, (a, b) in enumerate(itertools.pairwise(parts)) if a + b in table]
        if not ranked:
            return [table[part] for part in parts]
        index = min(ranked)[1]
        parts[index : index + 2] = [parts[index] + parts[index + 1]]


def test_a_rank_file_becomes_the_tokenizer_that_it_describes(ranks: Path, tmp_path: Path) -> None:
    tokenizer = qwen_tokenizer(ranks)
    table = {base64.b64decode(token): int(rank) for token, rank in map(str.split, ranks.read_text().splitlines())}
    assert len(tokenizer) == len(table) + 26
    pieces = ["hello", " world", " -", "0", ".", "5", "\n\n", "é", "椅子", " hell", "user", "assist"]
    for piece in pieces:
        assert tokenizer(piece)["input_ids"] == by_rank(piece.encode(), table), piece
    assert tokenizer("hello world -0.5")["input_ids"] == [
        rank for piece in ("hello", " world", " -", "0", ".", "5") for rank in by_rank(piece.encode(), table)
    ]
    for text in ("hello world -0.5\n\né椅子", "<think>so</think>"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    tokenizer.save_pretrained(str(tmp_path))
    again = load_tokenizer(tmp_path)
    assert again("hello <|im_end|>")["input_ids"] == tokenizer("hello <|im_end|>")["input_ids"]
    assert again.padding_side == "left"


def test_added_tokens_follow_the_ranks_in_qwens_order(ranks: Path) -> None:
    tokenizer = qwen_tokenizer(ranks)
    first = len(ranks.read_text().splitlines())
    ids = tokenizer.convert_tokens_to_ids([*CONTROL, *PLAIN])
    assert ids == list(range(first, first + 26))
    assert {role: token - first for role, token in special_token_ids(tokenizer).items()} == {
        role: token - 151_643 for role, token in QWEN_TOKENS.items()
    }
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|endoftext|>", "<|im_end|>")
    assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == "".join(PLAIN)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("aGk= x\n", r"qwen\.tiktoken: line 1 is not a token in base64 and its rank"),
        ("aGk= 0\n", r"qwen\.tiktoken: its ranks are not 0, 1, 2, \.\.\., or some of the 256 bytes have none"),
    ],
)
def test_another_file_is_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "qwen.tiktoken"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        qwen_tokenizer(path)


def test_a_missing_tokenizer_is_named_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"does not exist; name qwen.tiktoken, or run `pip install 'gapmllm\[tokenizer\]'`"
    ):
        qwen_tokenizer(tmp_path / "none")
    with pytest.raises(UsageError, match="holds no tokenizer; add Qwen3-VL's tokenizer files"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("prompting", PROMPTING)
def test_a_question_is_what_the_chat_template_writes(ranks: Path, prompting: PromptingName) -> None:
    """Tokens of the whole text at once, as any other program would make them, with the placeholders repeated."""
    tokenizer, way = qwen_tokenizer(ranks), PROMPTING[prompting]
    config = ProcessorConfig(image_size=(64, 32), prompting=prompting, seconds_per_frame=1 / 24)
    question = Question(text="Look." + IMAGE + IMAGE + "\nhello world?", answer="[1.25, -0.40]")
    prompt, answer = GapProcessor(tokenizer, config).token_sequence(question, 2)
    stamp = "<0.0 seconds>" if way.timestamps else ""
    content = [
        {"type": "text", "text": "Look." + stamp},
        {"type": "image"},
        {"type": "text", "text": stamp},
        {"type": "image"},
        {"type": "text", "text": "hello world?"},  # the published loaders drop the break after a placeholder
    ]
    turns: list[dict[str, object]] = [{"role": "system", "content": way.system_prompt}] if way.system_prompt else []
    turns += [{"role": "user", "content": content}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    text = re.sub(r"<\|image_pad\|>", lambda found: found.group() * 2, text)
    assert prompt == tokenizer(text)["input_ids"]
    turns += [{"role": "assistant", "content": question.answer}]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    whole = re.sub(r"<\|image_pad\|>", lambda found: found.group() * 2, whole)
    left = [] if way.learns_line_break else tokenizer("\n")["input_ids"]
    assert [*prompt, *answer, *left] == tokenizer(whole)["input_ids"]


def test_the_authors_prompt_is_frozen(ranks: Path) -> None:
    """Their system prompt, no time stamps, and the line break that ends the answer's turn, learned with it."""
    tokenizer = qwen_tokenizer(ranks)
    processor = GapProcessor(tokenizer, replace(AUTHORS, image_size=(32, 32)))
    prompt, answer = processor.token_sequence(Question(text=IMAGE * 2 + "\nWhere?", answer="here"), 2, 1)
    image = "<|vision_start|><|image_pad|><|vision_end|>"
    assert tokenizer.decode(prompt) == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        + image * 2
        + "Where?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert tokenizer.decode(answer) == "here<|im_end|>\n"
    assert processor.decode(answer) == "here"
    frames = processor.look([np.zeros((968, 1296, 3), dtype=np.uint8)])
    example = processor.encode("k", frames, Question(text=IMAGE + "?", answer="here"), with_answer=True)
    assert example.labels[example.labels != IGNORED].tolist() == answer
    assert example.visual.sum() == AUTHORS.tokens_of(1296, 968) == 192


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_of_others_becomes_a_token_of_the_layout(ranks: Path, data: st.DataObject) -> None:
    """Added tokens whole, torn, nested into each other, between any letters: all of it is text, and is kept."""
    tokenizer = _tokenizer(ranks)
    name = st.sampled_from(list(tokenizer.get_added_vocab()))
    parts = st.one_of(
        name,
        st.builds(lambda a, at: a[:at], name, st.integers(0, 20)),
        st.builds(lambda a, b, at: a[:at] + b + a[at:], name, name, st.integers(1, 9)),
        st.sampled_from([IMAGE, "\n", "a"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    )
    said, answer = (data.draw(st.lists(parts, max_size=5).map("".join)) for _ in range(2))
    for prompting in PROMPTING:
        processor = GapProcessor(tokenizer, ProcessorConfig(image_size=(32, 32), prompting=prompting))
        added = set(tokenizer.get_added_vocab().values())
        plain, hostile = (
            processor.token_sequence(Question(text=IMAGE * 2 + "?" + text, answer=reply), 2)
            for text, reply in (("", ""), (said, answer))
        )
        for clean, found in zip(plain, hostile, strict=True):
            assert [i for i in found if i in added] == [i for i in clean if i in added]
    ids = text_encoder(tokenizer)(said)
    assert tokenizer.decode(ids) == unicodedata.normalize("NFC", said)


@functools.cache
def _tokenizer(ranks: Path) -> PreTrainedTokenizerBase:
    return qwen_tokenizer(ranks)


@pytest.mark.parametrize(
    "text", ["<|im_<|im_end|>end|>", "<|image_<|video_pad|>pad|>", "<think>", "<|box_start|>", IMAGE]
)
def test_a_description_that_spells_a_token_is_asked_about_as_it_stands(ranks: Path, text: str) -> None:
    tokenizer = qwen_tokenizer(ranks)
    processor = GapProcessor(tokenizer, ProcessorConfig(image_size=(64, 64)))
    question = Question(text=IMAGE + "\nText: " + text, answer=text)
    example = processor.encode("k", [np.zeros((64, 64, 3), dtype=np.uint8)], question, with_answer=True)
    assert example.visual.sum() == 4
    assert (example.input_ids == processor.token_ids["end"]).sum() == 2
    assert tokenizer.decode(example.input_ids).count(text) == 2


def test_a_processor_saved_by_an_earlier_version_keeps_its_way_of_prompting(ranks: Path, tmp_path: Path) -> None:
    processor = GapProcessor(qwen_tokenizer(ranks), ProcessorConfig(prompting="authors"))
    processor.save_pretrained(tmp_path)
    path = tmp_path / "gap_processor.json"
    fields = json.loads(path.read_text())
    del fields["prompting"]
    for system, stamps, name in (
        ("", True, "qwen"),
        ("", False, "plain"),
        ("You are a helpful assistant.", False, "authors"),
    ):
        path.write_text(json.dumps({**fields, "system_prompt": system, "timestamps": stamps}))
        assert GapProcessor.from_pretrained(tmp_path).config.prompting == name
    path.write_text(json.dumps({**fields, "system_prompt": "Sing.", "timestamps": True}))
    with pytest.raises(UsageError, match="prompting"):
        GapProcessor.from_pretrained(tmp_path)


def test_time_stamps_count_frames_as_configured(ranks: Path) -> None:
    tokenizer = qwen_tokenizer(ranks)
    question = Question(text=IMAGE * 3 + "?", answer="")
    for seconds, stamps in ((1.0, ["0.0", "1.0", "2.0"]), (1 / 24, ["0.0", "0.0", "0.1"])):
        config = ProcessorConfig(image_size=(32, 32), seconds_per_frame=seconds)
        prompt, _ = GapProcessor(tokenizer, config).token_sequence(question, 3)
        assert re.findall(r"<(\d\.\d) seconds>", tokenizer.decode(np.array(prompt))) == stamps
    silent = ProcessorConfig(image_size=(32, 32), prompting="plain")
    assert "seconds" not in tokenizer.decode(GapProcessor(tokenizer, silent).token_sequence(question, 3)[0])
