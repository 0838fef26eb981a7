"""Read category lists from ``manifests/categories/``, and find the classes of the detection evaluation.

A list is a text file with one name per line, or with tab-separated columns. A line that begins with ``#`` is a comment;
it names the source of the list.
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
"""The lists of the detection evaluation. The authors' long list has two slips: "lamp" is in it twice, and "towl",
which no label matches, replaces "towel". ``detection-31-authors`` keeps them; ``detection-31`` does not (30
classes)."""
OTHERS = "others"


@lru_cache(maxsize=32)
def category_list(name: str) -> tuple[str, ...]:
    """Return the names in ``manifests/categories/<name>.txt``, in the file's order and with repetitions.

    Raises:
        UsageError: the list does not exist.
    """
    return tuple(category_lines(f"{name}.txt"))


@lru_cache(maxsize=32)
def category_table(name: str) -> Mapping[str, str]:
    """Return the first two columns of ``manifests/categories/<name>.tsv`` as a mapping, in the file's order.

    Raises:
        UsageError: the table does not exist.
    """
    rows = (line.split("\t") for line in category_lines(f"{name}.tsv"))
    return {row[0]: row[1] for row in rows}


def background() -> frozenset[str]:
    """Return the labels that are not detection targets: wall, floor, ceiling, object."""
    return frozenset(category_list("background"))


@lru_cache(maxsize=65536)
def normalised(label: str) -> str:
    """Write a label as the lists do: lower case, single spaces, and spaces for ScanRefer's underscores."""
    return " ".join(label.replace("_", " ").lower().split())


def embodiedscan_name(label: str) -> str | None:
    """Return EmbodiedScan's name for a label of any taxonomy, or ``None`` if it does not have one."""
    name = normalised(label)
    if name in category_list("embodiedscan"):
        return name
    return category_table("aliases").get(name)


def evaluation_class(label: str, evaluation: EvaluationList) -> str | None:
    """Return the class of a label of any taxonomy in an evaluation list, or ``None`` if it does not have one.

    Raises:
        UsageError: the evaluation list does not exist.
    """
    check_choice("evaluation list", evaluation, get_args(EvaluationList))
    classes = category_list(evaluation)
    name = normalised(label)
    found = name if name in classes else embodiedscan_name(name)
    return found if found in classes else None


def scanrefer_class(nyu40: str | None) -> str:
    """Return ScanRefer's class of a nyu40 class: one of 17, or ``others`` for the rest and for ``None``."""
    name = "" if nyu40 is None else normalised(nyu40)
    return name if name in category_list("scanrefer18") else OTHERS


def category_lines(name: str) -> list[str]:
    """Return the lines of a file of ``manifests/categories/``, without blank ones and comments.

    Raises:
        UsageError: it does not exist, or is not text.
    """
    path = manifests_folder() / "categories" / name
    try:
        text = decode_text(path.read_bytes())
    except ValueError as error:
        raise UsageError(str(error), path=path) from error
    except OSError as error:
        known = ", ".join(sorted(other.stem for other in path.parent.glob(f"*{path.suffix}")))
        raise UsageError("is not a category list", path=path, cure=f"choose from {known}") from error
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
