"""What is fuzzed: for each kind of input, how a case damages a sound file and what then reads it.

A reader may refuse what it is given with an error of :mod:`gapdata.errors`, or take it; anything else is a finding.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mutations import damaged, damaged_json, damaged_tree, pick, written

from gapdata.errors import GapDataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One kind of input.

    ``read`` runs one case in a scratch folder that the target has for itself and returns the bytes of its input;
    ``share`` is its part of all cases.
    """

    name: str
    share: int
    make: Callable[[Path, Path], Callable[[np.random.Generator], int]]
    """From the seeds and an empty scratch folder to a function that runs one case."""


REFUSED: list[str] = []
"""What the readers of the present case refused."""


@contextmanager
def replaced(path: Path, data: bytes) -> Iterator[None]:
    """Another content of a file for a while; the file itself, which may have other names, keeps its own."""
    aside = path.with_name(f"{path.name}.aside")
    os.rename(path, aside)
    try:
        path.write_bytes(data)
        yield
    finally:
        os.replace(aside, path)


def linked(source: Path, copy: Path) -> Path:
    """A copy of a folder by hard links, for :func:`replaced`."""
    for folder, _, names in os.walk(source):
        here = copy / Path(folder).relative_to(source)
        here.mkdir(parents=True, exist_ok=True)
        for name in names:
            os.link(Path(folder) / name, here / name)
    return copy


def attempt(read: Callable[[], Any]) -> None:
    """Run one reader; that it refuses does not keep the case from trying the next one."""
    try:
        read()
    except GapDataError as error:
        check_message(error)
        REFUSED.append(type(error).__name__)


def check_message(error: GapDataError) -> None:
    """An error's text is one line of bounded length."""
    text = str(error)
    assert "\n" not in text, f"the message has several lines: {text[:300]!r}"
    assert len(text) < 3000, f"the message has {len(text)} characters: {text[:300]!r}"


