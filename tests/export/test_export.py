"""An export is read by the authors' loader and by ours, and what comes back is what went out."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.errors import ShardError, UsageError
from gapdata.export.export_build import export_build
from gapdata.export.items import record_items
from gapdata.geometry.boxes import OrientedBox, rotation_from_euler
from gapdata.geometry.camera import transform
from gapdata.records.expressions import Conversation, conversations, descriptions
from gapdata.records.schema import Record
from gapdata.seeding import generator_for
from gapdata.shards.reader import ShardReader
from gapdata.sources.images import is_color_jpeg
from gapdata.tasks.questions import questions
from gapdata.tasks.task import QuestionOptions
from gapdata.tasks.wordings import Wording
from tests.support.annotation_records import sentence, write_json
from tests.support.builds import write_build
from tests.support.scannet_scenes import ALIGNMENT, write_scene

SIZE = (96, 64)  # cropped and resized from 128x96
TRAIN, VAL = "scene0000_00", "scene0001_00"
SETTINGS = [
    "frames.image_size=[96,64]", "clips.frames=2", "clips.interval=3", "clips.step=3", "clips.max_shift=0",
    "scene_views.frames=4", "around.enabled=true", "around.reach=6", "around.interval=3", "prompts.per_view=4",
    "prompts.spacing=8",
]  # fmt: skip
ASKED = {
    "recons": ("pointmap", "clip"), "det": ("detection", "clip"), "scanrefer1": ("grounding_frame", "scene"),
    "scanrefer2": ("grounding_box", "around"), "scanrefer": ("grounding", "scene"), "scan2cap": ("captioning", "scene"),
}  # fmt: skip
FILES = {
    f"{name}.json": task
    for split in ("train", "val")
    for name, task in {
        f"scannet_recons_{split}_2frames": "recons",
        f"scannet_det_{split}_2frames": "det",
        f"scanrefer_{split}_4frames_stage1": "scanrefer1",
        f"scanrefer_{split}_4frames_stage2": "scanrefer2",
        f"scanrefer_{split}_4frames": "scanrefer",
        f"scan2cap_{split}_4frames": "scan2cap",
    }.items()
}
Item = dict[str, Any]


def build(*arguments: str) -> None:
    assert main(["build-shards", "--executor", "inline", *arguments]) == 0


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, scene views and views around a frame, of a scene to train on and one to evaluate on, with a proposal for
    one of its two described objects.
    """
    root = tmp_path_factory.mktemp("scans")
    for scene in (TRAIN, VAL):
        write_scene(root / "scans" / scene, frames=10, lost=(4,))
    (root / "scannetv2_train.txt").write_text(f"{TRAIN}\n")
    (root / "scannetv2_val.txt").write_text(f"{VAL}\n")
    told = [
        sentence(scene, str(object_id), str(ann_id), description=f"the chair number {object_id}, said {ann_id} times.")
        for scene in (TRAIN, VAL)
        for object_id in (1, 2)
        for ann_id in range(2)
    ]
    alignment = np.array([float(value) for value in ALIGNMENT.split()]).reshape(4, 4)
    center = transform(alignment, np.array([2.0, 0.6, 0.5]))
    write_json(root / "ScanRefer_filtered_train.json", [item for item in told if item["scene_id"] == TRAIN])
    write_json(root / "ScanRefer_filtered_val.json", [item for item in told if item["scene_id"] == VAL])
    write_json(root / "pred_box.json", {f"scannet/{VAL}": [[*center.tolist(), 0.9, 1.0, 1.0]]})
    files = ("ScanRefer_filtered_train.json", "ScanRefer_filtered_val.json", "pred_box.json")
    out = root / "shards"
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    build("--scannet", str(root), "--out", str(out), *settings, "--annotations", *(str(root / name) for name in files))
    return out


