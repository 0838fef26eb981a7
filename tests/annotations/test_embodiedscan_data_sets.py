"""EmbodiedScan's files cover four data sets: each gets its own scenes, by its own names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapdata.annotations.bundle import gather
from gapdata.annotations.embodiedscan import read_embodiedscan
from gapdata.annotations.embodiedscan_names import frame_of_image, place_of_sample
from gapdata.annotations.splits import overlaps
from gapdata.errors import UsageError
from tests.support.annotation_records import ALIGNMENT, sample, write_embodiedscan

SCAN = "531cff08-0021-28f6-8e08-ba2eeb945e09"
OTHER = "531cff10-0021-28f6-8f94-80db8fdbbbee"


def named(name: str, images: list[str]) -> dict[str, Any]:
    """A sample of any data set, whose every image shows the first box."""
    rows = [{"img_path": path, "cam2global": np.eye(4), "visible_instance_ids": [0]} for path in images]
    return {**sample(), "sample_idx": name, "images": rows}


def all_four() -> list[dict[str, Any]]:
    house = "matterport3d/17DRP5sb8fy"
    return [
        sample("scene0000_00"),
        named(f"3rscan/{SCAN}", [f"3rscan/{SCAN}/sequence/frame-{frame:06d}.color.jpg" for frame in (0, 7, 350)]),
        named("arkitscenes/Training/41069025", ["arkitscenes/Training/41069025/41069025_frames/lowres_wide/x_9.9.png"]),
        named(f"{house}/region3", [f"{house}/matterport_color_images/0f_i1_2.jpg"]),
        named(f"{house}/region4", []),
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_embodiedscan(tmp_path / "embodiedscan_infos_train.pkl", all_four())


def test_every_data_set_gets_its_scenes(path: Path) -> None:
    found = read_embodiedscan(path)
    assert set(found.scenes) == {
        ("scannet", "scene0000_00"),
        ("3rscan", SCAN),
        ("arkitscenes", "41069025"),
        ("matterport3d", "17DRP5sb8fy_region3"),
        ("matterport3d", "17DRP5sb8fy_region4"),
    }
    assert found.of("3rscan")[SCAN].visible == {0: (3,), 7: (3,), 350: (3,)}
    assert found.of("arkitscenes")["41069025"].visible == {}
    for scene in found.scenes.values():
        np.testing.assert_array_equal(scene.axis_alignment, ALIGNMENT)
        assert len(scene.boxes) == 2
    assert not found.report.defects
    counts = "scannet 1, 3rscan 1, arkitscenes 1, matterport3d 2"
    assert found.report.notes == {"samples by data set": counts}
    assert any(counts in line for line in found.report.lines())


@pytest.mark.parametrize(
    ("source", "scene_id"),
    [
        ("scannet", "scene0000_00"),
        ("3rscan", SCAN),
        ("arkitscenes", "41069025"),
        ("matterport3d", "17DRP5sb8fy_region3"),
    ],
)
def test_a_build_takes_the_boxes_of_its_own_data_set(path: Path, source: str, scene_id: str) -> None:
    gathered = gather([path], {scene_id: "train"}, source=source, scene_splits={scene_id: "train"})
    assert set(gathered.scenes) == {scene_id}
    assert len(gathered.scenes[scene_id].boxes or ()) == 2
    (report,) = gathered.report.files
    others = {"scannet": 1, "3rscan": 1, "arkitscenes": 1, "matterport3d": 2}
    own = others.pop(source)
    ignored = {f"other_data_set_{name}": count for name, count in others.items()}
    assert report.ignored == (ignored | ({"scene_not_in_data_set": 1} if own > 1 else {}))


def test_a_folder_of_frames_may_hold_scenes_of_scannet(path: Path) -> None:
    assert set(gather([path], {"scene0000_00"}, source="rgbd").scenes) == {"scene0000_00"}


def test_scenes_of_one_id_in_two_data_sets_stay_apart(tmp_path: Path) -> None:
    one = sample("41069025")
    other = named("arkitscenes/Training/41069025", [])
    other["instances"] = other["instances"][:1]
    path = write_embodiedscan(tmp_path / "x_train.pkl", [one, other, other])
    found = read_embodiedscan(path)
    assert [len(found.scenes[data_set, "41069025"].boxes) for data_set in ("scannet", "arkitscenes")] == [2, 1]
    assert found.report.ignored == {"repeated_scene": 1}


def test_its_splits_of_other_data_sets_are_its_own(tmp_path: Path) -> None:
    """Nothing says how they follow from those of the data sets: the file's name decides, and overlaps are found."""
    samples = [named(f"3rscan/{scan}", []) for scan in (SCAN, OTHER)]
    splits = {SCAN: "train", OTHER: "val"}
    path = write_embodiedscan(tmp_path / "embodiedscan_infos_val.pkl", samples)
    report = gather([path], splits, source="3rscan", scene_splits=splits).report
    assert not report.contradictions
    assert [item.scene_id for item in overlaps(report.file_splits, splits)] == [SCAN]
    unnamed = write_embodiedscan(tmp_path / "boxes.pkl", samples)
    with pytest.raises(UsageError, match=r"boxes\.pkl"):
        gather([unnamed], splits, source="3rscan", scene_splits=splits)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scannet/scene0000_00", ("scannet", "scene0000_00")),
        (f"3rscan/{SCAN}", ("3rscan", SCAN)),
        ("arkitscenes/Validation/41069025", ("arkitscenes", "41069025")),
        ("matterport3d/17DRP5sb8fy/region12", ("matterport3d", "17DRP5sb8fy_region12")),
        ("matterport3d/17DRP5sb8fy", ("matterport3d", "")),
        ("matterport3d/../region12", ("matterport3d", "")),
        ("arkitscenes/Training/../x", ("arkitscenes", "")),
        ("scannet/../../etc", ("scannet", "")),
        ("hypersim/ai_001_001", ("hypersim", "ai_001_001")),
        ("", ("", "")),
        (5, None),
        ("x" * 2000, None),
    ],
)
def test_names_of_samples(name: Any, expected: tuple[str, str] | None) -> None:
    assert place_of_sample(name) == expected


@pytest.mark.parametrize(
    ("path", "frame"),
    [
        (f"3rscan/{SCAN}/sequence/frame-000350.color.jpg", 350),
        (f"{SCAN}/sequence/frame-000000.color.jpg", 0),
        (f"3rscan/{OTHER}/sequence/frame-000350.color.jpg", None),
        (f"3rscan/{SCAN}/sequence/frame-000350.depth.pgm", None),
        (f"3rscan/{SCAN}/sequence/frame-999999.color.jpg", None),
        (None, None),
    ],
)
def test_images_of_3rscan_have_raw_indices(path: Any, frame: int | None) -> None:
    assert frame_of_image("3rscan", SCAN, path) == frame
