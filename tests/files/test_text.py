"""Text of any editor means what its UTF-8 form means, in every text file that is read; what is no text is named."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import numpy as np
import pytest

from gapdata.annotations.taxonomy import read_label_map
from gapdata.commands.main import main
from gapdata.engine.recipe import read_recipe
from gapdata.errors import FileError, SourceError, UsageError
from gapdata.files.json_items import BLOCK, json_items
from gapdata.files.numbers import parse_numbers
from gapdata.files.text import decode_text
from gapdata.sources.camera_files import parse_info, parse_intrinsics
from gapdata.sources.pose_files import parse_pose, parse_trajectory
from gapdata.sources.scannet import ScanNetDataset
from gapdata.sources.scene_files import SceneFiles
from tests.support.exports import matrix_text
from tests.support.scannet_scenes import write_scene

EDITORS = {
    "UTF-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16 of PowerShell": lambda text: codecs.BOM_UTF16_LE + text.replace("\n", "\r\n").encode("utf-16-le"),
    "UTF-16 big-endian": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-16 big-endian without a mark": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: codecs.BOM_UTF32_LE + text.encode("utf-32-le"),
    "lines of DOS": lambda text: text.replace("\n", "\r\n").encode() + b"\x1a",
    "lines of an old Mac": lambda text: text.replace("\n", "\r").encode(),
    "padding of a lost disk": lambda text: text.encode() + bytes(512),
}
every_editor = pytest.mark.parametrize("write", EDITORS.values(), ids=EDITORS.keys())
LABEL_MAP = "id\traw_category\tcategory\tnyu40id\tnyu40class\n2\tchair\tchair\t5\tchair\n1\twall\twall\t1\twall\n"
POSE = np.round(np.random.default_rng(0).normal(size=(4, 4)), 6)
POSE[3] = 0, 0, 0, 1


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for index in range(2):
        write_scene(root / "scans" / f"scene000{index}_00", frames=2)
    (root / "scannetv2-labels.combined.tsv").write_text(LABEL_MAP)
    return root


@every_editor
def test_text_of_any_editor_is_the_same_text(write: object) -> None:
    text = "1 0 0\n0 1 0\n\u00e9 \u5ba2\u5385\n" + "filler of Latin script " * 20
    assert decode_text(write(text)) == text  # type: ignore[operator]


@every_editor
def test_numbers_of_cameras_and_poses_are_read_from_any_editor(write) -> None:  # type: ignore[no-untyped-def]
    np.testing.assert_array_equal(parse_pose(write(matrix_text(POSE))), POSE)
    np.testing.assert_array_equal(parse_trajectory(write(f"0 0 1\n{matrix_text(POSE)}"))[0], POSE)
    for text in ('{"fx": 500, "fy": 510, "cx": 319.5, "cy": 239.5}', "500 0 319.5\n0 510 239.5\n0 0 1\n"):
        color = parse_intrinsics(write(text)).cameras((640, 480), (640, 480)).color
        assert (color.fx, color.fy, color.cx, color.cy) == (500, 510, 319.5, 239.5)
    info = "m_colorWidth = 640\nm_colorHeight = 480\nm_depthWidth = 640\nm_depthHeight = 480\nm_depthShift = 1000\n"
    for camera in ("Color", "Depth"):
        info += f"m_calibration{camera}Intrinsic = 500 0 319 0 0 500 239 0 0 0 1 0 0 0 0 1\n"
    assert parse_info(write(info)).depth_units_per_metre == 1000


@every_editor
def test_a_recipe_is_read_from_any_editor(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "mine.toml"
    path.write_bytes(write("seed = 7\n\n[clips]\nframes = 3\n"))
    recipe = read_recipe(path)
    assert (recipe.seed, recipe.clips.frames) == (7, 3)


@every_editor
def test_annotation_files_are_read_from_any_editor(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    items = [{"scene_id": "scene0000_00", "n": n, "text": "a chair \u2014 brown"} for n in range(40)]
    path = tmp_path / "x.json"
    path.write_bytes(write(json.dumps(items, indent=1, ensure_ascii=False)))
    assert list(json_items(path)) == items
    path.write_bytes(write("\n".join(json.dumps(item) for item in items) + "\n"))
    assert list(json_items(path)) == items


def test_a_long_file_in_utf_16_is_read_block_by_block(tmp_path: Path) -> None:
    items = ["\u5ba2" * 1000 + str(n) for n in range(BLOCK // 1500)]
    path = tmp_path / "x.json"
    path.write_bytes(json.dumps(items, ensure_ascii=False).encode("utf-16"))
    assert path.stat().st_size > 1.2 * BLOCK
    assert list(json_items(path)) == items
    data = path.read_bytes()
    path.write_bytes(data[:-4] + b"\x00\xd8" + data[-2:])
    with pytest.raises(FileError, match=f"is not UTF-16-LE: .* 0x00 at offset {len(data) - 4}"):
        list(json_items(path))


@every_editor
def test_a_data_set_is_read_from_any_editor(write, scans: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "scans").symlink_to(scans / "scans")
    root = tmp_path / "data"
    for name, text in (
        ("scannetv2-labels.combined.tsv", LABEL_MAP),
        ("scannetv2_train.txt", "scene0000_00\nscene0001_00\n"),
    ):
        (root / name).write_bytes(write(text))
    dataset = ScanNetDataset.open(root)
    assert {dataset.split("scene0000_00"), dataset.split("scene0001_00")} == {"train"}
    assert dataset.label_map == read_label_map(scans / "scannetv2-labels.combined.tsv")
    scene = tmp_path / "scene0000_00"
    scene.mkdir()
    for source in (scans / "scans" / "scene0000_00").iterdir():
        if source.suffix in (".txt", ".json"):
            (scene / source.name).write_bytes(write(source.read_text()))
        elif source.suffix == ".ply":
            (scene / source.name).symlink_to(source)
    one, other = SceneFiles(scene), SceneFiles(scans / "scans" / "scene0000_00")
    assert one.metadata == other.metadata
    np.testing.assert_array_equal(one.axis_alignment, other.axis_alignment)
    assert [item.label for item in one.annotation().objects] == [item.label for item in other.annotation().objects]  # type: ignore[union-attr]


def test_what_is_no_text_is_named_with_its_place(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"is not UTF-8: invalid continuation byte 0xe9 at offset 3; save it as UTF-8"):
        decode_text(b"caf\xe9 au lait")
    with pytest.raises(ValueError, match=r"is not UTF-16-LE: .* 0x61 at offset 4"):
        decode_text(codecs.BOM_UTF16_LE + b"b\x00a")
    path = tmp_path / "labels.tsv"
    path.write_bytes(LABEL_MAP.encode() + b"\xff\n")
    with pytest.raises(SourceError, match=r"is not UTF-8: .* 0xff at offset"):
        read_label_map(path)
    path.write_bytes(b"seed = 1 # caf\xe9\n")
    with pytest.raises(UsageError, match=r"labels.tsv: is not UTF-8: .* 0xe9 at offset 14"):
        read_recipe(path)
    root = tmp_path / "data"
    root.mkdir()
    (root / "scans").symlink_to(scans / "scans")
    (root / "scannetv2_val.txt").write_bytes(b"scene0000_00\n\xff\xffscene0001_00\n")
    assert main(["build-shards", "--scannet", str(root), "--out", str(tmp_path / "out"), "--dry-run"]) == 2
    assert "scannetv2_val.txt: is not UTF-8: invalid start byte 0xff at offset 13" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scene0000_00\nscene0001\n", "line 2 does not name a scene: 'scene0001'"),
        ("chess\noffice\n", "does not name a scene"),
    ],
)
def test_a_split_file_of_other_names_is_refused(scans: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "scans").symlink_to(scans / "scans")
    (tmp_path / "scannetv2_train.txt").write_text(text)
    with pytest.raises(UsageError, match=message):
        ScanNetDataset.open(tmp_path)


def test_a_split_file_may_hold_paths_commas_and_comments(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "scans").symlink_to(scans / "scans")
    (tmp_path / "scannetv2_train.txt").write_text('# mine\nscene\nscans/scene0000_00/\n"scene0001_00", # good\n')
    dataset = ScanNetDataset.open(tmp_path)
    assert (dataset.split("scene0000_00"), dataset.split("scene0001_00")) == ("train", "train")


def test_matrices_of_other_programs_are_read() -> None:
    wanted = [500, 0, 319.5, 0, 510, 239.5, 0, 0, 1]
    for text in (
        "[[500. 0. 319.5]\n [0. 510. 239.5]\n [0. 0. 1.]]",
        "500,0,319.5\n0,510,239.5\n0,0,1\n",
        "500; 0; 319.5; 0; 510; 239.5; 0; 0; 1;",
        "# of the colour camera\n5e2\t0\t319.5\n0\t510\t239.5 # fy\n% end\n0\t0\t1",
    ):
        assert parse_numbers(text.encode()).tolist() == wanted
    assert parse_numbers(b"# Kamera der K\xfcche\n1 2").tolist() == [1, 2]
    assert np.isnan(parse_numbers(b"-1.#INF 1.#QNAN nan")).all()
    for text in ("525,5 0 319,5", "525,0\n525,0\n", "0,1 0,2 0.3"):
        with pytest.raises(ValueError, match=r"line 1 has a decimal comma: \S+; write \d+\.\d"):
            parse_numbers(text.encode())


def test_intrinsics_may_be_four_numbers_or_lines_with_names() -> None:
    for text in (
        '{"K": [[500, 0, 319.5], [0, 510, 239.5], [0, 0, 1]]}',
        '{"camera_matrix": [500, 0, 319.5, 0, 510, 239.5, 0, 0, 1], "width": 640, "height": 480}',
        '{"fx": 500, "fy": 510, "ppx": 319.5, "ppy": 239.5}',
        "500 510 319.5 239.5",
        "500,510,319.5,239.5\n",
        "500 510 319.5 239.5 640 480",
        "640 480 500 510 319.5 239.5",
        "fx: 500\nfy: 510\ncx: 319.5\ncy: 239.5\n",
        "fx = 500\nfy = 510\ncx = 319.5\ncy = 239.5\nwidth = 640\nheight = 480",
        "fx fy cx cy\n500 510 319.5 239.5",
        "# fx fy cx cy\n500\n510\n319.5\n239.5",
    ):
        cameras = parse_intrinsics(text.encode()).cameras((640, 480), (320, 240))
        color, depth = cameras.color, cameras.depth
        assert (color.fx, color.fy, color.cx, color.cy) == (500, 510, 319.5, 239.5)
        assert depth.fx == 250
    for text, message in (
        ("500 510 319.5 239.5 64 48", "has 6 numbers, which are not fx fy cx cy width height"),
        ("fx: 500\nfy: 510", "has no cx; it has fx, fy"),
        ("fx: wide\nfy: 510\ncx: 1\ncy: 1", "fx is 'wide', expected a number"),
        ("500 510 319.5", "has 3 numbers, expected a 3x3 or 4x4 matrix, or fx fy cx cy"),
    ):
        with pytest.raises(ValueError, match=message):
            parse_intrinsics(text.encode())


def test_a_pose_may_be_3x4_or_a_quaternion_and_a_trajectory_3x4() -> None:
    np.testing.assert_array_equal(parse_pose(matrix_text(POSE[:3]).encode()), POSE)
    np.testing.assert_array_equal(parse_pose(matrix_text(POSE).encode()), POSE)
    lines = [" ".join(str(value) for value in POSE[:3].flat)] * 3
    np.testing.assert_array_equal(parse_trajectory("\n".join(lines).encode()), [POSE] * 3)
    half = np.sqrt(0.5)
    for text in (f"1 2 3 0 0 {half} {half}", f"1305031102.17 1 2 3 0 0 {half} {half}"):  # a quarter turn about z
        expected = [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]
        np.testing.assert_allclose(parse_pose(text.encode()), expected, atol=1e-12)
    assert np.isnan(parse_pose(b"nan nan nan nan nan nan nan")).all()
    with pytest.raises(ValueError, match=r"not a unit quaternion \(their length is 3.74\)"):
        parse_pose(b"1 0 0 0 1 2 3")  # a quaternion that stands first
