"""Files made by an enemy, or by a bad disk: they are read or refused by name, and never run, waited for or believed.

The cases with names are attacks that are known, and what the campaign of ``tests/fuzz`` found. ``make fuzz`` runs that
campaign at length.
"""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gapdata.annotations.bundle import gather
from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.audit.status import build_status
from gapdata.audit.verify import verify_build
from gapdata.engine.driver import run_build
from gapdata.engine.executors.inline import InlineExecutor
from gapdata.engine.plan import read_plan
from gapdata.engine.recipe import read_recipe
from gapdata.engine.report import read_report
from gapdata.errors import FileError, GapDataError, ShardError, SourceError, UsageError
from gapdata.files.storage import open_ranged
from gapdata.records.codec import (
    encode_jpeg,
    encode_png,
)
from gapdata.records.reading import record_from_json
from gapdata.shards.reader import ShardReader
from gapdata.sources.mask_archive import MaskArchive
from gapdata.sources.scene_files import SceneFiles
from gapdata.sources.sens import SensReader
from gapdata.tasks import detection, detection_compat, grounding, pointmap
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.predictions import FOLDER
from gapmodel.evaluation.predictions import read_answers, settle
from tests.conftest import REPOSITORY
from tests.records.test_records import make_record
from tests.shards.test_shards import write_build
from tests.sources.test_sens import write as write_sens
from tests.support.annotation_records import npy

SCENE = "scene0000_00"
DEEP_LIST = b"[" * 10_000 + b"]" * 10_000
DEEP_OBJECT = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
SIZES_OF_CAMERAS = 276 + len("StructureSensor")
"""Where a .sens states the sizes of its images; the depth unit and the number of frames follow."""


def refused(kind: type[GapDataError], problem: str, work: Callable[[], Any], *, megabytes: float = 4.0) -> None:
    """``work`` raises that error, in one line, and takes little memory for it."""
    tracemalloc.start()
    try:
        with pytest.raises(kind, match=problem) as caught:
            work()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 2500
    assert peak < megabytes * 2**20


def test_thousands_of_damaged_files_are_read_or_refused(small_dataset: Path, tmp_path: Path) -> None:
    """The campaign in short: no crash, no hang, no memory beyond a small multiple of a file, no foreign exception."""
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.fuzz.campaign import run_campaign; from tests.fuzz.seeds import write_seeds\n"
        "write_seeds(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "outcome = run_campaign(Path(sys.argv[1]), 2500)\n"
        "print(outcome.text()); sys.exit(bool(outcome.findings) or outcome.cases != 2500)"
    )
    folders = [
        str(tmp_path / "seeds"),
        str(small_dataset),
    ]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    result = subprocess.run([sys.executable, "-c", code, *folders], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-3000:]


BROKEN = """
import os, sys, time
from tests.fuzz import child
from tests.fuzz.cases import Target
def crashes(rng): os.abort()
def hangs(rng):
    while True: pass
def hoards(rng): return len(bytearray(b"x") * (300 << 20)) >> 28
def raises(rng): raise KeyError("foreign")
made = (crashes, hangs, hoards, raises)
child.TARGETS = {case.__name__: Target(name=case.__name__, share=1, make=lambda a, b, c=case: c) for case in made}
child.CPU_SECONDS, child._warm_up = 0.5, lambda run: None
child.main()
"""


def test_the_campaign_names_the_case_that_crashes_hangs_takes_memory_or_raises(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    code = (
        "import sys; from pathlib import Path; from tests.fuzz.campaign import run_campaign\n"
        "print(run_campaign(Path(), 4, child=sys.argv[1:]).text())"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "broken.py")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    found = subprocess.run(words, capture_output=True, text=True, env=environment).stdout
    for name, what in (
        ("crashes", "the process dies by SIGABRT"),
        ("hangs", "the process dies by SIGPROF"),
        ("hoards", " MiB for 1 bytes of input"),
        ("raises", "KeyError"),
    ):
        assert any(line.startswith(f"{name}:") and line.endswith(what) for line in found.splitlines()), found


def changed(path: Path, offset: int, data: bytes) -> Path:
    """The file with some bytes written over."""
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)
    return path