def sens(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """``.sens`` files."""
    from gapdata.inspection import describe_sens, format_facts
    from gapdata.sources.sens import SensReader

    known = [path.read_bytes() for path in sorted(seeds.glob("*.sens"))]
    path = scratch / "scene0000_00.sens"

    def case(rng: np.random.Generator) -> int:
        data = damaged(pick(rng, known), rng, known)
        path.write_bytes(data)
        with SensReader(path) as reader:
            format_facts(describe_sens(reader))
            for frame in range(min(len(reader), 8)):
                for reduction in (1, 4):
                    attempt(lambda frame=frame, reduction=reduction: reader.color(frame, reduction))  # type: ignore[misc]
                attempt(lambda frame=frame: reader.depth(frame))  # type: ignore[misc]
        return len(data)

    return case


def annotation_files(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """Annotation files as ``build-shards --annotations`` meets them: the kind is told by the content."""
    from seeds import conversations, descriptions, embodied, forged_npy, npz_members, proposals

    from gapdata.annotations.bundle import gather
    from gapdata.annotations.embodiedscan import read_embodiedscan
    from gapdata.annotations.gap_json import read_conversations
    from gapdata.annotations.proposals import read_masks, read_proposals
    from gapdata.annotations.scanrefer import read_descriptions

    pickles = [path.read_bytes() for path in sorted(seeds.glob("*.pkl"))]
    archives = [path.read_bytes() for path in sorted(seeds.glob("*.mask.npz"))]
    trees = (conversations(), descriptions(), proposals(), [*descriptions(), *conversations()])
    readers = (read_conversations, read_descriptions, read_proposals, read_embodiedscan)
    arrays = (np.zeros((4, 4)), np.full(9, np.nan), np.zeros((2, 2, 2, 2)), np.float32(2), np.array(["x"]), b"x", ())
    arrays += (np.arange(3), np.zeros((0, 4)), np.array(3), (1, 2), np.int64(-5), np.eye(4) * 1e300)

    def pickled(rng: np.random.Generator) -> bytes:
        if rng.random() < 0.5:
            return damaged(pick(rng, pickles), rng, pickles)
        tree = damaged_tree(embodied(), rng, arrays)
        try:
            return pickle.dumps(tree, protocol=int(rng.integers(2, 6)))
        except (UnicodeEncodeError, OverflowError):
            return pick(rng, pickles)

    def masks(rng: np.random.Generator) -> bytes:
        if rng.random() < 0.5:
            return damaged(pick(rng, archives), rng, archives)
        members = npz_members()
        name = pick(rng, tuple(members))
        changed = forged_npy(rng) if rng.random() < 0.6 else damaged(members[name], rng, tuple(members.values()))
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for other, data in {**members, name: changed}.items():
                archive.writestr(f"{other}.npy", data)
        return buffer.getvalue()

    def text(rng: np.random.Generator) -> bytes:
        tree = pick(rng, trees)
        if isinstance(tree, list) and rng.random() < 0.3:
            lines = [written(damaged_tree(item, rng)) if rng.random() < 0.4 else written(item) for item in tree]
            return b"\n".join(lines)
        return damaged_json(tree, rng)

    def case(rng: np.random.Generator) -> int:
        make, name = pick(
            rng, ((pickled, "x_val.pkl"), (masks, "scene0000_00.mask.npz"), (text, "x.json")) + ((text, "x.json"),) * 2
        )
        path, data = scratch / name, make(rng)
        path.write_bytes(data)

        def gathered() -> None:
            for scene in gather([path], {"scene0000_00", "scene0001_00"}).scenes.values():
                scene.from_json(scene.to_json())

        attempt(gathered)
        if make is masks:
            attempt(lambda: read_masks(path).boxes(np.zeros((12, 3))))
        else:
            found = pick(rng, readers)
            attempt(lambda: found(path))
        return len(data)

    return case


def scene_json(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """A scene's annotations as a build's workers read them."""
    from gapdata.annotations.scene_annotations import SceneAnnotations

    tree = json.loads((seeds / "annotations.json").read_bytes())

    def case(rng: np.random.Generator) -> int:
        data = damaged_json(tree, rng)
        SceneAnnotations.from_json(data).to_json()
        return len(data)

    return case


def mask_archive(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """Zips of instance masks."""
    from seeds import forged_zip_member

    from gapdata.records.codec import encode_png
    from gapdata.sources.mask_archive import MaskArchive

    sound = next(seeds.glob("*_2d-instance-filt.zip")).read_bytes()
    png = encode_png(np.zeros((30, 40), np.uint8))
    path = scratch / "scene0000_00_2d-instance-filt.zip"
    names = ("instance-filt/0.png", "../0.png", "/instance/0.png", "instance/00000000000.png", "instance-filt\\0.png")

    def case(rng: np.random.Generator) -> int:
        if rng.random() < 0.6:
            data = damaged(sound, rng)
        else:
            data = forged_zip_member(pick(rng, names), damaged(png, rng) if rng.random() < 0.8 else bytes(1 << 20))
        path.write_bytes(data)
        archive = MaskArchive(path, "scene0000_00")
        try:
            archive.digest_input()
            for frame in (0, 1, 2, 7):
                attempt(lambda frame=frame: archive.mask(frame, (40, 30)))  # type: ignore[misc]
        finally:
            archive.close()
        return len(data)

    return case


def scene_folder(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """A scene's mesh, segments, aggregation, text and the label map."""
    from gapdata.annotations.taxonomy import read_label_map
    from gapdata.sources.scene_files import SceneFiles

    folder = scratch / "scene0000_00"
    folder.mkdir()
    for source in seeds.glob("scene0000_00*"):
        os.link(source, folder / source.name)
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".ply", ".json", ".txt")}
    mesh = next(data for name, data in files.items() if name.endswith(".ply"))
    end = mesh.index(b"end_header\n") + len(b"end_header\n")
    header = mesh[:end].replace(b"binary_little_endian", b"ascii")
    corners = b"\n".join(b"%d %d %d 1 2 3 255" % (i, i * i, -i) for i in range(24)) + b"\n"
    plain = header + corners + b"\n".join(b"3 %d %d %d" % (i, i + 1, i + 2) for i in range(12)) + b"\n"
    words = (b"0", b"-1", b"4294967295", b"99999999999999999999", b"1e9", b"nan", b"x", b"double", b"list", b"vertex")
    trees = {name: json.loads(data) for name, data in files.items() if name.endswith(".json")}
    labels = (seeds / "labels.tsv").read_bytes()

    def ply(rng: np.random.Generator) -> bytes:
        data = plain if rng.random() < 0.3 else mesh
        head, rest = data[:end], data[end:]
        if rng.random() < 0.6:
            parts = head.split(b" ")
            parts[int(rng.integers(len(parts)))] = pick(rng, words) + pick(rng, (b"", b"\n"))
            head = b" ".join(parts)
        return head + (damaged(rest, rng) if rng.random() < 0.5 else rest)

    def case(rng: np.random.Generator) -> int:
        if rng.random() < 0.15:
            path, data = scratch / "labels.tsv", damaged(labels, rng)
            path.write_bytes(data)
            table = read_label_map(path)
            for name in ("wall", "office chair", "furnace", ""):
                table.labels(name), table.nyu40_id(name)
            return len(data)
        name = pick(rng, tuple(files))
        data = damaged_json(trees[name], rng) if name in trees else ply(rng) if name.endswith(".ply") else b""
        if not data or (rng.random() < 0.2 and name not in trees):
            data = damaged(files[name], rng)
        with replaced(folder / name, data):
            scene = SceneFiles(folder)
            attempt(scene.digest_input)
            attempt(lambda: scene.axis_alignment)
            attempt(scene.annotation)
        return len(data)

    return case


def frame_folder(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """Extracted frames: images, poses and intrinsics."""
    from gapdata.inspection import describe_scan, format_facts
    from gapdata.sources.rgbd import RgbdFolder

    folder = linked(seeds / "frames", scratch / "frames")
    files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    cameras = json.loads((folder / "intrinsics.json").read_bytes())

    def case(rng: np.random.Generator) -> int:
        path = pick(rng, tuple(files))
        same = [data for other, data in files.items() if other.suffix == path.suffix]
        data = damaged_json(cameras, rng) if path.suffix == ".json" else damaged(files[path], rng, same)
        with replaced(path, data), RgbdFolder.open(folder).open_scan("frames") as scan:
            attempt(lambda: format_facts(describe_scan(scan)))
            for frame in np.flatnonzero(scan.present)[:4].tolist():
                attempt(lambda frame=frame: scan.color(frame, 2))  # type: ignore[misc]
                attempt(lambda frame=frame: scan.depth(frame))  # type: ignore[misc]
                attempt(lambda frame=frame: scan.color_jpeg(frame))  # type: ignore[misc]
        return len(data)

    return case


def record(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """A record's JSON and its members."""
    from seeds import forged_npy

    from gapdata.engine.recipe import Recipe
    from gapdata.engine.record_checks import check_record
    from gapdata.inspection import describe_record
    from gapdata.records import codec, expressions
    from gapdata.records.schema import record_from_json
    from gapdata.seeding import generator_for
    from gapdata.tasks.questions import TASKS, QuestionOptions, questions

    members = {path.name: path.read_bytes() for path in (seeds / "record").iterdir()}
    tree = json.loads(members.pop("json"))
    pictures = [data for name, data in members.items() if name != "pointmap.npy"]
    by_frame = (codec.record_image, codec.record_depth, codec.record_instances, codec.record_prompt_mask)

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
        for read in (codec.stored_pointmap, codec.record_pointmap, describe_record, expressions.descriptions):
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
    values = (
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

    def case(rng: np.random.Generator) -> int:
        path = pick(rng, tuple(files))
        data = damaged(files[path], rng, tars)
        if path.suffix == ".tar" and rng.random() < 0.5:
            data = forged_tar(files[path], rng)
        if path.name == INDEX_NAME and rng.random() < 0.7:
            data = moved(rng) if rng.random() < 0.6 else forged(rng)
        with replaced(path, data):
            reader = ShardReader(build)
            try:
                for index in range(min(len(reader), 8)):
                    attempt(lambda index=index: reader[index])  # type: ignore[misc]
                    attempt(lambda index=index: reader.members(index, {"json", "pointmap.npy"}))  # type: ignore[misc]
                attempt(lambda: reader.record("scene0000_00-clip-00000"))
                attempt(lambda: reader.order(seed=0, view="clip").positions(0, 5))
            finally:
                reader.close()
        return len(data)

    return case


def build_folder(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """A build's plan, commit records and report: what status, verify, report and a resumed build read."""
    from gapdata.engine.driver import is_committed
    from gapdata.engine.plan import read_plan, refuse_difference
    from gapdata.engine.report import format_report, read_report
    from gapdata.engine.retry import plan_retry
    from gapdata.engine.status import build_status, format_status
    from gapdata.engine.verify import format_verdict, verify_build
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


def recipes(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """Recipes of both packages, as files and as ``--set``."""
    from gapdata.annotations.categories import manifests_folder
    from gapdata.engine.recipe import read_recipe
    from gapmodel.recipe import read_training_recipe

    known = [path.read_bytes() for path in sorted(manifests_folder().glob("*.toml"))]
    path = scratch / "recipe.toml"
    words = (
        "seed",
        "frames.image_size",
        "clips.frames",
        "quality.min_overlap",
        "shards",
        "x.y",
        "prompts.border",
        ".",
        "",
    )
    values = ("1", "-1", "1e400", "[1]", "[64, 48]", "true", "nan", "'x'", "{a=1}", "99999999999999999999", "[[[[", "=")

    def case(rng: np.random.Generator) -> int:
        data = damaged(pick(rng, known), rng, known)
        if rng.random() < 0.05:
            data = b"a = " + b"[" * 10_000 + b"]" * 10_000
        path.write_bytes(data)
        overrides = [f"{pick(rng, words)}={pick(rng, values)}"] if rng.random() < 0.5 else []
        attempt(lambda: read_recipe(path if rng.random() < 0.7 else None, overrides))
        attempt(lambda: read_training_recipe(path, overrides))
        return len(data)

    return case


def predictions(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """What an evaluation that is resumed, or scored anew, reads."""
    from gapmodel.evaluation.predictions import FOLDER, read_predictions, settle

    (scratch / FOLDER).mkdir()
    asked = {"model": "m", "build": "b", "tasks": ["detection"]}
    line = {"id": "scene0000_00-clip-00000/detection", "key": "scene0000_00-clip-00000", "text": "```json\n[]```"}
    lines = b"".join(json.dumps({**line, "id": str(number)}).encode() + b"\n" for number in range(4))

    def case(rng: np.random.Generator) -> int:
        data = damaged(lines, rng) if rng.random() < 0.5 else written(damaged_tree(line, rng)) + b"\n"
        (scratch / FOLDER / "part-000.jsonl").write_bytes(data)
        (scratch / "asked.json").write_bytes(damaged_json(asked, rng))
        attempt(lambda: read_predictions(scratch))
        attempt(lambda: settle(scratch, asked))
        return len(data)

    return case


def answers(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """What a model may write."""
    from gapdata.tasks import (
        captioning,
        detection,
        detection_compat,
        grounding,
        grounding_box,
        grounding_frame,
        pointmap,
    )

    box = [1.0, 2.0, 3.0, 0.5, 0.5, 0.5, 0.1, 0.2, 0.3]
    entry = {"label": "chair", "bbox_3d": box}
    texts = (
        detection.answer_text([detection.TextBox(label="chair", values=tuple(box))] * 2),
        grounding.answer_text(3, box),
        grounding_box.answer_text(box),
        grounding_frame.answer_text(2),
        pointmap.answer_text(pointmap.PointmapAnswer(point=(1.0, 2.0, 3.0), label="table")),
        pointmap.several_answer_text({1: pointmap.PointmapAnswer(point=(1.0, 2.0, 3.0), label=None)}),
        "A brown chair.",
    )
    marks = (
        "[" * 5000,
        "{" * 5000,
        "(" * 300,
        "-" * 4000,
        "\\" * 999,
        '"' * 99,
        "\ud800",
        "\0",
        "9" * 5000,
        "1e999999",
        "²٣",
    )
    parsers = (
        *(detection.parse, detection_compat.parse_lines, captioning.parse, pointmap.parse, pointmap.parse_several),
        *(grounding_box.parse, grounding.parse, grounding_frame.parse),
        *(lambda text: grounding.parse(text, 4), lambda text: grounding_frame.parse(text, 4)),
    )

    def case(rng: np.random.Generator) -> int:
        if rng.random() < 0.4:
            text = written(damaged_tree([entry, {"frame": 1, "mark": 2, "pointmap": box[:3]}], rng)).decode()
        else:
            text = damaged(pick(rng, texts).encode(), rng, [item.encode() for item in texts]).decode(errors="replace")
        if rng.random() < 0.3:
            place = int(rng.integers(len(text) + 1))
            text = text[:place] + pick(rng, marks) * int(rng.integers(1, 30)) + text[place:]
        for parse in parsers:
            parse(text)
        return len(text)

    return case


TARGETS: Mapping[str, Target] = {
    make.__name__: Target(name=make.__name__, share=share, make=make)
    for make, share in (
        *((sens, 15), (annotation_files, 25), (scene_json, 6), (mask_archive, 8), (scene_folder, 10)),
        *(
            (frame_folder, 5),
            (record, 10),
            (shards, 8),
            (build_folder, 3),
            (recipes, 3),
            (predictions, 2),
            (answers, 5),
        ),
    )
}
