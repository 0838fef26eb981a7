"""The tables of all recipe fields in ``manifests/README.md``, written from the dataclasses and their docstrings.

    python -m tests.documents.recipe_tables

writes them anew between the page's markers; a test holds the page to them.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

from gapdata.engine.recipe import Recipe
from gapmodel.training.recipe import Stream, TrainingRecipe

PAGE = Path(__file__).resolve().parents[2] / "manifests" / "README.md"
RECIPES: dict[str, type[Any]] = {"build": Recipe, "train": TrainingRecipe}


def page_with_tables(page: str) -> str:
    """The page with the tables as they should be."""
    for name, kind in RECIPES.items():
        begin, end = f"<!-- {name}: fields -->", f"<!-- {name}: end -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n\n{tables(kind)}\n\n{end}{rest.partition(end)[2]}"
    return page


def tables(recipe: type[Any]) -> str:
    """A table for each section of a recipe."""
    parts = []
    for field in dataclasses.fields(recipe):
        section = getattr(recipe(), field.name)
        if dataclasses.is_dataclass(section):
            inner = {f.name: getattr(section, f.name) for f in dataclasses.fields(section)}
            deeper = {name: value for name, value in inner.items() if dataclasses.is_dataclass(value)}
            parts.append(table(field.name, type(section), section, hidden=tuple(deeper)))
            parts += [table(f"{field.name}.{name}", type(value), value) for name, value in deeper.items()]
        elif field.name == "mixture":
            stream = Stream(name="", weight=1.0, build="", data=recipe().data)
            parts.append(table("mixture.NAME", Stream, stream, hidden=("name", "data")))
    return "\n\n".join(parts)


def table(title: str, kind: type[Any], values: Any, hidden: tuple[str, ...] = ()) -> str:
    """The fields of a section: name, default, meaning."""
    meanings = field_docstrings(kind)
    fields = [field.name for field in dataclasses.fields(kind) if field.name not in hidden]
    rows = [f"| `{name}` | `{as_toml(getattr(values, name))}` | {meanings[name]} |" for name in fields]
    return "\n".join([f"| **`[{title}]`** | default | meaning |", "|---|---|---|", *rows])


def field_docstrings(kind: type[Any]) -> dict[str, str]:
    """The string under each field of a dataclass, as Markdown."""
    body = ast.parse(inspect.getsource(kind)).body[0].body  # type: ignore[attr-defined]
    found = {}
    for item, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            text = following.value.value if isinstance(following, ast.Expr) else ""  # type: ignore[attr-defined]
            found[item.target.id] = as_markdown(text)
    return found


def as_markdown(text: str) -> str:
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`").replace("|", "\\|")


def as_toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(as_toml(item) for item in value)}]"
    return str(value)


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text()))