def test_a_sens_that_claims_2_to_the_60_frames_is_refused_before_any_is_looked_for(tmp_path: Path) -> None:
    path = changed(write_sens(tmp_path / "x.sens"), SIZES_OF_CAMERAS + 20, struct.pack("<Q", 2**60))
    refused(SourceError, f"frame 6: is truncated: frames announced: {2**60},", lambda: SensReader(path))


@pytest.mark.parametrize("size", [(65_000, 65_000, 32, 24), (66, 49, 16_384, 16_384), (0, 49, 32, 24)])
def test_a_sens_whose_images_are_too_large_to_be_true_is_refused(tmp_path: Path, size: tuple[int, ...]) -> None:
    path = changed(write_sens(tmp_path / "x.sens"), SIZES_OF_CAMERAS, struct.pack("<4I", *size))
    refused(SourceError, f"has image sizes {size[0]}x{size[1]} and {size[2]}x{size[3]}", lambda: SensReader(path))


def jpeg_claiming(width: int, height: int) -> bytes:
    """A small JPEG whose frame header states another size."""
    data = bytearray(encode_jpeg(np.zeros((24, 32, 3), np.uint8), 90))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def png_claiming(width: int, height: int) -> bytes:
    """A small 16-bit PNG whose header states another size, with the checksum that belongs to it."""
    import zlib

    data = bytearray(encode_png(np.zeros((24, 32), np.uint16)))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def test_a_jpeg_or_png_bomb_is_refused_before_it_is_decoded() -> None:
    record = make_record()
    for name, data, read in (
        ("00.jpg", jpeg_claiming(65_000, 65_000), lambda item: item.image(0)),
        ("00.depth.png", png_claiming(65_000, 65_000), lambda item: item.depth(0)),
    ):
        bomb = replace(record, members={**record.members, name: data})
        refused(ShardError, f"member {name} is 65000x65000, expected 32x24", lambda read=read, bomb=bomb: read(bomb))  # type: ignore[misc]
        claimed = jpeg_claiming(9000, 9000) if name == "00.jpg" else png_claiming(9000, 9000)
        agreeing = replace(record, image_size=(9000, 9000), members={name: claimed})
        refused(ShardError, f"member {name} is not an image", lambda read=read, item=agreeing: read(item))  # type: ignore[misc]


def test_a_png_whose_chunk_claims_a_gigabyte_is_refused() -> None:
    """The decoder takes as much memory as a chunk claims before it looks whether its bytes are there."""
    data = bytearray(make_record().members["01.prompt.png"])
    data[33:37] = struct.pack(">I", 1 << 30)
    record = make_record(members={"01.prompt.png": bytes(data)})
    refused(ShardError, r"member 01\.prompt\.png is not an image", lambda: record.prompt_mask(1))


def test_a_frame_without_prompts_takes_no_memory_for_a_size_that_nothing_else_has() -> None:
    record = make_record(image_size=(9000, 9000))
    refused(ShardError, "its members are too small for images of 9000x9000", lambda: record.prompt_mask(0))


def test_an_image_in_a_format_that_records_never_have_is_not_decoded() -> None:
    for suffix in (".tiff", ".bmp", ".webp"):
        data = cv2.imencode(suffix, np.zeros((24, 32, 3), np.uint8))[1].tobytes()
        record = make_record(members={"00.jpg": data})
        refused(ShardError, r"member 00\.jpg is not an image", lambda record=record: record.image(0))  # type: ignore[misc]


def archive(path: Path, name: str, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr(name, data)
    return path


@pytest.mark.parametrize("name", ["../0.png", "instance-filt/../../0.png", "/instance-filt/0.png", "a\\..\\0.png"])
def test_a_zip_whose_names_leave_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "x.zip", name, b"")
    refused(SourceError, "has a member of the unsafe name", lambda: MaskArchive(path, SCENE))


