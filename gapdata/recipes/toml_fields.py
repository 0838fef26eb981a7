"""Recipes: TOML files read into frozen dataclasses; unknown fields, wrong types, broken rules are refused by name."""

from __future__ import annotations

import dataclasses
import sys
import tomllib
import types
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from gapdata.errors import UsageError
from gapdata.files.text import decode_text
from gapdata.runtime.choices import check_choice, near_names


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
    return from_mapping(kind, given_values(path, overrides, base=base), path)


def given_values(path: Path | None, overrides: Sequence[str] = (), *, base: Path | None = None) -> dict[str, Any]:
    """Return the plain values that files and overrides give, section by section, without any default
    (:func:`read_toml`).
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
        return tomllib.loads(decode_text(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"recipe cannot be read: {error.strerror}", path=path) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"recipe is not valid TOML: {error}", path=path) from error


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the fields of ``changes``, section by section."""
    found = dict(base)
    for name, value in changes.items():
        before = found.get(name)
        found[name] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return found


def refuse_unknown_choices(choices: Mapping[str, tuple[Any, Collection[str]]], path: object) -> None:
    """Raise :class:`UsageError` for the first field whose value is not among those that it may have.

    Args:
        choices: by the field's name, its value and what it may be.
        path: of the recipe.
    """
    for name, (value, known) in choices.items():
        check_choice(f"recipe field {name}", value, known, path=path)


def refuse_broken_rules(rules: Mapping[str, bool], path: object) -> None:
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
            raise _unknown(name, known, path, prefix)
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
    except (ValueError, RecursionError):
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
            if abs(value) <= sys.float_info.max:
                return float(value)
        elif option is type(None) and value is None:
            return None
        elif type(value) is (dict if get_origin(option) is dict else option):
            return value
    wanted = " or ".join(_said(option) for option in options)
    raise UsageError(f"recipe field {where!r} is {value!r}, expected {wanted}", path=path)


def _unknown(name: str, known: Collection[str], path: object, prefix: str) -> UsageError:
    near = near_names(name, known, 1)
    meant = f"did you mean {prefix}{near[0]}? " if near else ""
    other = "" if prefix or near or path is None else "; or is this a recipe for another command?"
    return UsageError(
        f"recipe has no field {prefix + name!r}",
        path=path,
        cure=f"{meant}known here: {', '.join(sorted(known))}{other}",
    )


def _said(hint: Any) -> str:
    """A type as a person would say it."""
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        return "a list of texts" if kinds[-1] is Ellipsis else f"a list of {len(kinds)} numbers such as [512, 384]"
    if get_origin(hint) is dict:
        return "a section"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return words.get(hint, getattr(hint, "__name__", str(hint)))
