"""Which tasks, split and wording are exported, and what is left out or refused."""

from __future__ import annotations

import json
import re
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
from gapdata.records.expressions import Conversation, descriptions
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader
from gapdata.sources.images import is_color_jpeg
from tests.support.builds import write_build
from tests.support.export_builds import VAL, expected, first_clip, load, tree


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
    assert main([*command[:-3], "det,poses"]) == 2
    assert "task 'poses' is unknown; choose from recons, det," in capsys.readouterr().err


def test_frames_are_exported_alone(
    shards: Path, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", str(shards), "--format", "posed-images", "--out", str(tmp_path / "frames")]
    assert main(command) == 0
    assert capsys.readouterr().out.endswith(f"{len(list(exported.glob('posed_images/*/*.jpg')))} frames of 2 scenes\n")
    frames = {name: data for name, data in tree(exported).items() if name.startswith(("posed", "scan"))}
    assert tree(tmp_path / "frames").keys() - frames.keys() == {"export.json", "report.json"}
    assert frames.items() <= tree(tmp_path / "frames").items()
    assert main([*command, "--tasks", "det"]) == 2
    assert "--tasks is an option of --format gap-json, chat, lmms-eval only" in capsys.readouterr().err
    with pytest.raises(UsageError, match="format 'gap-jsn' is unknown; did you mean gap-json"):
        export_build("gap-jsn", shards, tmp_path / "other")


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
            "the question does not have one image placeholder for each frame": 1,
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
