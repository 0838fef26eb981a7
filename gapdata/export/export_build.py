"""Export a build: choose its records, claim the folder, let the exit write, and keep its report."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from gapdata.errors import UsageError
from gapdata.export.registry import EXITS, CheckedExitModule
from gapdata.files.atomic import write_atomically
from gapdata.files.json_shape import read_shaped
from gapdata.files.storage import Location
from gapdata.records.schema import Record
from gapdata.runtime.choices import check_choice
from gapdata.shards.index import INDEX_NAME
from gapdata.shards.reader import ShardReader
from gapdata.tasks.spatial.question_index import question_index

MANIFEST, REPORT = "export.json", "report.json"
"""What is exported, written first; what was written and what was left out, written last."""


def export_build(
    form: str,
    build: Location,
    out: Path,
    *,
    split: str | None = None,
    progress: Callable[[int], None] = lambda count: None,
    announce: Callable[[int], None] = lambda total: None,
    terms: Sequence[Mapping[str, Any]] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Write a build's records in another form and return the report.

    Args:
        form: one of :data:`gapdata.export.registry.EXITS`.
        build: a finished build.
        out: a new folder, or that of the same export, which then goes on where it was stopped.
        split: export only records of this split.
        progress: called with the number of records that are done.
        announce: called once with the number of records.
        terms: the terms of use of the build's scans, which the export's report repeats; ``None`` for those that the
            build states.
        options: further ones that the form takes.

    Raises:
        UsageError: the form or an option is unknown, the build lacks such records, or the folder holds something else.
        ShardError: the build is damaged.
    """
    check_choice("format", form, EXITS)
    for name in options:
        check_choice(f"option of {form}", name, EXITS[form].options)
    options = {**EXITS[form].options, **options}
    if options.get("tasks") is not None:
        options["tasks"] = _known_tasks(options["tasks"], EXITS[form].tasks())
    reader = ShardReader(build)
    chosen = reader.select(split=split)
    if not chosen:
        raise UsageError(
            f"holds no record{'' if split is None else f' of split {split}'}",
            path=build,
            cure="`gapdata inspect BUILD` lists what it holds",
        )
    module, terms = EXITS[form].load(), stated_terms(build) if terms is None else terms
    told: dict[str, Any] = {"terms": terms} if EXITS[form].by_terms else {}
    if told:
        cast(CheckedExitModule, module).check(build, terms, options)
    digest = hashlib.sha256((build / INDEX_NAME).read_bytes()).hexdigest()
    _claim(out, {"format": form, "build": digest, "split": split, **_told(options)})
    announce(len(chosen))
    report = module.export(reader, _each(reader, chosen, progress), out, **told, **options)
    report = {**report, "terms": [dict(row) for row in terms]}
    write_atomically(out / REPORT, _json(report))
    return report


def stated_terms(build: Location) -> list[dict[str, Any]]:
    """Return the terms of use that ``report.json`` states, of a build or of one that was exported as a dataset.

    Raises:
        ShardError: the file is damaged.
    """
    place = build / REPORT
    report = read_shaped(place, {}, "run build-shards again") if place.is_file() else {}
    rows = report.get("terms", [])
    return [dict(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _known_tasks(named: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return some tasks in the order of the known ones, so that equal choices make equal exports.

    Raises:
        UsageError: a task is unknown, or none is named.
    """
    for task in named or ("",):
        check_choice("task", task, known)
    return tuple(task for task in known if task in named)


def _told(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as the manifest tells them: of a file of questions its SHA-256, wherever it lies.

    Raises:
        UsageError: the file cannot be read.
    """
    path = options.get("questions")
    return {**options} if path is None else {**options, "questions": question_index(path).sha256}


def _each(reader: ShardReader, chosen: Sequence[int], progress: Callable[[int], None]) -> Iterator[Record]:
    for position in chosen:
        yield reader[position]
        progress(1)


def _claim(out: Path, manifest: Mapping[str, Any]) -> None:
    """Make a folder this export's own, or make sure that it is.

    Raises:
        UsageError: it holds something else.
    """
    place, data = out / MANIFEST, _json(manifest)
    if out.exists() and not out.is_dir():
        raise UsageError("is not a folder", path=out, cure="name a new folder")
    if not place.is_file():
        if out.is_dir() and any(not _is_leftover(path) for path in out.iterdir()):
            raise UsageError("is not empty and is not an export", path=out, cure="name a new folder")
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(place, data)
        return
    try:
        found = json.loads(place.read_bytes())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError("does not say what was exported here", path=place, cure="name a new folder")
    others = [name for name, value in json.loads(data).items() if found.get(name) != value]
    if others:
        problem = f"holds an export with another {', '.join(others)}"
        raise UsageError(problem, path=out, cure="name a new folder")


def _is_leftover(path: Path) -> bool:
    """Return whether a file was being written when a program was killed (:func:`gapdata.files.atomic.atomic_file`)."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"
