"""A build as a Hugging Face dataset: every frame is read, and what is not for the public stays out of public copies."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gapdata
from gapdata.commands.main import main
from gapdata.errors import ShardError, UsageError
from gapdata.export.export_build import export_build
from gapdata.records.schema import Record
from gapdata.shards.index import read_index, write_index
from gapdata.shards.reader import ShardReader
from tests.support.builds import write_build, write_shards
from tests.support.export_builds import tree

OPEN = [{"title": "rooms of ours", "terms": "CC0", "redistributable": True, "scenes": 2}]
CLOSED = [*OPEN, {"title": "ScanNet", "terms": "signed form", "redistributable": False, "scenes": 1}]
GEOMETRY = re.compile(r"camera|intrinsic|center|rotation|pose|box|depth\.png|jpg")


@pytest.fixture(scope="module")
def mixed(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of one scene in one shard, which begins with a scene view; a clip has a mark in one frame only."""
    records = sorted((item for item in ShardReader(shards) if item.split == "train"), key=lambda item: -len(item))
    assert len({len(item) for item in records}) > 1
    return write_build(tmp_path_factory.mktemp("mixed") / "build", records)


@pytest.fixture(scope="module")
def published(mixed: Path) -> Path:
    out = mixed.parent / "published"
    export_build("hf", mixed, out, terms=OPEN, name="Rooms: a test")
    return out


