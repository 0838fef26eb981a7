"""The text around a question before a model reads it, in named sets.

GAP-MLLM trains with the loader that writes no time stamps, as do its inference scripts; both open with
Qwen2's system prompt, and the turn of the answer is learned with the line break that follows its end (repository
ZestfulJX/GAP-MLLM at 051011f, ``data_qwen3_or.py``, which ``train_qwen3.py`` imports). No
file imports the loader beside it, which stamps frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompting:
    """One way to put questions."""

    system_prompt: str = ""
    """Opens the conversation in a turn of its own; empty leaves it out, which is Qwen3-VL's default."""
    timestamps: bool = False
    """Write ``<1.0 seconds>`` before each frame, as Qwen3-VL's own processor does for videos."""
    learns_line_break: bool = False
    """The line break after the end of the answer's turn belongs to what is fed and learned."""


PromptingName = Literal["authors", "qwen", "plain"]
PROMPTING: Mapping[PromptingName, Prompting] = MappingProxyType(
    {
        "authors": Prompting(system_prompt="You are a helpful assistant.", learns_line_break=True),
        "qwen": Prompting(timestamps=True),
        "plain": Prompting(),
    }
)
"""``authors``: GAP-MLLM's, for its checkpoints and recipes; ``qwen``: time stamps, no system prompt; ``plain``: nothing
but the question, for tiny models."""


def prompting_name(system_prompt: str, timestamps: bool) -> PromptingName | None:
    """Return the set with this system prompt that stamps frames or not; ``None`` if it is not known."""
    wanted = (system_prompt, timestamps)
    return next((name for name, each in PROMPTING.items() if (each.system_prompt, each.timestamps) == wanted), None)
