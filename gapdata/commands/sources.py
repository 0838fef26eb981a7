"""``gapdata sources``: what is read, what it is recognised by, how it is downloaded and under which terms."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gapdata.commands.argument_types import place
from gapdata.files.storage import Location
from gapdata.runtime.terminal import say_result
from gapdata.sources.registry import SOURCES, as_option, open_by_content, title_of
from gapdata.sources.source_facts import OWN_TERMS, SourceFacts

if TYPE_CHECKING:
    from gapdata.sources.base import Dataset

HELP = "List the scans that are read, how to get them and their terms; or say what a folder is and what it lacks."
SHOWN = 5
"""Scenes that the text names; ``--json`` has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder to look at."""
    parser.add_argument(
        "path", type=place, nargs="?", metavar="DIR", help="a folder or file: say what it is and what is missing"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print the list, or what the place is, and return the exit status.

    Raises:
        UsageError: the place does not exist, or no source recognises it.
        SourceError: it is a damaged scan.
    """
    if options.path is None:
        facts = list_sources()
        text = "\n\n".join("\n".join(_lines(row)) for row in facts.values())
        say_result(facts, text, as_json=options.json)
        return 0
    facts = describe_place(options.path)
    say_result(facts, "\n".join(_lines_of_place(facts)), as_json=options.json)
    return 0


def list_sources() -> dict[str, Any]:
    """Return the facts about every source, and about the captures that one recognises, by name."""
    from gapdata.sources.captures import CAPTURES
    from gapdata.sources.known_layouts import LAYOUTS

    captures = {name: {"endings": list(row.endings), **_facts(name, row)} for name, row in CAPTURES.items()}
    layouts = {name: {"endings": [], **_facts(name, row)} for name, row in LAYOUTS.items()}
    return {
        name: {
            "option": f"{as_option(name)} DIR",
            "stores": row.in_stores,
            "endings": list(row.endings),
            **_facts(name, row),
            **({"captures": captures | layouts} if row.captures else {}),
        }
        for name, row in SOURCES.items()
    }


def _facts(name: str, row: SourceFacts) -> dict[str, Any]:
    return {
        "title": row.title or name,
        "recognised_by": row.recognised_by,
        "download": row.download,
        "terms": row.terms,
        "redistributable": row.redistributable,
        "categories": row.categories,
        "splits": row.splits,
    }


def _lines(facts: dict[str, Any], indent: str = "") -> Iterator[str]:
    """Yield a source's facts, a line each; what does not apply is left out."""
    stores = ", also s3:// and gs://" if facts.get("stores") else ""
    yield f"{indent}{facts['title']} ({facts['option']}{stores})" if "option" in facts else f"{indent}{facts['title']}"
    shared = "" if facts["redistributable"] or facts["terms"] == OWN_TERMS else "; images are not to be passed on"
    rows = {
        "recognised by": facts["recognised_by"],
        "download": facts["download"],
        "terms": f"{facts['terms']}{shared}",
        "categories": facts["categories"],
        "splits": facts["splits"],
    }
    yield from (f"{indent}  {what:<14} {text}" for what, text in rows.items() if text)
    if facts.get("captures"):
        yield f"{indent}  captures, recognised in the same folders:"
        for row in facts["captures"].values():
            yield from _lines(row, indent + "    ")


def describe_place(path: Location) -> dict[str, Any]:
    """Return what a folder or file is by its content, and what it lacks.

    Raises:
        UsageError: no source recognises it; the message says what was looked for and what lies there.
        SourceError: it is a damaged scan.
    """
    from gapdata.sources.base import Dataset
    from gapdata.sources.terms import terms_table

    name, found = open_by_content(path)
    facts = {
        "path": str(path),
        "source": name,
        "title": title_of(name),
        "option": f"{as_option(name)} {path}",
    }
    if isinstance(found, Dataset):
        return facts | _facts_of_dataset(found, SOURCES[name])
    with found:
        terms = terms_table([(name, "")])
        return facts | {"scenes": 1, "frames": int(found.present.sum()), "formats": {}, "terms": terms, "lacks": []}


def _facts_of_dataset(dataset: Dataset, row: SourceFacts) -> dict[str, Any]:
    from gapdata.sources.terms import own_terms, terms_table

    scenes = dataset.scene_ids
    kinds = [dataset.kind(scene) for scene in scenes]
    splits = [dataset.split(scene) for scene in scenes]
    missing = [scene for scene, kind in zip(scenes, kinds, strict=True) if kind == "missing"]
    plain = [scene for scene in scenes if scene not in set(missing) and not dataset.annotated(scene)]
    return {
        "scenes": len(scenes),
        "terms": terms_table(((dataset.name, kind) for kind in kinds), own_terms(dataset.root)),
        "formats": {kind: kinds.count(kind) for kind in sorted(set(kinds) - {"missing"})},
        "splits": {split: splits.count(split) for split in sorted(set(splits))},
        "without_frames": missing,
        "without_annotation": plain,
        "passed_over": dict(dataset.passed_over),
        "lacks": list(dataset.lacks(scenes, splits_given=False)),
        "download": row.download if missing else "",
    }


def _lines_of_place(facts: dict[str, Any]) -> Iterator[str]:
    """Yield what a place is and what it lacks, in lines."""
    from gapdata.runtime.counting import counted, few
    from gapdata.sources.terms import terms_lines

    formats = ", ".join(f"{count} {kind}" for kind, count in facts["formats"].items())
    yield f"{facts['path']}: {facts['title']}, {counted(facts['scenes'], 'scene')}{formats and f' ({formats})'}"
    yield f"  read it with   {facts['option']}"
    yield from (f"  terms of       {line}" for line in terms_lines(facts["terms"]))
    if facts.get("splits"):
        yield f"  splits         {', '.join(f'{count} {split}' for split, count in facts['splits'].items())}"
    if facts.get("without_frames"):
        yield f"  without frames {few(facts['without_frames'], SHOWN)}"
    if facts.get("download"):
        yield f"  download       {facts['download']}"
    if facts.get("without_annotation"):
        plain = facts["without_annotation"]
        yield f"  geometry only  {counted(len(plain), 'scene')} without annotation: {few(plain, SHOWN)}"
    yield from (f"  passed over    {name} {reason}" for name, reason in facts.get("passed_over", {}).items())
    yield from (f"  {line}" for line in facts["lacks"])
