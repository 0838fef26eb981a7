"""Tokenizers: a model directory's own, Qwen's from its rank file, or a small one taught the words of the tasks.

All three split text alike: every digit is one token, and a minus sign joins the space before it. The small one does not
need a file; its vocabulary has some hundred entries instead of 151,669, which a tiny model can learn.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase, Qwen2Tokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode, generate_merges

from gapdata.errors import UsageError

SPECIAL = {"pad": "<|endoftext|>", "start": "<|im_start|>", "end": "<|im_end|>"}
SPECIAL |= {"vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>"}
SPECIAL |= {"image": "<|image_pad|>", "video": "<|video_pad|>"}
"""Qwen3-VL's special tokens by role."""
CONTROL = [SPECIAL["pad"], SPECIAL["start"], SPECIAL["end"]]
CONTROL += [f"<|{part}_{end}|>" for part in ("object_ref", "box", "quad", "vision") for end in ("start", "end")]
CONTROL += ["<|vision_pad|>", SPECIAL["image"], SPECIAL["video"]]
_INFILLING = ("fim_prefix", "fim_middle", "fim_suffix", "fim_pad", "repo_name", "file_sep")
PLAIN = ["<tool_call>", "</tool_call>", *(f"<|{name}|>" for name in _INFILLING)]
PLAIN += ["<tool_response>", "</tool_response>", "<think>", "</think>"]
"""The 26 tokens that Qwen3-VL adds after the ranks, in order: control tokens, then those that decoding keeps."""
MAX_VOCABULARY = 4096
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen3-VL's template for system, user and assistant turns of text and images, without its part about tools."""


def load_tokenizer(directory: str | Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer in a model directory (Qwen3-VL's, or one that training wrote), padding on the left.

    Raises:
        UsageError: the directory does not have a tokenizer.
    """
    if not any((Path(directory) / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise UsageError(
            "holds no tokenizer", path=directory, cure="add Qwen3-VL's tokenizer files, or make them (qwen_tokenizer)"
        )
    return AutoTokenizer.from_pretrained(str(directory), padding_side="left")


def qwen_tokenizer(ranks: str | Path | None = None) -> Qwen2Tokenizer:
    """Make Qwen3-VL's tokenizer from the rank file ``qwen.tiktoken``.

    Args:
        ranks: the file, lines of base64 bytes and rank; by default the copy in the package dashscope, which
            ``pip install 'gapmllm[tokenizer]'`` brings.

    Raises:
        UsageError: there is no such file, or it holds something else.
    """
    path = _packaged_ranks() if ranks is None else Path(ranks)
    if not path.is_file():
        raise UsageError(
            "does not exist", path=path, cure="name qwen.tiktoken, or run `pip install 'gapmllm[tokenizer]'`"
        )
    table: dict[bytes, int] = {}
    for number, line in enumerate(path.read_text(encoding="ascii", errors="replace").splitlines(), start=1):
        try:
            token, rank = line.split()
            table[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            problem = f"line {number} is not a token in base64 and its rank"
            raise UsageError(problem, path=path, cure="use qwen.tiktoken") from error
    if sorted(table.values()) != list(range(len(table))) or not {bytes([byte]) for byte in range(256)} <= set(table):
        problem = "its ranks are not 0, 1, 2, ..., or some of the 256 bytes have none"
        raise UsageError(problem, path=path, cure="use qwen.tiktoken")
    letters = bytes_to_unicode()
    vocabulary = {"".join(letters[byte] for byte in token): rank for token, rank in table.items()}
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=generate_merges(vocabulary, None),
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_tokens(CONTROL, special_tokens=True)
    tokenizer.add_tokens(PLAIN)
    tokenizer.eos_token = SPECIAL["end"]  # given earlier, it would have been added first and got another id
    return tokenizer


def train_tokenizer(texts: Iterable[str]) -> Qwen2Tokenizer:
    """Make a tokenizer in which every word of ``texts`` is one token, up to :data:`MAX_VOCABULARY` tokens.

    The result depends only on the set of texts.
    """
    untrained = Qwen2Tokenizer(padding_side="left", chat_template=CHAT_TEMPLATE, clean_up_tokenization_spaces=False)
    tokenizer = untrained.train_new_from_iterator(
        sorted(set(texts)),
        MAX_VOCABULARY,
        new_special_tokens=list(SPECIAL.values()),
        min_frequency=1,
        show_progress=False,
    )
    tokenizer.eos_token = SPECIAL["end"]
    return tokenizer


def text_encoder(tokenizer: PreTrainedTokenizerBase) -> Callable[[str], tuple[int, ...]]:
    """Return a function from text to ids that are never those of added tokens, whatever the text says.

    It is the tokenizer without its added tokens (``<|im_end|>`` and all others that Qwen appends to its vocabulary):
    text that spells one is tokenized letter by letter, like any other.
    """
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    plain = Tokenizer.from_str(json.dumps({**described, "added_tokens": []}))
    return lambda text: tuple(plain.encode(text, add_special_tokens=False).ids)


def special_token_ids(tokenizer: PreTrainedTokenizerBase) -> Mapping[str, int]:
    """Return the ids of :data:`SPECIAL` by role."""
    return {role: int(tokenizer.convert_tokens_to_ids(token)) for role, token in SPECIAL.items()}


def _packaged_ranks() -> Path:
    # Found without importing the package, which would start a client.
    package = find_spec("dashscope")
    if package is None or package.origin is None:
        raise UsageError("the package dashscope is not installed", cure="run `pip install 'gapmllm[tokenizer]'`")
    return Path(package.origin).parent / "resources" / "qwen.tiktoken"
