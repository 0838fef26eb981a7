"""A ScanNet++ download: its scenes, splits, labels, and what is said where something is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gapdata.annotations.categories import category_list, category_table
from gapdata.annotations.label_tables import label_table
from gapdata.errors import FileError, MissingInput, UsageError
from gapdata.sources.registry import open_dataset, open_found
from gapdata.sources.scannetpp.dataset import ScanNetPlusPlus, parse_benchmark_map
from gapdata.sources.scannetpp.iphone import IphoneScan
from tests.support.object_stores import s3_server
from tests.support.scannetpp_scenes import SCENE, group, write_mesh, write_scene

OTHER = "7b6477cb95"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scannetpp")
    write_scene(root)
    write_mesh(root / "data" / OTHER / "scans")
    (root / "data" / "notascene").mkdir()
    (root / "data" / "0123456789").mkdir()
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "in"))


def test_scenes_are_folders_of_ten_hexadecimal_digits_that_hold_a_camera_or_a_mesh(root: Path) -> None:
    for place in (root, root / "data"):
        dataset = open_dataset(scannetpp=place)
        assert dataset.scene_ids == (SCENE, OTHER)
        assert dataset.kind(SCENE) == "iphone-video"
        assert dataset.kind(OTHER) == "missing"
        assert dataset.annotated(OTHER)
        assert dataset.name == "scannetpp"
    assert isinstance(open_found(root), ScanNetPlusPlus)
    assert isinstance(open_found(root / "data" / SCENE), IphoneScan)
    with pytest.raises(MissingInput, match=r"neither rgb\.mkv, rgb\.mp4 nor extracted frames in rgb/; download"):
        open_dataset(scannetpp=root).open_scan(OTHER)


def test_lists_say_the_split_and_the_held_out_one_counts(root: Path) -> None:
    (root / "splits").mkdir()
    assert open_dataset(scannetpp=root).split(SCENE) == "unknown"
    lines = open_dataset(scannetpp=root).lacks([SCENE], splits_given=False)
    assert any(line.startswith("note: no list in splits/ in or above") for line in lines)
    assert len(open_dataset(scannetpp=root).lacks([SCENE], splits_given=True)) == len(lines) - 1
    (root / "splits" / "nvs_sem_train.txt").write_text(f"{SCENE}\n{OTHER}\n")
    assert open_dataset(scannetpp=root).split(SCENE) == "train"
    assert open_dataset(scannetpp=root / "data").split(SCENE) == "train", "lists lie above data/, too"
    (root / "splits" / "nvs_sem_val.txt").write_text(f"\ufeff{SCENE}\r\n")
    dataset = open_dataset(scannetpp=root)
    assert dataset.split(SCENE) == "val"
    assert dataset.split(OTHER) == "train"
    line = dataset.lacks([SCENE, OTHER], splits_given=False)[0]
    assert f"1 scene in more than one split in or above {root}: {SCENE} (train, val)" in line
    for name in ("nvs_test", "sem_test", "nvs_test_small", "nvs_test_iphone"):
        (root / "splits" / f"{name}.txt").write_text(SCENE)
        assert open_dataset(scannetpp=root).split(SCENE) == "test"
        (root / "splits" / f"{name}.txt").unlink()


def test_the_benchmarks_map_unites_drops_and_keeps_labels(root: Path) -> None:
    folder = root / "metadata" / "semantic_benchmark"
    folder.mkdir(parents=True)
    rows = (
        "class,count,semantic_map_to,instance_map_to\nwall,9,,\nbin for trash,3,trash can,trash can\nblob,1,None,None\n"
    )
    (folder / "map_benchmark.csv").write_text(rows)
    write = root / "data" / SCENE / "scans"
    shutil.rmtree(write)
    write_mesh(write, [group(0, "wall", (0, 1)), group(1, "bin for trash", (2,)), group(2, "blob", (3,))])
    dataset = open_dataset(scannetpp=root)
    with dataset.open_scan(SCENE) as scan:
        annotation = scan.annotation()
        assert annotation is not None
        assert [item.label for item in annotation.objects] == ["wall", "bin for trash"]
        assert annotation.notes == {"object_of_a_dropped_label": 1}
        before = scan.digest()
    names = dataset.labels("bin for trash")
    assert (names["raw"], names["nyu40"], names["scannet200"]) == ("bin for trash", "otherfurniture", "trash can")
    (folder / "map_benchmark.csv").write_text(rows.replace("blob,1,None,None", "blob,1,,"))
    with open_dataset(scannetpp=root).open_scan(SCENE) as scan:
        annotation = scan.annotation()
        assert annotation is not None
        assert len(annotation.objects) == 3
        assert scan.digest() != before
    (folder / "map_benchmark.csv").write_text("label,count\nwall,3\n")
    with pytest.raises(FileError, match="lacks the column class, semantic_map_to; its first line is 'label,count'"):
        open_dataset(scannetpp=root)


def test_a_map_is_read_by_the_names_of_its_columns() -> None:
    text = 'count, semantic_map_to ,class\n3,,"chair, red"\n4,None,ghost\n5,sofa,couch\n'
    assert parse_benchmark_map(text) == {"chair, red": "chair, red", "ghost": None, "couch": "sofa"}


def test_every_name_of_the_table_is_one_of_its_taxonomy() -> None:
    known = {
        "nyu40": set(category_table("nyu40").values()),
        "scannet20": set(category_table("scannet20").values()),
        "scannet200": set(category_table("scannet200").values()),
        "embodiedscan": set(category_list("embodiedscan")),
        "scanrefer18": set(category_list("scanrefer18")),
    }
    table = label_table("scannetpp")
    assert len(table) > 140
    for label, names in table.items():
        assert {"nyu40", "scanrefer18"} <= names.keys(), label
        for taxonomy, name in names.items():
            assert name in known[taxonomy], (label, taxonomy)
        if "scannet20" in names:
            assert names["scannet20"] == names["nyu40"]


def test_the_objects_of_the_real_validation_set_have_names(samples: Path, original: Path) -> None:
    """The categories of VSI-Bench's questions about ScanNet++."""
    scenes = json.loads((samples / "samples" / "vsibench-boxes" / "scannetpp_meta_info_val.json").read_text())
    dataset = open_dataset(scannetpp=original)
    labels = {label for scene in scenes.values() for label in scene["object_bbox"]}
    assert len(labels) > 40
    for label in labels:
        names = dataset.labels(label)
        assert {"nyu40", "embodiedscan", "scanrefer18"} <= names.keys() or label in {"shoe rack", "pan"}, label