def test_load_dataset_reads_every_frame_of_every_view(mixed: Path, published: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    records = list(ShardReader(mixed))
    most = max(map(len, records))
    for streaming in (False, True):
        rows = datasets.load_dataset(str(published), split="train", streaming=streaming, cache_dir=str(tmp_path))
        found = list(rows)
        assert [row["json"]["key"] for row in found] == [record.key for record in records]
        for row, record in zip(found, records, strict=True):
            fields = json.loads(record.to_json())
            assert row["json"].keys() == fields.keys()
            assert row["json"]["frame_ids"] == fields["frame_ids"]
            np.testing.assert_allclose(row["json"]["camera_to_world"], fields["camera_to_world"], atol=1e-9)
            check_frames(row, record, most)


def check_frames(row: dict[str, Any], record: Record, most: int) -> None:
    for frame in range(most):
        image, depth, masks = (row[f"{frame:02d}.{suffix}"] for suffix in ("jpg", "depth.png", "instance.png"))
        if frame >= len(record):
            assert image is depth is masks is None
            continue
        assert image.size == record.image_size
        # Pillow and OpenCV may round a JPEG's colours differently by a few levels; PNGs are exact.
        assert np.abs(np.asarray(image).astype(int) - record.image(frame)).max() < 8
        np.testing.assert_array_equal(np.asarray(depth), np.rint(record.depth(frame) * 1000))
        np.testing.assert_array_equal(np.asarray(masks), record.instances(frame))
        marks = row[f"{frame:02d}.prompt.png"]
        assert (marks is None) == (f"{frame:02d}.prompt.png" not in record.members)
        if marks is not None:
            np.testing.assert_array_equal(np.asarray(marks), record.prompt_mask(frame))


def test_the_tars_are_the_builds_own_and_the_folder_is_a_build(mixed: Path, published: Path) -> None:
    for name in ("shard-000000.tar", "index.parquet"):
        assert (published / name).read_bytes() == (mixed / name).read_bytes()
    again = gapdata.open(published)
    assert [record.key for record in again] == [record.key for record in ShardReader(mixed)]
    assert json.loads((published / "splits.json").read_text()) == {"train": ["shard-000000.tar"]}


def test_a_published_folder_is_exported_again_by_the_terms_that_it_states(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    assert main(["export", str(published), "--format", "hf", "--name", "Rooms: a test", "--out", str(out)]) == 0
    own = {"export.json"}
    assert {name: data for name, data in tree(out).items() if name not in own} == {
        name: data for name, data in tree(published).items() if name not in own
    }


def test_croissant_has_the_digest_of_every_tar(published: Path) -> None:
    about = json.loads((published / "croissant.json").read_text())
    assert about["name"] == "Rooms: a test"
    (file,) = about["distribution"]
    assert file["sha256"] == hashlib.sha256((published / file["contentUrl"]).read_bytes()).hexdigest()
    assert "CC0" in about["license"]


def test_croissant_is_valid(published: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    issues = mlcroissant.Dataset(jsonld=str(published / "croissant.json")).metadata.issues
    assert not issues.errors


def test_images_that_may_not_be_passed_on_are_refused_for_a_public_copy(
    mixed: Path, tmp_path: Path, shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"by the terms of ScanNet; add --text-only .* or --private"):
        export_build("hf", mixed, tmp_path / "public", terms=CLOSED)
    with pytest.raises(UsageError, match="does not state the terms of use of its scans"):
        export_build("hf", mixed, tmp_path / "public")
    assert main(["export", str(shards), "--format", "hf", "--out", str(tmp_path / "public")]) == 2
    assert "may not be given to others, by the terms of ScanNet" in capsys.readouterr().err
    assert not (tmp_path / "public").exists()


def test_a_private_copy_says_so_and_asks_for_agreement(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "private"
    export_build("hf", mixed, out, terms=CLOSED, private=True)
    page = (out / "README.md").read_text()
    assert 'extra_gated_prompt: "The frames are of scans that may not be passed on freely' in page
    assert "**Do not make this copy public**" in page
    assert "| ScanNet | 1 | signed form | no |" in (out / "LICENSE.md").read_text()


def test_a_copy_of_text_holds_frame_numbers_and_answers_but_no_pixel_and_no_geometry(
    mixed: Path, tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "text"
    report = export_build("hf", mixed, out, terms=CLOSED, text_only=True)
    assert {path.suffix for path in out.iterdir()} == {".md", ".json", ".jsonl"}
    assert (out / "views_train.jsonl").stat().st_size < 10_000
    views = datasets.load_dataset(str(out), "views", split="train", cache_dir=str(tmp_path / "views"))
    records = {record.key: record for record in ShardReader(mixed)}
    assert {row["key"]: tuple(row["frame_ids"]) for row in views} == {
        key: record.frame_ids for key, record in records.items()
    }
    asked = datasets.load_dataset(str(out), "questions", split="train", cache_dir=str(tmp_path / "questions"))
    assert len(asked) == sum(report["questions"].values()) > 0
    for row in [*views, *asked]:
        assert not any(GEOMETRY.search(name) for name in row)
    assert all("<image>" not in row["question"] and len(row["answer"]) < 8 for row in asked)
    with pytest.raises(UsageError, match="--private and --text-only exclude each other"):
        export_build("hf", mixed, tmp_path / "both", text_only=True, private=True)


def test_a_split_takes_its_own_tars(shards: Path, tmp_path: Path) -> None:
    records = sorted(ShardReader(shards), key=lambda item: item.split)
    count = sum(item.split == "train" for item in records)
    build = write_shards(tmp_path / "build", records, count)
    assert {record.split for record in ShardReader(build)} == {"train", "val"}
    export_build("hf", build, tmp_path / "val", terms=OPEN, split="val")
    assert sorted(path.name for path in (tmp_path / "val").glob("*.tar")) == ["shard-000001.tar"]
    found = ShardReader(tmp_path / "val")
    assert [record.key for record in found] == [record.key for record in records[count:]]
    blended = write_build(tmp_path / "blended", records)
    with pytest.raises(UsageError, match=r"shard-000000\.tar holds records of several splits"):
        export_build("hf", blended, tmp_path / "out", terms=OPEN, split="val")


def test_a_damaged_tar_is_not_published(shards: Path, tmp_path: Path) -> None:
    build = write_shards(tmp_path / "build", list(ShardReader(shards))[:2], 2)
    tar = build / "shard-000000.tar"
    data = bytearray(tar.read_bytes())
    data[-1] ^= 1  # in the padding: every record can be read
    tar.write_bytes(data)
    with pytest.raises(ShardError, match="differs from its commit record; run `gapdata verify`"):
        export_build("hf", build, tmp_path / "out", terms=OPEN)
    assert not list((tmp_path / "out").glob("*.tar"))


def test_a_name_in_the_index_cannot_lead_out_of_the_folder(shards: Path, tmp_path: Path) -> None:
    build = write_build(tmp_path / "build", [next(iter(ShardReader(shards)))])
    (row,) = read_index(build).to_pylist()
    members = {item["name"]: [item["offset"], item["size"]] for item in row.pop("members")}
    fields = {name: row[name] for name in ("key", "scene_id", "split", "view", "frame_ids", "prompts", "objects")}
    (build / "shard-000000.tar").rename(tmp_path / "evil.tar")
    write_index(build, [{"shard": "../evil", "records": [{**fields, "quality": {}, "members": members}]}])
    (tmp_path / "a").mkdir()
    before = tree(tmp_path)
    with pytest.raises(ShardError):
        export_build("hf", build, tmp_path / "a" / "out", terms=OPEN)
    assert {name for name in tree(tmp_path) if not name.startswith("a/out/")} == set(before)


def test_an_interrupted_export_is_no_dataset_yet_and_goes_on(mixed: Path, published: Path, tmp_path: Path) -> None:
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        export_build("hf", mixed, out, terms=OPEN, name="Rooms: a test", progress=stop)
    assert set(tree(out)) == {"export.json"}
    export_build("hf", mixed, out, terms=OPEN, name="Rooms: a test")
    assert tree(out) == tree(published)
    (out / "shard-000000.tar").unlink()
    (out / "shard-000000.tar").write_bytes(b"mine")
    with pytest.raises(ShardError, match="differs from what this build holds; export to an empty folder"):
        export_build("hf", mixed, out, terms=OPEN, name="Rooms: a test")
