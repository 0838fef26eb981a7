"""A ScanNet folder and its scenes, in all the shapes that a download takes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gapdata.annotations.taxonomy import read_label_map
from gapdata.errors import FileError, SourceError, UsageError
from gapdata.sources.scannet import ScanNetDataset, ScanNetScan
from tests.support.scannet_scenes import write_scene

HEADER = "id\traw_category\tcategory\tcount\tnyu40id\teigen13id\tnyuClass\tnyu40class"


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "scans" / "scene0003_01")


def test_scenes_are_found_in_a_download_and_in_a_plain_folder(tmp_path: Path) -> None:
    for folder in ("scans/scene0000_00", "scans/scene0000_01", "scans/not_a_scene", "scans_test/scene0707_00"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "scannetv2_train.txt").write_text("scene0000_00\nscene0001_00\n")
    (tmp_path / "scannetv2_val.txt").write_text("scene0000_01\n")
    dataset = ScanNetDataset.open(tmp_path)
    assert dataset.scene_ids == ("scene0000_00", "scene0000_01", "scene0707_00")
    assert [dataset.split(scene) for scene in dataset.scene_ids] == ["train", "val", "test"]
    plain = ScanNetDataset.open(tmp_path / "scans")
    assert plain.scene_ids == ("scene0000_00", "scene0000_01")
    assert plain.split("scene0000_00") == "train"


def test_a_folder_without_scenes_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no ScanNet scene; expected folders such as scans/scene0000_00"):
        ScanNetDataset.open(tmp_path)
    with pytest.raises(UsageError, match="nowhere: is not a directory; give the folder of the ScanNet download"):
        ScanNetDataset.open(tmp_path / "nowhere")


def test_a_missing_sens_names_scene_and_file(tmp_path: Path) -> None:
    (tmp_path / "scene0000_00").mkdir()
    with pytest.raises(SourceError, match=r"scene0000_00\.sens: scene scene0000_00: cannot be opened"):
        ScanNetDataset.open(tmp_path).open_scan("scene0000_00")


def test_metadata_with_windows_line_ends_and_trailing_blanks_is_read(scene: Path) -> None:
    with ScanNetScan(scene) as scan:
        assert scan.metadata["sceneType"] == "Office"
        alignment = scan.axis_alignment
    assert alignment is not None
    np.testing.assert_allclose(alignment[:2], [[0.866025, 0.5, 0, 0.1], [-0.5, 0.866025, 0, -0.2]])


def test_a_scene_without_alignment_has_none_rather_than_the_identity(tmp_path: Path) -> None:
    with ScanNetScan(write_scene(tmp_path / "scene0700_00", annotated=False)) as scan:
        assert scan.axis_alignment is None
        assert scan.annotation() is None


@pytest.mark.parametrize("text", ["1 0 0", "a b c", " ".join(["2"] * 16), "nan " * 16])
def test_a_broken_alignment_is_named(scene: Path, text: str) -> None:
    (scene / "scene0003_01.txt").write_text(f"axisAlignment = {text}\n")
    with ScanNetScan(scene) as scan, pytest.raises(SourceError, match="axisAlignment is not a rigid 4x4 matrix"):
        _ = scan.axis_alignment


def test_objects_are_the_union_of_their_segments(scene: Path) -> None:
    with ScanNetScan(scene) as scan:
        annotation = scan.annotation()
    assert annotation is not None
    assert [(item.object_id, item.label) for item in annotation.objects] == [
        (0, "wall"),
        (1, "office chair"),
        (2, "office chair"),
    ]
    ids = annotation.vertex_object_ids()
    np.testing.assert_array_equal(ids, np.repeat([0, 1, 2], 8))
    chair = annotation.vertices[annotation.objects[1].vertices]
    np.testing.assert_allclose(np.ptp(chair, axis=0), [0.6, 0.8, 1.0], atol=1e-6)


def test_objects_without_vertices_and_repeated_ids_are_noted(scene: Path) -> None:
    path = scene / "scene0003_01.aggregation.json"
    fields = json.loads(path.read_text())
    fields["segGroups"] += [
        {"id": 3, "objectId": 3, "segments": [12345], "label": "ghost"},
        {"id": 4, "objectId": 1, "segments": [70], "label": "twin"},
    ]
    path.write_text(json.dumps(fields))
    with ScanNetScan(scene) as scan:
        annotation = scan.annotation()
    assert annotation is not None
    assert annotation.notes == {"object_without_vertices": 1, "repeated_object_id": 1}
    assert len(annotation.objects) == 3


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [
        ("_vh_clean_2.ply", None, "is missing, though the scene has an aggregation"),
        ("_vh_clean_2.ply", b"ply\nformat ascii 1.0\n", "mesh cannot be read"),
        ("_vh_clean_2.0.010000.segs.json", None, "is missing, though the scene has an aggregation"),
        ("_vh_clean_2.0.010000.segs.json", b'{"segIndices": [1, 2]}', "has 2 segment indices for 24 vertices"),
        ("_vh_clean_2.0.010000.segs.json", b'{"segIndices": ["x"]}', "segIndices are not integers"),
        (".aggregation.json", b"{}", "has no segGroups; download it again"),
        (".aggregation.json", b'{"segGroups": 3}', "segGroups is int, expected list"),
        (".aggregation.json", b'{"segGroups": [{"objectId": 1}]}', "a segment group is malformed"),
        (".aggregation.json", b"[" * 100_000, "has no readable segGroups: maximum recursion depth"),
    ],
)
def test_broken_annotation_names_file_and_scene(scene: Path, suffix: str, content: bytes | None, message: str) -> None:
    path = scene / f"scene0003_01{suffix}"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with ScanNetScan(scene) as scan, pytest.raises(SourceError, match=message) as caught:
        scan.annotation()
    assert caught.value.scene == "scene0003_01"
    assert caught.value.path == str(path)


def test_the_digest_changes_with_every_file_of_the_scene(scene: Path) -> None:
    digests = set()
    for suffix in ("", ".txt", ".aggregation.json", "_vh_clean_2.ply", "_vh_clean_2.0.010000.segs.json"):
        if suffix:
            path = scene / f"scene0003_01{suffix}"
            path.write_bytes(path.read_bytes() + b" ")
        with ScanNetScan(scene) as scan:
            digests.add(scan.digest())
    assert len(digests) == 5


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_label_map_is_read_with_either_line_end_and_short_rows(tmp_path: Path, end: str) -> None:
    rows = [
        HEADER,
        "10\toffice chair\toffice chair\t595\t5\t4\tchair\tchair",
        "24\trefrigerator\trefrigerator\t1\t24\t6\tx\trefridgerator",
        "363\tfurnace\tfurnace",
    ]
    path = tmp_path / "scannetv2-labels.combined.tsv"
    path.write_bytes(end.join(rows).encode())
    labels = read_label_map(path)
    assert labels.labels("office chair") == {
        "raw": "office chair",
        "nyu40": "chair",
        "scanrefer18": "chair",
        "scannet20": "chair",
        "scannet200": "office chair",
        "embodiedscan": "chair",
    }
    assert labels.labels("refrigerator")["nyu40"] == "refrigerator"
    assert labels.labels("furnace") == {"raw": "furnace"}
    assert labels.labels("unheard of") == {"raw": "unheard of"}


def test_a_file_that_is_no_label_map_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.tsv"
    path.write_text("a\tb\n1\t2\n")
    with pytest.raises(FileError, match="it lacks the columns raw_category, id, category, nyu40id, nyu40class"):
        read_label_map(path)
    path.write_text(f"{HEADER.replace('nyu40class', 'NYU')}\n")
    with pytest.raises(FileError, match=r"it has no nyu40class column; its first line is 'id | raw_category"):
        read_label_map(path)


def test_a_copy_from_systems_of_other_habits_is_the_same_scene(tmp_path: Path) -> None:
    """Endings in capitals, a folder that is a link, and what macOS and Windows leave beside every file."""
    home = write_scene(tmp_path / "store" / "scene0003_01", frames=2)
    with ScanNetScan(home) as scan:
        objects = [item.object_id for item in scan.annotation().objects]  # type: ignore[union-attr]
    for path in list(home.iterdir()):
        path.rename(path.with_name(path.stem + path.suffix.upper()))
        (home / f"._{path.name}").write_bytes(b"Mac OS X")
    scans = tmp_path / "data" / "scans"
    scans.mkdir(parents=True)
    (scans / "scene0003_01").symlink_to(home)
    (scans / "scene0004_00").symlink_to("nowhere")
    (scans / "._scene0003_01").write_bytes(b"")
    (tmp_path / "data" / "ScanNetV2_Val.txt").write_text("scene0003_01\n")
    dataset = ScanNetDataset.open(tmp_path / "data")
    assert dataset.scene_ids == ("scene0003_01",)
    assert (dataset.split("scene0003_01"), dataset.annotated("scene0003_01")) == ("val", True)
    with dataset.open_scan("scene0003_01") as scan:
        assert [item.object_id for item in scan.annotation().objects] == objects  # type: ignore[union-attr]
        assert scan.axis_alignment is not None
