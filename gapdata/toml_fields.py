"""Recipes: TOML files read into frozen dataclasses; unknown fields, wrong types, broken rules are refused by name."""

from __future__ import annotations

import dataclasses
import tomllib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from gapdata.errors import UsageError


def read_toml(kind: type[Any], path: Path | None, overrides: Sequence[str] = (), *, base: Path | None = None) -> Any:
    """Read a file (or start from the defaults), apply ``section.field=value`` overrides and build ``kind`` from it.

    Args:
        kind: the dataclass of the whole recipe.
        path: the file; ``None`` for the defaults.
        overrides: as given on a command line.
        base: a file whose fields count where ``path`` has none.

    Raises:
        UsageError: a file cannot be read, a field is unknown, or a value has the wrong type.
    """
    values: dict[str, Any] = {}
    for part in (base, path):
        if part is not None:
            values = _merged(values, _parsed(part))
    for override in overrides:
        _apply_override(values, override)
    return from_mapping(kind, values, path)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"recipe cannot be read: {error.strerror}", path=path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe is not valid TOML: {error}", path=path) from error


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the fields of ``changes``, section by section."""
    found = dict(base)
    for name, value in changes.items():
        before = found.get(name)
        found[name] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return found


def refuse_broken_rules(rules: Mapping[str, bool], path: Path | None) -> None:
    """Raise :class:`UsageError` with the first rule that does not hold."""
    for rule, holds in rules.items():
        if not holds:
            raise UsageError(f"recipe is out of range: {rule}", path=path)


def from_mapping(kind: type[Any], values: Mapping[str, Any], path: object = None, prefix: str = "") -> Any:
    """Build a (nested) frozen dataclass from plain values; unknown fields and wrong types are refused by name."""
    hints = get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}
    arguments = {}
    for name, value in values.items():
        where = f"{prefix}{name}"
        if name not in known:
            raise UsageError(
                f"recipe has no field {where!r}", path=path, cure=f"known here: {', '.join(sorted(known))}"
            )
        if dataclasses.is_dataclass(hints[name]):
            if not isinstance(value, Mapping):
                raise UsageError(
                    f"recipe field {where!r} is a section", path=path, cure=f"write [{where}] and fields below it"
                )
            arguments[name] = from_mapping(hints[name], value, path, f"{where}.")
        else:
            arguments[name] = _coerced(value, hints[name], where, path)
    return kind(**arguments)


def _apply_override(values: dict[str, Any], override: str) -> None:
    name, separator, text = override.partition("=")
    if not separator:
        raise UsageError(f"--set {override!r} has no '='", cure="write --set section.field=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, field = name.strip().split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"recipe field {section!r} is not a section")
        values = inner
    values[field] = value


def _coerced(value: Any, hint: Any, where: str, path: object) -> Any:
    options = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if get_origin(option) is tuple and isinstance(value, (list, tuple)):
            kinds = get_args(option)
            kinds = (kinds[0],) * len(value) if kinds[-1] is Ellipsis else kinds
            if len(kinds) == len(value):
                return tuple(_coerced(item, kind, where, path) for item, kind in zip(value, kinds, strict=True))
        elif option is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        elif option is type(None) and value is None:
            return None
        elif isinstance(option, type) and type(value) is option:
            return value
    wanted = " or ".join(
        getattr(option, "__name__", str(option)) if get_origin(option) is None else str(option) for option in options
    )
    raise UsageError(f"recipe field {where!r} is {value!r}, expected {wanted}", path=path)