def test_a_zip_bomb_is_not_inflated(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", "instance-filt/0.png", bytes(64 << 20))
    masks = MaskArchive(path, SCENE)
    refused(SourceError, "claims 67108864 bytes, a mask of 40x30 has at most", lambda: masks.mask(0, (40, 30)))
    masks.close()


def test_a_zip_of_a_version_from_the_future_is_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", "instance-filt/0.png", b"")
    changed(path, path.read_bytes().index(b"PK\x01\x02") + 6, b"\xff")
    refused(SourceError, "is no readable zip: zip file version", lambda: MaskArchive(path, SCENE))


@pytest.mark.parametrize("text", [DEEP_LIST, DEEP_OBJECT, b"9" * 5000], ids=["lists", "objects", "digits"])
def test_json_of_depth_10_000_or_a_number_of_5_000_digits_is_refused_everywhere(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text)
    refused(FileError, "nested too deeply|thousands of digits|not an annotation file", lambda: gather([path]))
    refused(FileError, "scene annotations are damaged", lambda: SceneAnnotations.from_json(text))
    refused(ShardError, "does not follow schema 1", lambda: record_from_json(text))
    scene = tmp_path / SCENE
    scene.mkdir()
    (scene / f"{SCENE}.aggregation.json").write_bytes(text)
    triangle = "".join(f"property float {axis}\n" for axis in "xyz")
    colors = "".join(f"property uchar {color}\n" for color in ("red", "green", "blue"))
    head = f"ply\nformat ascii 1.0\nelement vertex 3\n{triangle}{colors}element face 1\n"
    mesh = f"{head}property list uchar int vertex_indices\nend_header\n0 0 0 1 2 3\n1 0 0 1 2 3\n0 1 0 1 2 3\n3 0 1 2\n"
    (scene / f"{SCENE}_vh_clean_2.ply").write_text(mesh)
    (scene / f"{SCENE}_vh_clean_2.0.010000.segs.json").write_text('{"segIndices": [1, 1, 1]}')
    refused(SourceError, "has no readable segGroups", lambda: SceneFiles(scene).annotation(), megabytes=64)
    for name, read in (("plan", read_plan), ("report", read_report)):
        (tmp_path / f"{name}.json").write_bytes(text)
        refused(GapDataError, "cannot be read", lambda read=read: read(tmp_path))  # type: ignore[misc]
    (tmp_path / "asked.json").write_bytes(text)
    refused(UsageError, "cannot be read", lambda: settle(tmp_path, {"model": "m"}))
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "part-000.jsonl").write_bytes(text + b"\n")
    refused(UsageError, "line 1 is not a prediction", lambda: read_answers(tmp_path))
    recipe = tmp_path / "recipe.toml"
    recipe.write_bytes(b"seed = " + text)
    refused(UsageError, "recipe is not valid TOML", lambda: read_recipe(recipe))
    assert not getattr(detection.parse(text.decode()), "boxes", ())
    assert isinstance(grounding.parse(text.decode()), Unparsable)
    assert isinstance(pointmap.parse(text.decode()), Unparsable)
    assert detection_compat.parse_lines(f'{{"label": {text.decode()}}}').boxes == ()


def running(marker: Path) -> dict[str, bytes]:
    """Pickles that would make a file, by the opcode that does it."""
    command = f"touch {marker}".encode()
    text = b"X" + struct.pack("<I", len(command)) + command
    short = b"\x8c\x02os\x8c\x06system\x93"
    return {
        "REDUCE after GLOBAL": b"\x80\x02cos\nsystem\n" + text + b"\x85R.",
        "REDUCE after STACK_GLOBAL": b"\x80\x04" + short + text + b"\x85R.",
        "INST": b"\x80\x02(" + text + b"ios\nsystem\n.",
        "OBJ": b"\x80\x02(cos\nsystem\n" + text + b"o.",
        "NEWOBJ": b"\x80\x02csubprocess\nPopen\n(]" + b"X\x05\x00\x00\x00toucha" + text + b"et\x81.",
        "NEWOBJ_EX": b"\x80\x04\x8c\x0asubprocess\x8c\x05Popen\x93(" + text + b"t}\x92.",
        "BUILD": b"\x80\x02cfunctools\npartial\n)\x81(cos\nsystem\n(" + text + b"tNNtb.",
        "BUILD of a dictionary": b"\x80\x02}X\x0c\x00\x00\x00__setstate__cos\nsystem\nsb" + text + b"b.",
        "EXT1": b"\x80\x02\x82\x01" + text + b"\x85R.",
        "EXT2": b"\x80\x02\x83\x01\x00" + text + b"\x85R.",
        "EXT4": b"\x80\x02\x84\x01\x00\x00\x00" + text + b"\x85R.",
        "PERSID": b"\x80\x02P" + command + b"\n.",
        "BINPERSID": b"\x80\x02" + text + b"Q.",
    }