@pytest.fixture(scope="module")
def exported(shards: Path) -> Path:
    out = shards.parent / "exported"
    assert main(["export", str(shards), "--format", "gap-json", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def imported(exported: Path) -> Path:
    out = exported.parent / "imported"
    recipe = Path(__file__).parents[2] / "manifests" / "gap-json.toml"
    files = sorted(str(path) for path in (exported / "annotations").iterdir())
    size = f"frames.image_size=[{SIZE[0]},{SIZE[1]}]"
    build(
        "--scannet", str(exported), "--out", str(out), "--recipe", str(recipe), "--set", size, "--annotations", *files
    )
    return out


def load(folder: Path, name: str) -> list[Item]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    items = json.loads((folder / "annotations" / name).read_text(), parse_constant=refuse)
    assert isinstance(items, list)
    return items


def loader_sample(data_path: Path, item: Item) -> tuple[str, str, list[np.ndarray]]:
    """What GAP-MLLM's loader makes of an item (formats.md 6.1, 6.2): the text with its placeholders, the answer, and
    the images, with the cross on the one that ``pixel_coords`` names. Written from the description of their format.
    """
    first, second = item["conversations"]
    assert (first["from"], second["from"]) == ("human", "gpt")
    text = first["value"].replace("<image>\n", "<image>")
    assert text.count("<image>") == len(item["images"]) > 0
    assert "<image>" not in second["value"]
    images = []
    for name in item["images"]:
        assert re.fullmatch(r"posed_images/scene\d{4}_\d{2}/\d{5}\.jpg", name)
        images.append(cv2.imread(str(data_path / name))[..., ::-1].copy())
    if "pixel_coords" in item:
        view, x, y = item["pixel_coords"]
        assert all(type(value) is int for value in item["pixel_coords"])
        height, width = images[view].shape[:2]
        assert 0 <= x < width
        assert 0 <= y < height
        images[view][max(0, y - 2) : y + 3, max(0, x - 10) : x + 11] = (255, 0, 0)
        images[view][max(0, y - 10) : y + 11, max(0, x - 2) : x + 3] = (255, 0, 0)
    return text, second["value"], images


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def expected(record: Record, wording: Wording = "gap") -> Iterator[tuple[str, str, str, tuple[int, ...] | None]]:
    """Task, question, answer and mark of everything that a record is asked, by :mod:`gapdata.tasks` itself."""
    for task, (name, view) in ASKED.items():
        if record.view != view:
            continue
        captions = task == "scan2cap" and record.split == "val"
        options = QuestionOptions(
            wording=wording, taxonomy="embodiedscan", caption_point="proposal" if captions else "truth"
        )
        found = questions(record, name, options, generator_for(0))
        # An object is one item of an evaluation, whatever was said about it: here the first of two sentences.
        for question in found[:1] if captions else found:
            mark = None if question.mark is None else (question.mark.frame, *question.mark.pixel)
            yield task, question.text, question.answer, mark


def test_the_loader_of_the_authors_accepts_every_item(exported: Path) -> None:
    assert {path.name for path in (exported / "annotations").iterdir()} == set(FILES)
    for name, task in FILES.items():
        items = load(exported, name)
        assert items
        for item in items:
            _, answer, images = loader_sample(exported, item)
            assert all(image.shape == (SIZE[1], SIZE[0], 3) for image in images)
            assert ("pixel_coords" in item) == (task == "recons")
            assert {"cam2img", "cam2global", "axis_align_matrix"} <= item.keys() or "train" in name
            assert answer


def test_an_item_has_what_its_task_is_evaluated_by(exported: Path) -> None:
    keys = {
        "recons": {"pixel_coords"}, "det": {"boxes"},
        **{name: {"metadata", "target", "gt_bbox", "prompt"} for name in ("scanrefer1", "scanrefer2", "scanrefer")},
        "scan2cap": {"metadata", "input_box", "gt_box", "iou"},
    }  # fmt: skip
    cameras = {"cam2img", "cam2global", "axis_align_matrix"}
    for name, task in FILES.items():
        evaluation = cameras | ({"annotations"} if task == "scan2cap" else set())
        wanted = {"conversations", "images"} | keys[task] | (evaluation if "_val_" in name else set())
        assert {frozenset(item) for item in load(exported, name)} == {frozenset(wanted)}
    (caption,) = load(exported, "scan2cap_val_4frames.json")
    assert caption["annotations"] == ["the chair number 1, said 0 times.", "the chair number 1, said 1 times."]
    assert caption["metadata"]["object_id"] == "1"
    assert 0.5 < caption["iou"] < 1
    np.testing.assert_allclose(caption["input_box"][3:], [0.9, 1.0, 1.0], atol=1e-5)
    np.testing.assert_allclose(caption["input_box"][:3], caption["gt_box"][:3], atol=0.01)
    for item in load(exported, "scanrefer_val_4frames_stage2.json"):
        assert item["conversations"][0]["value"] == "<image>" * len(item["images"]) + item["prompt"]
        assert item["target"] == "office_chair"


def test_marked_pixels_lie_where_the_answer_says_by_the_exported_files_alone(exported: Path) -> None:
    for item in load(exported, "scannet_recons_train_2frames.json"):
        view, x, y = item["pixel_coords"]
        image = exported / item["images"][view]
        depth = cv2.imread(str(image.with_suffix(".png")), cv2.IMREAD_UNCHANGED)[y, x] / 1000
        matrix = np.loadtxt(image.parent / "intrinsic.txt")
        assert matrix.tolist() == np.loadtxt(image.parent / "depth_intrinsic.txt").tolist()
        ray = [(x - matrix[0, 2]) / matrix[0, 0], (y - matrix[1, 2]) / matrix[1, 1], 1, 1 / depth]
        first = np.loadtxt((exported / item["images"][0]).with_suffix(".txt"))
        point = np.linalg.inv(first) @ np.loadtxt(image.with_suffix(".txt")) @ (depth * np.array(ray))
        answer = json.loads(item["conversations"][1]["value"].strip("`").removeprefix("json"))
        np.testing.assert_allclose(point[:3], answer["pointmap"], atol=0.0051)


def test_boxes_of_answers_are_the_true_ones_in_the_aligned_world(exported: Path) -> None:
    for item in load(exported, "scanrefer_val_4frames_stage2.json"):
        answer = json.loads(item["conversations"][1]["value"].strip("`").removeprefix("json"))["bbox_3d"]
        box = OrientedBox(
            center=np.array(answer[:3]),
            size=np.array(answer[3:6]),
            rotation=rotation_from_euler(np.array(answer[6:]), "extrinsic_zxy"),
        ).transformed(np.array(item["axis_align_matrix"]) @ np.array(item["cam2global"][0]))
        corners = box.corners
        np.testing.assert_allclose((corners.min(0) + corners.max(0)) / 2, item["gt_bbox"][:3], atol=0.03)
        np.testing.assert_allclose(np.ptp(corners, axis=0), item["gt_bbox"][3:6], atol=0.05)
    for item in load(exported, "scannet_det_train_2frames.json"):
        answer = json.loads(item["conversations"][1]["value"].strip("`").removeprefix("json"))
        assert [(box["label"], [round(value, 2) for value in box["bbox_3d"]]) for box in item["boxes"]] == [
            (box["label"], box["bbox_3d"]) for box in answer
        ]
        assert {box["label"] for box in item["boxes"]} == {"chair"}


def test_the_import_of_an_export_gives_the_same_records(shards: Path, imported: Path) -> None:
    found = {(record.scene_id, record.view, record.frame_ids): record for record in ShardReader(imported)}
    originals = list(ShardReader(shards))
    assert {record.view for record in originals} == {"clip", "scene", "around"}
    assert len(found) == len(originals)
    for record in originals:
        other = found[record.scene_id, record.view, record.frame_ids]
        assert (other.split, other.image_size) == (record.split, record.image_size)
        for name in ("intrinsics", "camera_to_world", "camera_to_first", "axis_alignment"):
            np.testing.assert_array_equal(getattr(other, name), getattr(record, name))
        kept = {name for name in record.members if name.endswith((".jpg", "depth.png", "pointmap.npy"))}
        assert {name: other.members[name] for name in kept} == {name: record.members[name] for name in kept}
        asked = Counter((item.task, item.question, item.answer, item.mark) for item in conversations(other))
        assert asked == Counter(expected(record))


def test_exporting_the_import_gives_the_same_files(shards: Path, exported: Path, imported: Path) -> None:
    again = imported.parent / "again"
    export_build("gap-json", imported, again)
    first, second = tree(exported), tree(again)
    assert first.keys() == second.keys()
    texts = {name for name in first if name.startswith("annotations/")} | {"export.json", "report.json"}
    assert {name: first[name] for name in first.keys() - texts} == {name: second[name] for name in first.keys() - texts}
    for name in FILES:
        pairs = ([[item[key] for key in ("conversations", "images")] for item in load(folder, name)] for folder in
                 (exported, again))  # fmt: skip
        one, other = (sorted(map(json.dumps, items)) for items in pairs)
        assert one == other
        assert Counter(json.dumps(item.get("pixel_coords")) for item in load(exported, name)) == Counter(
            json.dumps(item.get("pixel_coords")) for item in load(again, name)
        )


def test_every_frame_is_written_once_and_counted(shards: Path, exported: Path) -> None:
    frames = {(record.scene_id, frame) for record in ShardReader(shards) for frame in record.frame_ids}
    images = sorted(exported.glob("posed_images/*/*.jpg"))
    assert {(path.parent.name, int(path.stem)) for path in images} == frames
    report = json.loads((exported / "report.json").read_text())
    assert report["frames"] == len(frames)
    assert report["records"] == report["exported"] == len(ShardReader(shards))
    assert report["scenes"] == {"train": 1, "val": 1}
    assert report["items"] == {name: len(load(exported, name)) for name in sorted(FILES)}
    assert report["left_out"] == {"scan2cap": {"the object has no proposal": 2}}
    assert report["notes"] == ["their loader's cross of 21 pixels is 13.5 times as large on these images as on "
                               "ScanNet's 1296"]  # fmt: skip
    assert (exported / "scannetv2_val.txt").read_text() == f"{VAL}\n"


def test_the_same_command_goes_on_where_it_stopped(shards: Path, exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "export"
    shutil.copytree(exported, out)
    lost = [out / "report.json", out / "annotations" / "scan2cap_val_4frames.json", *out.glob(f"posed_images/{VAL}/*")]
    for path in lost:
        path.unlink()
    export_build("gap-json", shards, out)
    assert tree(out) == tree(exported)


def test_a_frame_that_holds_something_else_is_not_replaced(shards: Path, exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "export"
    shutil.copytree(exported, out)
    path = next(out.glob("posed_images/*/*.txt"))
    path.write_text("1 0 0 0")
    with pytest.raises(ShardError, match="holds something else than this build; export to an empty folder"):
        export_build("gap-json", shards, out)
    assert path.read_text() == "1 0 0 0"


def test_a_folder_of_something_else_is_refused(shards: Path, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="is not empty and is not an export; name a new folder"):
        export_build("gap-json", shards, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UsageError, match="holds an export with another tasks, wording; name a new folder"):
        export_build("gap-json", shards, exported, tasks=("det",), wording="vgllm_v2")


def test_tasks_split_and_wording_are_chosen(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "export"
    command = ["export", str(shards), "--format", "gap-json", "--out", str(out), "--tasks", "det", "--split", "val"]
    assert main([*command, "--wording", "vgllm_v2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["items"]) == ["scannet_det_val_2frames.json"]
    assert {path.name for path in (out / "posed_images").iterdir()} == {VAL}
    clips = [record for record in ShardReader(shards) if (record.split, record.view) == ("val", "clip")]
    items = load(out, "scannet_det_val_2frames.json")
    wanted = [(text, answer) for clip in clips for task, text, answer, _ in expected(clip, "vgllm_v2") if task == "det"]
    assert [tuple(turn["value"] for turn in item["conversations"]) for item in items] == wanted
    assert items[0]["conversations"][0]["value"].startswith("<image>\n<image>\nDetect")
    assert main(["export", str(shards), "--format", "gap-json", "--out", str(tmp_path / "b"), "--split", "test"]) == 2
    assert "holds no record of split test" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command[:-3], "det,poses"])
    assert "'det,poses' is not a list of recons, det," in capsys.readouterr().err


def first_clip(shards: Path) -> Record:
    return next(record for record in ShardReader(shards) if record.view == "clip")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"scene_id": "../../evil"}, "cannot be the name of a folder"),
        ({"scene_id": "/tmp/evil"}, "cannot be the name of a folder"),
        ({"scene_id": ".."}, "cannot be the name of a folder"),
        ({"scene_id": "a\0b"}, "cannot be the name of a folder"),
        ({"scene_id": ""}, "cannot be the name of a folder"),
        ({"frame_ids": (-1, 3)}, "-1 is not a raw index"),
        ({"frame_ids": (0, 10**9)}, "1000000000 is not a raw index"),
        ({"split": "../train"}, "has the unknown split '../train'"),
        ({"camera_to_world": np.full((2, 4, 4), -np.inf)}, "camera_to_world of frame 0 is not rigid"),
        ({"image_size": (128, 96)}, "an image is incomplete or not 128x96"),
        ({"members": {}}, "member 00.jpg is missing"),
    ],
)
def test_a_hostile_build_writes_nothing_outside_the_folder(
    shards: Path, tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    record = first_clip(shards)
    if "members" in change:
        change = {"members": {name: data for name, data in record.members.items() if name.endswith("instance.png")}}
    if "camera_to_world" in change:
        # The writer refuses what is not finite, so the JSON is made by hand.
        fields = json.loads(record.to_json())
        fields["camera_to_world"] = change["camera_to_world"].tolist()
        hostile: Record = _Verbatim(record, json.dumps(fields).encode())  # type: ignore[assignment]
    else:
        hostile = replace(record, **change)
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    shards = write_build(tmp_path / "build", [hostile])
    before = tree(tmp_path)
    with pytest.raises(ShardError, match=re.escape(problem)):
        export_build("gap-json", shards, inner / "export", tasks=("det",))
    after = tree(tmp_path)
    assert {name for name in after.keys() - before.keys() if not name.startswith("a/b/export/")} == set()
    assert not any(name.endswith((".jpg", "frames.json", ".tmp")) for name in after)


class _Verbatim:
    """A record whose JSON member is what somebody wrote."""

    def __init__(self, record: Record, data: bytes) -> None:
        self.record, self.data = record, data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.record, name)

    def to_json(self) -> bytes:
        return self.data


def test_conversations_that_a_loader_would_choke_on_are_left_out_with_the_reason(shards: Path, tmp_path: Path) -> None:
    record = first_clip(shards)
    good, images = "<image><image>Detect the 3D bounding boxes", "<image><image>"
    talk = [
        ("det", good, "```json\n[]```"),
        ("det", "Detect the 3D bounding boxes", "[]"),
        ("det", good, "an <image> of it"),
        ("../evil", images, "[]"),
    ]
    told = [
        Conversation(task=task, question=question, answer=answer, mark=None, source="x.json", index=index).to_fields()
        for index, (task, question, answer) in enumerate(talk)
    ]
    build = write_build(tmp_path / "build", [replace(record, expressions=tuple(told))])
    report = export_build("gap-json", build, tmp_path / "export")
    assert report["items"] == {"scannet_det_train_2frames.json": 1}
    assert report["left_out"] == {
        "conversation": {"a conversation of an unknown task": 1},
        "det": {
            "the answer holds an image placeholder": 1,
            "the question has not one image placeholder for each frame": 1,
        },
    }


def test_what_a_record_cannot_be_asked_is_counted(shards: Path, tmp_path: Path) -> None:
    clip = first_clip(shards)
    scene = next(record for record in ShardReader(shards) if record.view == "scene")
    bare = replace(clip, key="a", members={k: v for k, v in clip.members.items() if "instance" not in k}, objects=())
    other = replace(clip, key="c", intrinsics=clip.intrinsics * 1.01)
    unaligned = replace(scene, key="d", axis_alignment=None, scene_id="scene0005_00")
    silent = replace(scene, key="e", expressions=())
    build = write_build(tmp_path / "build", [bare, replace(clip, key="b"), other, unaligned, silent])
    report = export_build("gap-json", build, tmp_path / "export", tasks=("det", "scanrefer", "scan2cap"))
    no_box = {"the object has no aligned box": len(descriptions(scene))}
    assert report["left_out"] == {
        "det": {
            "its scene has another camera or axis alignment in an earlier record": 1,
            "the scan has no annotation": 1,
        },
        "record": {"it holds nothing that these tasks ask about": 1},
        "scan2cap": no_box,
        "scanrefer": no_box,
    }
    assert (report["records"], report["exported"]) == (5, 1)


def test_a_scan_without_axis_alignment_gets_no_identity_in_its_place(shards: Path) -> None:
    clip = replace(first_clip(shards), axis_alignment=None, split="val")
    items, _ = record_items(clip, "det", "gap")
    assert "axis_align_matrix" not in items[0]
    assert items[0]["cam2global"] == clip.camera_to_world.tolist()


def test_only_jpegs_of_three_channels_are_passed_through() -> None:
    image = np.zeros((16, 24, 3), np.uint8)
    color, grey, png = (cv2.imencode(kind, picture)[1].tobytes() for kind, picture in
                        ((".jpg", image), (".jpg", image[..., 0]), (".png", image)))  # fmt: skip
    assert is_color_jpeg(color)
    assert not is_color_jpeg(grey)
    assert not is_color_jpeg(png)
    assert not is_color_jpeg(color[:-40])
    assert not is_color_jpeg(b"")
