"""A task's ``generation_kwargs`` as settings of transformers' ``generate``, and where an answer is cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_NEW_TOKENS = 512
"""Where a task does not say."""
SAMPLED = ("temperature", "top_p", "top_k")
PASSED = ("num_beams", "repetition_penalty")
READ = {"max_new_tokens", "max_gen_toks", "until", "do_sample", *SAMPLED, *PASSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How an answer is written."""

    max_new_tokens: int = MAX_NEW_TOKENS
    until: tuple[str, ...] = ()
    """The answer ends before the first of these."""
    options: tuple[tuple[str, Any], ...] = ()
    """Of ``generate``; greedy where they do not say ``do_sample``."""
    unread: tuple[str, ...] = ()
    """Settings that mean nothing to this model."""

    def cut(self, text: str) -> str:
        """Return a text up to where it ends."""
        ends = [place for end in self.until if (place := text.find(end)) >= 0]
        return text[: min(ends)] if ends else text


def read_generation(settings: Mapping[str, Any]) -> Generation:
    """Read a task's settings; a temperature of 0, or ``do_sample: false``, is greedy."""
    given = {name: value for name, value in settings.items() if value is not None}
    heat = float(given.get("temperature", 1.0 if given.get("do_sample") else 0.0))
    options: dict[str, Any] = {name: given[name] for name in PASSED if name in given}
    if heat > 0 and given.get("do_sample", True):
        options |= {name: given[name] for name in SAMPLED if name in given} | {"do_sample": True, "temperature": heat}
    until = given.get("until", ())
    ends: Sequence[str] = [until] if isinstance(until, str) else until
    return Generation(
        max_new_tokens=int(given.get("max_new_tokens", given.get("max_gen_toks", MAX_NEW_TOKENS))),
        until=tuple(end for end in ends if end),
        options=tuple(sorted(options.items())),
        unread=tuple(sorted(set(given) - READ)),
    )
