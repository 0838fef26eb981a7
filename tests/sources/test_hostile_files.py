"""Source files made by an enemy, or by a bad disk: they are read or refused by name, and never run, waited for or
believed.

The cases are attacks that are known, and what the campaign of ``tests/fuzz`` found.
"""

from __future__ import annotations

import os
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from gapdata.annotations.bundle import gather
from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.engine.plan import read_plan
from gapdata.engine.recipe import read_recipe
from gapdata.engine.report import read_report
from gapdata.errors import FileError, GapDataError, ShardError, SourceError, UsageError
from gapdata.files.storage import open_ranged
from gapdata.records.reading import record_from_json
from gapdata.shards.reader import ShardReader
from gapdata.sources.mask_archive import MaskArchive
from gapdata.sources.scene_files import SceneFiles
from gapdata.sources.sens import SensReader
from gapdata.tasks import detection, detection_compat, grounding, pointmap
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.predictions import FOLDER
from gapmodel.evaluation.predictions import read_answers, settle
from tests.records.test_records import make_record
from tests.shards.test_shards import write_build
from tests.sources.test_sens import write as write_sens
from tests.support.hostile import DEEP_LIST, DEEP_OBJECT, SCENE, changed, jpeg_claiming, png_claiming, refused

SIZES_OF_CAMERAS = 276 + len("StructureSensor")
"""Where a .sens states the sizes of its images; the depth unit and the number of frames follow."""


def test_a_sens_that_claims_2_to_the_60_frames_is_refused_before_any_is_looked_for(tmp_path: Path) -> None:
    path = changed(write_sens(tmp_path / "x.sens"), SIZES_OF_CAMERAS + 20, struct.pack("<Q", 2**60))
    refused(SourceError, f"frame 6: is truncated: its header states {2**60} frames,", lambda: SensReader(path))


@pytest.mark.parametrize("size", [(65_000, 65_000, 32, 24), (66, 49, 16_384, 16_384), (0, 49, 32, 24)])
def test_a_sens_whose_images_are_too_large_to_be_true_is_refused(tmp_path: Path, size: tuple[int, ...]) -> None:
    path = changed(write_sens(tmp_path / "x.sens"), SIZES_OF_CAMERAS, struct.pack("<4I", *size))
    refused(
        SourceError, f"has impossible image sizes {size[0]}x{size[1]} and {size[2]}x{size[3]}", lambda: SensReader(path)
    )


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
    refused(
        SourceError, "has 67108864 bytes unpacked, but a mask of 40x30 has at most", lambda: masks.mask(0, (40, 30))
    )
    masks.close()


def test_a_zip_of_a_version_from_the_future_is_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", "instance-filt/0.png", b"")
    changed(path, path.read_bytes().index(b"PK\x01\x02") + 6, b"\xff")
    refused(SourceError, "is not a readable zip: zip file version", lambda: MaskArchive(path, SCENE))


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
        refused(GapDataError, "is not JSON|cannot be read", lambda read=read: read(tmp_path))  # type: ignore[misc]
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


def test_a_named_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    write_build(tmp_path)
    (tmp_path / "shard-000000.tar").unlink()
    os.mkfifo(tmp_path / "shard-000000.tar")
    refused(ShardError, r"shard-000000\.tar: cannot be opened: Is not a regular file", lambda: ShardReader(tmp_path)[0])
    os.mkfifo(tmp_path / "x.sens")
    refused(SourceError, r"x\.sens: cannot be opened: Is not a regular file", lambda: SensReader(tmp_path / "x.sens"))
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
