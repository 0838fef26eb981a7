"""The packages of the extra ``train``, which a data node does not need."""

from __future__ import annotations

from importlib.util import find_spec

from gapdata.errors import UsageError


def require_training_extra() -> None:
    """Stop where a package is missing that the model needs.

    Raises:
        UsageError: one is missing; the message names the command that installs it.
    """
    for package in ("torch", "transformers"):
        if find_spec(package) is None:
            raise UsageError(f"{package} is not installed", cure="run `pip install 'gapmllm[train]'`")
