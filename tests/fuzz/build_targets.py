"""Targets that a build has written: records, shards with their index, and the small files beside them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.fuzz.cases import attempt, linked, replaced
from tests.fuzz.mutations import damaged, damaged_json, damaged_tree, pick, written


def record(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """A record's JSON and its members."""
    from gapdata.audit.record_checks import check_record
    from gapdata.engine.recipe import Recipe
    from gapdata.records import expressions
    from gapdata.records.reading import record_from_json
    from gapdata.records.record_facts import describe_record
    from gapdata.records.schema import Record
    from gapdata.seeding import generator_for
    from gapdata.tasks.questions import TASKS, questions
    from gapdata.tasks.task import QuestionOptions
    from tests.fuzz.seeds import forged_npy

    members = {path.name: path.read_bytes() for path in (seeds / "record").iterdir()}
    tree = json.loads(members.pop("json"))
    pictures = [data for name, data in members.items() if name != "pointmap.npy"]
    by_frame = (Record.image, Record.depth, Record.instances, Record.prompt_mask)

    def case(rng: np.random.Generator) -> int:
        text, found = written(tree), dict(members)
        if rng.random() < 0.5:
            text = damaged_json(tree, rng)
        else:
            name = pick(rng, tuple(members))
            forge = name == "pointmap.npy" and rng.random() < 0.5
            found[name] = forged_npy(rng) if forge else damaged(members[name], rng, pictures)
            if rng.random() < 0.05:
                del found[name]
        item = record_from_json(text, found)
        for frame in range(min(len(item), 3)):
            for decode in by_frame:
                attempt(lambda decode=decode, frame=frame: decode(item, frame))  # type: ignore[misc]
        for read in (Record.stored_pointmap, Record.pointmap, describe_record, expressions.descriptions):
            attempt(lambda read=read: read(item))  # type: ignore[misc]
        attempt(lambda: list(check_record(item, Recipe(), boxless_objects=False)))
        for task in TASKS:
            attempt(lambda task=task: questions(item, task, QuestionOptions(), generator_for(0, "fuzz")))  # type: ignore[misc]
        return len(text) + sum(map(len, found.values()))

    return case


def forged_tar(tar: bytes, rng: np.random.Generator) -> bytes:
    """A tar whose headers are damaged in one or two fields, with checksums that are right again."""
    changed = bytearray(tar)
    headers = [at for at in range(0, len(tar), 512) if tar[at + 257 : at + 262] == b"ustar"]
    fields = ((0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155))
    values: tuple[bytes, ...] = (
        b"../../x\0",
        b"/etc/passwd\0",
        b"77777777777\0",
        b"\x80" + b"\xff" * 11,
        b"\xff" * 12,
        b"x",
        b"g",
        b"L",
        b"K",
    )
    values += (b"S", b"1", b"5", b"6", b"\0", b"-1\0", b"00000000000\0", b"\xc3\x28\0", b"00000001000\0")
    for _ in range(int(rng.integers(1, 3))):
        at, (start, size) = pick(rng, headers), pick(rng, fields)
        value = pick(rng, values)[:size]
        changed[at + start : at + start + len(value)] = value
        if rng.random() < 0.8:
            changed[at + 148 : at + 156] = b" " * 8
            changed[at + 148 : at + 156] = b"%06o\0 " % sum(changed[at : at + 512])
    return bytes(changed)


