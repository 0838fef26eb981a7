"""Plain values to frozen dataclasses: unknown fields, wrong types and broken rules are refused by name."""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from gapdata.errors import UsageError
from gapdata.recipes.bounds import Bounds
from gapdata.runtime.choices import near_names, unknown_choice


def require(holds: bool, rule: str, path: object) -> None:
    """Refuse a recipe in which a rule about several fields does not hold.

    Args:
        holds: whether the rule holds.
        rule: the rule, with the names of its fields and their values.
        path: the recipe.

    Raises:
        UsageError: the rule does not hold.
    """
    if not holds:
        raise UsageError(f"recipe cannot be followed: {rule}", path=path)


def from_mapping(kind: type[Any], values: Mapping[str, Any], path: object = None, prefix: str = "") -> Any:
    """Build a (nested) frozen dataclass from plain values.

    A field's type may be a dataclass (a section), a plain type, a tuple, a ``Literal`` of texts, ``Annotated[str,
    names]`` with a tuple of names, or ``Annotated`` with :class:`~gapdata.recipes.bounds.Bounds`.

    Args:
        kind: the dataclass.
        values: the values by field; a field that is missing takes its default.
        path: the file, for messages.
        prefix: the section, for messages; it ends with a dot.

    Raises:
        UsageError: a field is unknown, or a value has the wrong type or is out of bounds.
    """
    hints = get_type_hints(kind, include_extras=True)
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
            arguments[name] = _typed(value, hints[name], where, path)
    return kind(**arguments)


def _typed(value: Any, hint: Any, where: str, path: object) -> Any:
    """Return ``value`` in the type that ``hint`` names, if it is one of those that are allowed."""
    kind, allowed = hint, None
    if get_origin(hint) is Annotated:
        kind, allowed = get_args(hint)
    elif get_origin(hint) is Literal:
        kind, allowed = str, get_args(hint)
    found = _plain(value, kind, where, path)
    if isinstance(allowed, Bounds) and found not in allowed:
        raise UsageError(f"recipe field {where!r} is {value!r}, expected {allowed}", path=path)
    if isinstance(allowed, tuple) and found not in allowed:
        raise unknown_choice(f"recipe field {where}", value, [name for name in allowed if name], path=path)
    return found


def _plain(value: Any, hint: Any, where: str, path: object) -> Any:
    """Return ``value`` in a plain type: a number, a text, a tuple, ``None``, or one of several types."""
    options = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if get_origin(option) is tuple and isinstance(value, (list, tuple)):
            kinds = get_args(option)
            kinds = (kinds[0],) * len(value) if kinds[-1] is Ellipsis else kinds
            if len(kinds) == len(value):
                return tuple(_typed(item, kind, where, path) for item, kind in zip(value, kinds, strict=True))
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
    """Return a type in plain words."""
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        return "a list of texts" if kinds[-1] is Ellipsis else f"a list of {len(kinds)} numbers such as [512, 384]"
    if get_origin(hint) is dict:
        return "a section"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return words.get(hint, getattr(hint, "__name__", str(hint)))