@pytest.mark.parametrize("opcode", running(Path("x")))
def test_a_pickle_that_executes_is_refused_and_does_not(tmp_path: Path, opcode: str) -> None:
    marker = tmp_path / "executed"
    path = tmp_path / "embodiedscan_infos_val.pkl"
    path.write_bytes(running(marker)[opcode])
    refused(FileError, "embodiedscan_infos_val", lambda: gather([path]))
    assert not marker.exists()


@pytest.fixture
def build(inline_build: Path, tmp_path: Path) -> Path:
    """A build of which files can be replaced."""
    (tmp_path / "build").mkdir()
    for path in inline_build.iterdir():
        if path.is_file():
            (tmp_path / "build" / path.name).write_bytes(path.read_bytes())
    return tmp_path / "build"


def forge_index(build: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Change rows of the index; it keeps its columns and their types."""
    table = pq.read_table(build / "index.parquet")
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), build / "index.parquet")


def place(name: str, value: int | None) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows[0]["members"][1].update({name: value})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (place("offset", -1), "places a member where no tar has one"),
        (place("offset", -(2**63)), "places a member where no tar has one"),
        (place("offset", 2**62), "has a record of more than 4 GB"),
        (lambda rows: [member.update(offset=2**62) for member in rows[0]["members"]], "where no tar has one"),
        (place("offset", 2**59), "has a record of more than 4 GB"),
        (place("size", -5), "or a member of a negative size"),
        (place("size", 2**40), "has a record of more than 4 GB"),
        (place("size", 2**31), r"is truncated: \d+ of 2147\d+ bytes"),
        (place("size", None), "lacks the place of a member"),
        (lambda rows: rows[0].update(members=[]), "lists a record without members"),
        (lambda rows: rows[0].update(members=None), "lacks the key, shard, split, view, counts or members"),
        (lambda rows: rows[0].update(key=None), "lacks the key, shard, split, view, counts or members"),
        (lambda rows: rows[0].update(shard="../other"), r"names a shard '\.\./other'"),
        (lambda rows: rows[0].update(shard="/etc/passwd"), "names a shard '/etc/passwd'"),
    ],
)
def test_an_index_that_places_members_where_none_can_be_is_named(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], Any], problem: str
) -> None:
    write_build(tmp_path)
    forge_index(tmp_path, change)
    refused(ShardError, problem, lambda: ShardReader(tmp_path)[0])


def test_an_index_of_other_columns_is_named(tmp_path: Path) -> None:
    write_build(tmp_path)
    table = pq.read_table(tmp_path / "index.parquet")
    for forged, problem in (
        (table.drop_columns("shard"), "lacks the columns shard"),
        (table.set_column(0, "key", pa.array(range(5))), "has int64 in the column key, expected string"),
        (
            table.set_column(table.column_names.index("members"), "members", table.column("frame_ids")),
            "in the column members, expected list",
        ),
    ):
        pq.write_table(forged, tmp_path / "index.parquet")
        refused(ShardError, problem, lambda: ShardReader(tmp_path))


def test_a_tar_whose_members_point_outside_is_damage_and_writes_nothing(build: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo("../../outside.json")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"{}"))
    (build / "shard-000000.tar").write_bytes(buffer.getvalue())
    before = sorted(tmp_path.rglob("*"))
    found = [str(defect) for defect in verify_build(build).defects]
    assert any("holds ../../outside.json" in text for text in found)
    refused(ShardError, "is truncated|has no member", lambda: ShardReader(build)[0])
    assert sorted(tmp_path.rglob("*")) == before


def test_a_tar_header_that_claims_8_gb_is_damage(build: Path) -> None:
    """An extended header is read as a whole, by the size that it states."""
    header = bytearray(tarfile.TarInfo("pax").tobuf(tarfile.USTAR_FORMAT))
    header[124:136], header[156:157] = b"77777777777\0", b"x"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    tar = build / "shard-000000.tar"
    tar.write_bytes(bytes(header) + tar.read_bytes()[512:])
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from gapdata.audit.verify import verify_build\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "print(*verify_build(Path(sys.argv[1]), sample=1).defects, sep='\\n')"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    result = subprocess.run([sys.executable, "-c", code, str(build)], capture_output=True, text=True, env=environment)
    assert "shard-000000.tar: is damaged or truncated after 0 members" in result.stdout, result.stderr


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda f: f["shards"][0].update(name="../outside"), r"'\.\./outside' is no name of a shard"),
        (lambda f: f["shards"][1].update(name="shard-000000"), "it names a shard twice"),
        (lambda f: f["shards"][0]["scenes"][0].update(scene_id="../x"), r"'\.\./x' is no name of a scene"),
        (lambda f: f["recipe"]["frames"].update(image_size=[0, -16]), "frames.image_size must be two multiples"),
        (
            lambda f: f["recipe"]["frames"].update(pointmap_stride=0),
            "pointmap_stride' is 0, expected at least 1",
        ),
        (lambda f: f["recipe"]["quality"].update(min_overlap=10**400), "'quality.min_overlap' is 1000"),
        (lambda f: f["recipe"].update(frames=[1]), "recipe field 'frames' is a section"),
        (lambda f: f.update(shards=[3]), "plan cannot be read"),
        (lambda f: f["shards"][0].update(scenes="x"), "plan cannot be read"),
    ],
)
def test_a_plan_that_names_other_places_or_impossible_sizes_is_refused(
    build: Path, change: Callable[[dict[str, Any]], Any], problem: str
) -> None:
    edit(build / "plan.json", change)
    refused(UsageError, problem, lambda: read_plan(build))
    assert any(defect.file == "plan.json" for defect in verify_build(build).defects)


def test_a_retry_removes_nothing_outside_the_build(build: Path, tmp_path: Path, small_dataset: Path) -> None:
    """The commit records of shards that quarantined something are removed by the names in the plan."""
    from tests.support.executors import request_for

    victim = tmp_path / "victim.json"
    edit(build / "plan.json", lambda f: f["shards"][0].update(name="../victim"))
    commit = json.loads((build / "shard-000000.json").read_text())
    commit["scenes"][0]["quarantined"] = [{"scene_id": SCENE, "key": None, "frame": None, "problem": "x"}]
    victim.write_text(json.dumps(commit))
    request = replace(request_for(small_dataset, build), retry_failed=True)
    with pytest.raises(UsageError, match="is no name of a shard"):
        run_build(request, InlineExecutor())
    assert victim.exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda f: f.update(tar_bytes=[1]), "tar_bytes is a list, expected an integer"),
        (lambda f: f.update(tar_bytes=2**70), "tar_bytes is out of range"),
        (lambda f: f.update(shard="../other"), "it commits '../other'"),
        (lambda f: f["scenes"][0].update(quarantined=7), r"scenes\[0\].quarantined is an integer, expected a list"),
        (lambda f: f["records"][0].pop("key"), r"records\[0\] lacks key"),
        (lambda f: f["records"][0]["members"].update(json=[1, 2, 3]), "the place of a member is no offset and size"),
        (lambda f: f["records"][0]["members"].update(json=[-1, 2]), r"members\.json\[0\] is out of range"),
    ],
)
def test_a_commit_record_of_another_shape_counts_as_missing_and_is_named(
    build: Path, change: Callable[[dict[str, Any]], Any], problem: str
) -> None:
    edit(build / "shard-000000.json", change)
    assert build_status(build)["missing"] == ["shard-000000"]
    import re

    found = [str(defect) for defect in verify_build(build).defects]
    assert any(re.match(rf"shard-000000\.json: is malformed: .*{problem}", text) for text in found), found


def test_a_commit_record_that_does_not_add_up_is_built_again(build: Path, small_dataset: Path) -> None:
    from tests.support.executors import request_for

    sound = (build / "shard-000000.json").read_bytes()
    edit(build / "shard-000000.json", lambda f: f["scenes"][0].update(frames="many", dropped_views=[{}]))
    run_build(request_for(small_dataset, build), InlineExecutor())
    assert (build / "shard-000000.json").read_bytes() == sound


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda f: f.update(bytes=[1]), "bytes is a list, expected an integer"),
        (lambda f: f.pop("losses"), "it lacks losses"),
        (lambda f: f.update(notes={"x": "y"}), r"notes\.x is text, expected an integer"),
        (lambda f: f.update(quarantined=[{}]), r"quarantined\[0\] lacks scene_id, key"),
    ],
)
def test_a_report_of_another_shape_is_named(build: Path, change: Callable[[dict[str, Any]], Any], problem: str) -> None:
    edit(build / "report.json", change)
    refused(ShardError, rf"report\.json: is malformed: {problem}", lambda: read_report(build))


def npy_claiming(shape: str, dtype: str = "<f4") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def test_a_pointmap_that_claims_what_it_has_not_is_refused_without_taking_memory() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    for data, problem in (
        (npy_claiming("(1099511627776, 4)"), r"has shape \(1099511627776, 4\)"),
        (npy_claiming("(2, 24, 32, 3)"), r"claims \(2, 24, 32, 3\) values of float32 in 0 bytes"),
        (npy_claiming("(2, 24, 32, 3)", "|O"), "not that of an array of numbers"),
        (npy_claiming("(((((((((" * 400), "its header is not"),
        (npy(np.zeros((2, 3, 4, 3))), "values of float64"),
        (buffer.getvalue(), "it is no .npy"),
        (b"\x80\x04cos\nsystem\n", "it is no .npy"),
    ):
        record = make_record(members={"pointmap.npy": data})
        refused(ShardError, problem, lambda record=record: record.stored_pointmap())  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda f: f.update(image_size=[2**30, 2**30]), "2 frames of 1073741824x1073741824 cannot be a view"),
        (lambda f: f.update(image_size=[]), "does not follow schema 1: IndexError"),
        (lambda f: f.update(objects=[[]]), "does not follow schema 1: AttributeError"),
        (lambda f: f.update(frame_ids=[1e400, 0]), "does not follow schema 1: OverflowError"),
        (lambda f: f.update(quality=[1]), "does not follow schema 1: TypeError"),
        (lambda f: f["camera_to_world"].__setitem__(1, np.zeros((4, 4)).tolist()), "camera_to_world of frame 1 is not"),
        (lambda f: f.update(intrinsics=[[0.0, 1.0, 0.0, 0.0]] * 2), "intrinsics are implausible"),
        (lambda f: f.update(axis_alignment=np.ones((4, 4)).tolist()), "axis_alignment is not rigid"),
        (lambda f: f.update(view="x" * 100_000), "view is 'xxx"),
    ],
)
def test_a_record_of_impossible_values_is_refused(change: Callable[[dict[str, Any]], Any], problem: str) -> None:
    fields = json.loads(make_record().to_json())
    change(fields)
    text = json.dumps(fields).replace("Infinity", "1e999").encode()
    refused(ShardError, problem, lambda: record_from_json(text))


def test_a_named_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    write_build(tmp_path)
    (tmp_path / "shard-000000.tar").unlink()
    os.mkfifo(tmp_path / "shard-000000.tar")
    refused(ShardError, r"shard-000000\.tar: cannot be opened: Is no regular file", lambda: ShardReader(tmp_path)[0])
    os.mkfifo(tmp_path / "x.sens")
    refused(SourceError, r"x\.sens: cannot be opened: Is no regular file", lambda: SensReader(tmp_path / "x.sens"))
    with pytest.raises(IsADirectoryError):
        open_ranged(tmp_path)


def test_a_mesh_that_breaks_the_library_for_other_forms_of_ply_is_named(tmp_path: Path) -> None:
    folder = tmp_path / SCENE
    folder.mkdir()
    (folder / f"{SCENE}.aggregation.json").write_text('{"segGroups": []}')
    (folder / f"{SCENE}_vh_clean_2.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nelement face 99999999999\n"
        "property list uchar int vertex_indices\nend_header\n0\n"
    )
    refused(SourceError, "mesh cannot be read", lambda: SceneFiles(folder).annotation(), megabytes=64)


def test_what_a_file_says_cannot_break_the_line_of_an_error() -> None:
    error = ShardError("holds 'a\nb\x1b[2J\ud800' " + "x" * 5000, path="p", cure="c")
    assert str(error).startswith("p: holds 'a b [2J ' xxx")
    assert str(error).endswith("...; c")
    assert len(str(error)) < 1100