def shards(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """A build's index and tars, through the reader that training uses."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from gapdata.shards.index import INDEX_NAME
    from gapdata.shards.reader import ShardReader

    build = linked(seeds / "build", scratch / "build")
    rows = pq.read_table(build / INDEX_NAME).to_pylist()
    files = {path: path.read_bytes() for path in sorted(build.iterdir()) if path.suffix in (".tar", ".parquet")}
    tars = [data for path, data in files.items() if path.suffix == ".tar"]

    def forged(rng: np.random.Generator) -> bytes:
        changed = damaged_tree(rows, rng)
        buffer = io.BytesIO()
        try:
            table = pa.Table.from_pylist(changed)
            pq.write_table(table, buffer)
        except (pa.ArrowException, TypeError, AttributeError, ValueError, OverflowError, RecursionError, KeyError):
            return damaged(files[build / INDEX_NAME], rng)
        return buffer.getvalue()

    def moved(rng: np.random.Generator) -> bytes:
        """The same columns and types, with places that no tar has."""
        schema = pq.read_schema(build / INDEX_NAME)
        changed = [{**row, "members": [dict(member) for member in row["members"]]} for row in rows]
        for _ in range(int(rng.integers(1, 4))):
            row = pick(rng, changed)
            if rng.random() < 0.3:
                row[pick(rng, ("shard", "key", "split", "view"))] = pick(
                    rng, (None, "", "../x", "/etc/passwd", "a\0b", "é" * 200)
                )
            elif row["members"]:
                member = pick(rng, row["members"])
                name = pick(rng, ("offset", "size", "name"))
                numbers = (-1, 0, 511, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63), None)
                member[name] = pick(rng, (None, "", "../x", "json") if name == "name" else numbers)
                row["members"] = [] if rng.random() < 0.05 else None if rng.random() < 0.05 else row["members"]
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(changed, schema=schema), buffer)
        return buffer.getvalue()

    def with_other_facts(rng: np.random.Generator) -> bytes:
        """The same columns, and damage in what the file says about them, which is at its end."""
        data = files[build / INDEX_NAME]
        start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
        return data[:start] + damaged(data[start:-8], rng) + data[-8:]

    def case(rng: np.random.Generator) -> int:
        path = pick(rng, tuple(files))
        data = damaged(files[path], rng, tars)
        if path.suffix == ".tar" and rng.random() < 0.5:
            data = forged_tar(files[path], rng)
        if path.name == INDEX_NAME and rng.random() < 0.7:
            data = pick(rng, (moved, moved, forged, with_other_facts))(rng)
        with replaced(path, data):
            reader = ShardReader(build)
            try:
                for index in range(min(len(reader), 8)):
                    attempt(lambda index=index: reader[index])  # type: ignore[misc]
                    attempt(lambda index=index: reader.members(index, {"json", "pointmap.npy"}))  # type: ignore[misc]
                attempt(lambda: reader["scene0000_00-clip-00000"])
                attempt(lambda: reader.order(seed=0, view="clip").positions(0, 5))
            finally:
                reader.close()
        return len(data)

    return case


def build_folder(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """A build's plan, commit records and report: what status, verify, report and a resumed build read."""
    from gapdata.audit.status import build_status, format_status
    from gapdata.audit.verify import format_verdict, verify_build
    from gapdata.engine.begin_build import refuse_difference
    from gapdata.engine.commits import is_committed
    from gapdata.engine.plan import read_plan
    from gapdata.engine.report import read_report
    from gapdata.engine.report_text import format_report
    from gapdata.engine.retry import plan_retry
    from gapdata.report.contents import read_contents
    from gapdata.report.page import report_page

    build = linked(seeds / "build", scratch / "build")
    files = {path: path.read_bytes() for path in sorted(build.iterdir()) if path.is_file() and path.stat().st_size}
    trees = {path: json.loads(data) for path, data in files.items() if path.suffix == ".json"}
    sound = read_plan(build)

    def resumed() -> None:
        plan = read_plan(build)
        repaired, _ = plan_retry(plan, sound, build)
        for shard in plan.shards:
            is_committed(build, plan, shard)
        refuse_difference(repaired, sound, build)

    def case(rng: np.random.Generator) -> int:
        path = pick(rng, tuple(trees)) if rng.random() < 0.85 else pick(rng, tuple(files))
        data = damaged_json(trees[path], rng) if path in trees else damaged(files[path], rng)
        if path.suffix == ".tar" and rng.random() < 0.7:
            data = forged_tar(files[path], rng)
        with replaced(path, data):
            attempt(lambda: format_status(build, build_status(build)))
            attempt(lambda: format_report(read_report(build)))
            attempt(lambda: read_contents(build))
            attempt(resumed)
            attempt(lambda: format_verdict(build, verify_build(build, sample=1 if rng.random() < 0.8 else None)))
            if rng.random() < 0.1:
                attempt(lambda: report_page(build, 1))
        return len(data)

    return case
