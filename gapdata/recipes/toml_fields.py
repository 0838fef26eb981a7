"""Read TOML files and overrides of their fields into frozen dataclasses."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gapdata.errors import UsageError
from gapdata.files.given_file import read_text
from gapdata.recipes.typed_fields import from_mapping


def read_toml(kind: type[Any], path: Path | None, overrides: Sequence[str] = (), *, base: Path | None = None) -> Any:
    """Read a recipe, apply ``section.field=value`` overrides and build ``kind`` from it.

    Args:
        kind: the dataclass of the whole recipe.
        path: the file; ``None`` for the defaults.
        overrides: ``section.field=value``, as given with ``--set``.
        base: a file that gives the fields which ``path`` leaves out.

    Raises:
        UsageError: a file cannot be read, a field is unknown, or a value has the wrong type or is out of bounds.
    """
    return from_mapping(kind, given_values(path, overrides, base=base), path)


def given_values(path: Path | None, overrides: Sequence[str] = (), *, base: Path | None = None) -> dict[str, Any]:
    """Return the values that files and overrides give, section by section, without defaults.

    The arguments are those of :func:`read_toml`.
    """
    values: dict[str, Any] = {}
    for part in (base, path):
        if part is not None:
            values = _merged(values, _parsed(part))
    for override in overrides:
        _apply_override(values, override)
    return values


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path, UsageError))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"recipe is not valid TOML: {error}", path=path) from error


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the fields of ``changes``, section by section."""
    found = dict(base)
    for name, value in changes.items():
        before = found.get(name)
        found[name] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return found


def _apply_override(values: dict[str, Any], override: str) -> None:
    name, separator, text = override.partition("=")
    if not separator:
        raise UsageError(f"--set {override!r} has no '='", cure="write --set section.field=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text
    *sections, field = name.strip().split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"recipe field {section!r} is not a section")
        values = inner
    values[field] = value