def test_labels_that_are_names_of_ours_need_no_row(original: Path) -> None:
    dataset = open_dataset(scannetpp=original)
    assert dataset.labels("vase") == {"raw": "vase", "embodiedscan": "vase"}
    assert dataset.labels("guitar") == {"raw": "guitar", "embodiedscan": "guitar", "scannet200": "guitar"}
    assert dataset.labels("flux capacitor") == {"raw": "flux capacitor"}
    assert dataset.labels("Office_Chair")["scannet200"] == "office chair"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nothing", "is not a directory"),
        ("data/notascene", "holds no ScanNet++ scene; expected folders such as data/036bce3393 with iphone/"),
        (f"data/{SCENE}", f"it is a scene itself: give the folder that holds it, with --scenes {SCENE}"),
        (f"data/{SCENE}/iphone/rgb.mkv", "is a file"),
    ],
)
def test_another_place_is_refused_with_what_was_looked_for(place: str, message: str, original: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_dataset(scannetpp=original / place)
    assert message in str(caught.value)


def test_options_are_checked_and_are_of_this_source_only(original: Path) -> None:
    with pytest.raises(UsageError, match="camera 'fisheye' is unknown"):
        open_dataset(scannetpp=original, scannetpp_camera="fisheye")
    with pytest.raises(UsageError, match="source of poses 'colmab' is unknown; did you mean colmap"):
        open_dataset(scannetpp=original, scannetpp_poses="colmab")
    with pytest.raises(UsageError, match="--scannetpp-poses can be given with --scannetpp only"):
        open_dataset(rgbd=original, scannetpp_poses="colmap")


def test_a_download_in_a_store_has_the_same_scenes(root: Path) -> None:
    (root / "splits").mkdir()
    (root / "splits" / "nvs_sem_val.txt").write_text(SCENE)
    with s3_server() as store:
        dataset = open_dataset(scannetpp=store.copy_in(root, "scannetpp"))
        assert dataset.scene_ids == (SCENE, OTHER)
        assert dataset.split(SCENE) == "val"
        assert dataset.kind(SCENE) == "iphone-video"
        assert any("depth.bin" in place for place in dataset.stamps(SCENE))
        here = open_dataset(scannetpp=root)
        with dataset.open_scan(SCENE) as far, here.open_scan(SCENE) as near:
            assert far.digest() == near.digest()
            assert (far.camera_to_world == near.camera_to_world).all()
            for frame in (4, 1):
                assert (far.color(frame) == near.color(frame)).all()
                assert (far.depth(frame) == near.depth(frame)).all()
