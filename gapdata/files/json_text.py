"""Decode a JSON file that a user or another tool wrote, in any encoding, with an error that says what it is."""

from __future__ import annotations

import json
from typing import Any

from gapdata.files.text import decode_text


def decode_json(data: bytes) -> Any:
    """Return the value of a JSON file.

    Raises:
        ValueError: it is not text, or not JSON; the message says which.
    """
    try:
        return json.loads(decode_text(data))
    except RecursionError as error:
        raise ValueError("is not valid JSON: it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"is not valid JSON, as if it were cut off: {error}") from error
