"""Read the fingerprint of a build from its ``plan.json``, so that one build is not taken for another."""

from __future__ import annotations

import json

from gapdata.files.storage import Location

PLAN_NAME = "plan.json"


def planned_fingerprint(build: Location) -> str | None:
    """Return the fingerprint that a build's plan states, whatever its engine version.

    ``None`` where the plan is missing or cannot be read.
    """
    try:
        stated = json.loads((build / PLAN_NAME).read_bytes())["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return stated if isinstance(stated, str) else None
