"""Category lists: what ``manifests/categories/`` holds, read once, and classes of evaluation lists.

A list is a text file of one name a line, or of tab-separated columns; ``#`` begins a comment, which names the list's
source.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, get_args

from gapdata.errors import UsageError
from gapdata.files.text import decode_text
from gapdata.recipes.recipe_files import manifests_folder
from gapdata.runtime.choices import check_choice

EvaluationList = Literal["detection-8", "detection-20", "detection-31", "detection-31-authors"]
"""The detection evaluation's lists. ``detection-31`` is the long one without its two slips (30 classes);
``detection-31-authors`` has them: "lamp" twice, and "towl", which no label matches."""
OTHERS = "others"


@lru_cache(maxsize=32)
def category_list(name: str) -> tuple[str, ...]:
    """The names of ``manifests/categories/<name>.txt`` in the file's order, as often as they stand there.

    Raises:
        UsageError: there is no such list.
    """
    return tuple(_lines(f"{name}.txt"))


@lru_cache(maxsize=32)
def category_table(name: str) -> Mapping[str, str]:
    """The first two columns of ``manifests/categories/<name>.tsv``, as a mapping in the file's order.

    Raises:
        UsageError: there is no such table.
    """
    rows = (line.split("\t") for line in _lines(f"{name}.tsv"))
    return {row[0]: row[1] for row in rows}


def background() -> frozenset[str]:
    """Labels that are no detection targets: wall, floor, ceiling, object."""
    return frozenset(category_list("background"))


def normalised(label: str) -> str:
    """A label as the lists write names: lower case, single spaces, no underscores (ScanRefer writes them)."""
    return " ".join(label.replace("_", " ").lower().split())


def embodiedscan_name(label: str) -> str | None:
    """The name that EmbodiedScan's vocabulary has for a label of any taxonomy, ``None`` where it has none known."""
    name = normalised(label)
    if name in category_list("embodiedscan"):
        return name
    return category_table("aliases").get(name)


def evaluation_class(label: str, evaluation: EvaluationList) -> str | None:
    """The class of an evaluation list that a label of any taxonomy falls into, ``None`` where it falls into none.

    Raises:
        UsageError: there is no such evaluation list.
    """
    check_choice("evaluation list", evaluation, get_args(EvaluationList))
    classes = category_list(evaluation)
    name = normalised(label)
    found = name if name in classes else embodiedscan_name(name)
    return found if found in classes else None


def scanrefer_class(nyu40: str | None) -> str:
    """ScanRefer's class of a nyu40 class: one of 17, or "others" for the rest and for labels without one."""
    name = "" if nyu40 is None else normalised(nyu40)
    return name if name in category_list("scanrefer18") else OTHERS


def _lines(name: str) -> list[str]:
    path = manifests_folder() / "categories" / name
    try:
        text = decode_text(path.read_bytes())
    except ValueError as error:
        raise UsageError(str(error), path=path) from error
    except OSError as error:
        known = ", ".join(sorted(other.stem for other in path.parent.glob(f"*{path.suffix}")))
        raise UsageError("is no category list", path=path, cure=f"choose from {known}") from error
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
