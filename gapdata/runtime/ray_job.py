"""Check the arguments of a program that Ray runs as a job."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gapdata.errors import UsageError


def refuse_temporary_places(places: Mapping[str, str]) -> None:
    """Refuse relative paths in a job, which Ray runs in a temporary copy of its working directory.

    Args:
        places: paths and URIs, by the option that gave them; empty ones are skipped.

    Raises:
        UsageError: a path is relative.
    """
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        return
    for option, place in places.items():
        if place and "://" not in place and not Path(place).is_absolute():
            raise UsageError(
                f"{option} is relative to the job's temporary copy of the working directory",
                path=place,
                cure="give an absolute path that all nodes share",
            )
