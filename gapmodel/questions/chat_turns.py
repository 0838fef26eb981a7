"""Chat messages, of a benchmark or of transformers' pipelines, as turns of a conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gapdata.errors import UsageError
from gapmodel.processing import Turn

ROLES = ("system", "user", "assistant")


def read_turn(message: Mapping[str, Any], show: Callable[[Mapping[str, Any]], int]) -> Turn:
    """Return a chat message as a turn.

    Args:
        message: with a ``role``, and as ``content`` a text or a list of parts, each of a ``type``.
        show: takes a part that is not a text, and returns how many images it brings.

    Raises:
        UsageError: the message has another role.
    """
    content, texts = message["content"], [""]
    for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
        if part.get("type") == "text":
            texts[-1] += str(part["text"])
        else:
            texts += [""] * show(part)
    return Turn(known_role(message["role"]), tuple(texts))


def known_role(name: object) -> str:
    """Return the name of a role.

    Raises:
        UsageError: there is no such role.
    """
    if name not in ROLES:
        raise UsageError(f"a message has the role {name!r}", cure=f"use {', '.join(ROLES)}")
    return str(name)
