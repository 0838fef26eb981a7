"""All annotation files of a build, gathered by scene; the JSON of a scene; where splits come from."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gapdata.annotations.bundle import Gathered, gather
from gapdata.annotations.conversation import TASKS, ConversationCameras, ConversationItem
from gapdata.annotations.embodiedscan import AnnotatedBox
from gapdata.annotations.proposals import read_masks
from gapdata.annotations.recognition import recognise
from gapdata.annotations.scanrefer import Description
from gapdata.annotations.scene_annotations import Provenance, SceneAnnotations
from gapdata.annotations.splits import FileSplits, overlaps, refuse_overlap
from gapdata.errors import FileError, GapDataError, UsageError
from tests.support.annotation_records import (
    conversation,
    detection,
    images,
    instance,
    sample,
    sentence,
    sparse_members,
    write_embodiedscan,
    write_json,
    write_npz,
)

BOX = ("chair", [0, 0, 1, 1, 1, 1, 0.1, 0.2, 0.3])
RECONS = conversation("<image>What?", '{"pointmap": [1, 2, 3]}', images((7,)), pixel_coords=[0, 5, 6])


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """One file of each kind, under names that say nothing but a split."""
    folder = tmp_path / "mask"
    folder.mkdir()
    for scene in ("scene0000_00", "scene0707_00"):
        write_npz(folder / f"{scene}.mask.npz", sparse_members(np.eye(4, dtype=bool)[:2], "csr"))
    return {
        "embodiedscan": write_embodiedscan(tmp_path / "one_val.bin", [sample(), sample("scene0001_00")]),
        "descriptions": write_json(tmp_path / "two_train.bin", [sentence(), sentence("scene0002_00")]),
        "proposals": write_json(tmp_path / "three.bin", {"scannet/scene0000_00": [[0, 0, 0, 1, 1, 1]]}),
        "conversations": write_json(tmp_path / "four_val.bin", [RECONS, detection([BOX], (1, 31))], indent=None),
        "masks": folder / "scene0000_00.mask.npz",
    }


def test_files_are_told_by_their_content(files: dict[str, Path]) -> None:
    assert {kind: recognise(path) for kind, path in files.items()} == {kind: kind for kind in files}


def test_everything_about_a_scene_comes_together(files: dict[str, Path]) -> None:
    found = gather([*(path for kind, path in files.items() if kind != "masks"), str(files["masks"].parent)],
                   ["scene0000_00", "scene0002_00", "scene0003_00"])  # fmt: skip
    assert list(found.scenes) == ["scene0000_00", "scene0002_00"]
    scene = found.scenes["scene0000_00"]
    assert scene.boxes is not None
    assert scene.proposals is not None
    assert [box.object_id for box in scene.boxes] == [3, 7]
    assert scene.visible == {0: (3, 7), 10: (7,), 40: ()}
    assert [item.text for item in scene.descriptions] == [sentence()["description"]]
    assert scene.proposals.tolist() == [[0, 0, 0, 1, 1, 1]]
    assert [item.task for item in scene.conversations] == ["recons", "det"]
    assert scene.mask_file == str(files["masks"])
    assert read_masks(Path(scene.mask_file)).vertex_count == 4
    assert scene.provenance == (
        Provenance(source="one_val.bin", kind="EmbodiedScan", split="val"),
        Provenance(source="two_train.bin", kind="ScanRefer", split="train"),
        Provenance(source="three.bin", kind="proposal boxes", split=None),
        Provenance(source="four_val.bin", kind="GAP-MLLM or VG-LLM", split="val"),
        Provenance(source="scene0000_00.mask.npz", kind="proposal masks", split=None),
    )
    only = found.scenes["scene0002_00"]
    assert (only.boxes, only.visible, only.proposals, only.mask_file) == (None, None, None, None)
    reports = {report.kind: report for report in found.report.files}
    assert reports["EmbodiedScan"].ignored == {"scene_not_in_data_set": 1}
    assert (reports["proposal masks"].taken, reports["proposal masks"].ignored) == (1, {"scene_not_in_data_set": 1})
    assert all(report.items == report.taken + sum(report.ignored.values()) for report in reports.values())
    json.dumps(found.report.to_dict(), allow_nan=False)
    assert any("one_val.bin: EmbodiedScan, split val (from its name): 1 of 2 items taken" in line
               for line in found.report.lines())  # fmt: skip


def test_without_a_data_set_all_scenes_are_taken(files: dict[str, Path]) -> None:
    assert len(gather([files["embodiedscan"], files["descriptions"]]).scenes) == 3


def test_the_first_file_counts_where_two_say_the_same(tmp_path: Path) -> None:
    first = write_embodiedscan(tmp_path / "a.pkl", [sample(instances=[instance(1), instance(2)])])
    second = write_embodiedscan(tmp_path / "b.pkl", [sample(), sample("scene0001_00")])
    one = write_json(tmp_path / "a.json", [sentence()])
    other = write_json(tmp_path / "b.json", [sentence(description="another"), sentence(ann_id="1")])
    found = gather([first, second, one, other])
    boxes = found.scenes["scene0000_00"].boxes
    assert boxes is not None
    assert [box.object_id for box in boxes] == [1, 2]
    assert [item.ann_id for item in found.scenes["scene0000_00"].descriptions] == ["0", "1"]
    assert found.report.conflicts == {"description_of_two_files": 1, "scene_of_two_EmbodiedScan_files": 1}
    assert "1 left out, because an earlier file has the same: description of two files" in found.report.lines()


def test_an_empty_list_says_nothing_and_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "scannet_det_val_4frames.json"
    path.write_text("[]")
    gathered = gather([path])
    assert not gathered.scenes
    assert gathered.report.lines() == [f"{path}: nothing, split val (from its name): 0 of 0 items taken, for 0 scenes"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"[{}]", "is not an annotation file of a known kind; known are EmbodiedScan's .pkl"),
        (b'[{"scan_id": "scannet/scene0000_00", "text": "x"}]', "is not an annotation file of a known kind"),
        (b"\x80\x05cos\nsystem\n.", "uses 'os.system'"),
        (b"PK\x03\x04", "does not name a scene"),
        (b"\xff\xfe[\x00", "item 0 is not JSON"),
        (b"ply\nformat", "item 0 is not JSON"),
    ],
)
def test_an_unknown_or_damaged_file_stops_with_its_name(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        gather([path])
    assert str(caught.value).startswith(f"{path}: {problem}")


def test_what_is_named_wrongly_is_a_usage_error_or_names_the_file(tmp_path: Path, files: dict[str, Path]) -> None:
    with pytest.raises(FileError, match="missing: does not exist"):
        gather([tmp_path / "missing"])
    with pytest.raises(UsageError, match="is named twice"):
        gather([files["proposals"], str(files["proposals"])])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"does not hold \*\.mask\.npz"):
        gather([tmp_path / "empty"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([b"", b"\x80\x04", b"PK\x03\x04", b"[", b'{"scannet/scene0000_00": [']), st.binary(max_size=80))
def test_random_bytes_raise_only_the_project_s_errors(tmp_path: Path, head: bytes, data: bytes) -> None:
    path = tmp_path / "scene0000_00.mask.npz"
    path.write_bytes(head + data)
    with suppress(GapDataError):
        gather([path])


# The JSON of a scene

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
IDS = st.integers(0, 2**31 - 1)


def arrays(*shape: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float64, shape, elements=FLOATS)


BOXES = st.builds(AnnotatedBox, object_id=IDS, label=TEXTS, center=arrays(3), size=arrays(3), rotation=arrays(3, 3))


@st.composite
def conversations(draw: st.DrawFn) -> ConversationItem:
    frames, labels = draw(st.lists(IDS, max_size=3)), draw(st.lists(TEXTS, max_size=3))
    cameras = st.builds(
        ConversationCameras,
        intrinsics=st.none() | arrays(3, 3),
        camera_to_world=arrays(len(frames), 4, 4),
        axis_alignment=arrays(4, 4),
    )
    return ConversationItem(
        scene_id="scene",
        frame_ids=tuple(frames),
        task=draw(st.sampled_from(TASKS)),
        question=draw(TEXTS),
        answer=draw(TEXTS),
        source=draw(TEXTS),
        index=draw(IDS),
        mark=draw(st.none() | st.tuples(IDS, IDS, IDS)),
        labels=tuple(labels),
        boxes=draw(arrays(len(labels), 9)),
        euler=draw(st.sampled_from(["extrinsic_zxy", "intrinsic_zxy", None])),
        cameras=draw(st.none() | cameras),
        metadata=draw(st.dictionaries(TEXTS, FLOATS | TEXTS | st.lists(IDS, max_size=2) | st.none(), max_size=3)),
    )


SCENES = st.builds(
    SceneAnnotations,
    scene_id=st.just("scene"),
    provenance=st.lists(st.builds(Provenance, source=TEXTS, kind=TEXTS, split=st.none() | TEXTS), max_size=2).map(
        tuple
    ),
    axis_alignment=st.none() | arrays(4, 4),
    boxes=st.none() | st.lists(BOXES, max_size=2).map(tuple),
    visible=st.none() | st.dictionaries(IDS, st.lists(IDS, max_size=3).map(tuple), max_size=3),
    descriptions=st.lists(
        st.builds(Description, scene_id=st.just("scene"), object_id=IDS, object_name=TEXTS, ann_id=TEXTS, text=TEXTS),
        max_size=2,
    ).map(tuple),
    proposals=st.none() | st.integers(0, 3).flatmap(lambda count: arrays(count, 6)),
    mask_file=st.none() | TEXTS,
    conversations=st.lists(conversations(), max_size=2).map(tuple),
)


def exact(value: Any) -> Any:
    """A value as something that compares by every bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, (tuple, list)):
        return type(value), [exact(item) for item in value]
    if isinstance(value, dict):
        return [(exact(key), exact(item)) for key, item in value.items()]
    if hasattr(value, "__dataclass_fields__"):
        return type(value), [(name, exact(getattr(value, name))) for name in value.__dataclass_fields__]
    return type(value), repr(value)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(SCENES)
def test_a_scene_survives_its_json_in_every_bit(scene: SceneAnnotations) -> None:
    data = scene.to_json()
    again = SceneAnnotations.from_json(data)
    assert exact(again) == exact(scene)
    assert again.to_json() == data


def test_a_gathered_scene_survives_its_json(files: dict[str, Path]) -> None:
    found: Gathered = gather(list(files.values()))
    for scene in found.scenes.values():
        assert exact(SceneAnnotations.from_json(scene.to_json())) == exact(scene)


GENUINE = SceneAnnotations(
    scene_id="scene",
    axis_alignment=np.eye(4),
    boxes=(AnnotatedBox(object_id=1, label="chair", center=np.ones(3), size=np.ones(3), rotation=np.eye(3)),),
    visible={0: (1,)},
    descriptions=(Description(scene_id="scene", object_id=1, object_name="chair", ann_id="0", text="a chair"),),
    proposals=np.ones((1, 6)),
).to_json()


@given(st.lists(st.tuples(st.integers(0, len(GENUINE) - 1), st.integers(32, 126)), max_size=3), st.integers(0, 3))
@example([], 0)
def test_damaged_json_of_a_scene_is_read_or_refused(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(GENUINE)
    for position, value in changes:
        data[position] = value
    for content in (bytes(data[: len(data) - cut]), bytes(data[cut * 40 :])):
        with suppress(FileError):
            assert SceneAnnotations.from_json(content).scene_id


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"version": 2}', "scene annotations have version 2, this package reads 1; build again"),
        (b"[]", "scene annotations are not a JSON object"),
        (b"[" * 100_000, "scene annotations are damaged: RecursionError"),
        (GENUINE.replace(b"[[1.0,0.0,0.0,0.0]", b"[[NaN,0.0,0.0,0.0]", 1), "a number is not finite"),
    ],
)
def test_json_of_a_scene_that_cannot_be_read_says_why(data: bytes, problem: str) -> None:
    with pytest.raises(FileError) as caught:
        SceneAnnotations.from_json(data)
    assert problem in str(caught.value)


# Splits

SPLITS = {"a": "train", "b": "train", "c": "val", "d": "test", "e": "unknown"}


def splits_of_file(split: str | None, *scenes: str) -> FileSplits:
    return FileSplits(source=f"infos_{split}.pkl", splits=dict.fromkeys(scenes, split))


def test_the_val_split_of_embodiedscan_overlaps_with_what_scannet_trains_on() -> None:
    (found,) = overlaps([splits_of_file("val", "b")], SPLITS)
    assert (found.scene_id, found.trained_by, found.evaluated_by) == (
        "b", ("the data set (train)",), ("infos_val.pkl (val)",)
    )  # fmt: skip


def test_files_overlap_among_themselves_without_the_data_set() -> None:
    files = [
        splits_of_file("train", "a", "b", "e"),
        splits_of_file("val", "b", "e", "z"),
        splits_of_file(None, "a"),
        splits_of_file("test", "c"),
    ]
    found = overlaps(files, SPLITS, use_data_set_splits=False)
    assert [item.scene_id for item in found] == ["b", "e"]
    assert overlaps([splits_of_file("train", "a"), splits_of_file("test", "c")], SPLITS) == ()


def test_an_overlap_is_refused_unless_it_is_allowed() -> None:
    found = overlaps([splits_of_file("val", "b"), splits_of_file("val", "a")], SPLITS)
    refuse_overlap((), allow_overlap=False)
    refuse_overlap(found, allow_overlap=True)
    with pytest.raises(UsageError) as caught:
        refuse_overlap(found, allow_overlap=False)
    assert str(caught.value) == (
        "2 scenes are both trained and evaluated on: a is trained on by the data set (train) and evaluated on by "
        "infos_val.pkl (val); leave one of these out, or set annotations.allow_overlap = true"
    )


def test_gathered_files_bring_their_splits(files: dict[str, Path]) -> None:
    found = gather([files["embodiedscan"], files["descriptions"]])
    assert [(item.source, item.splits) for item in found.report.file_splits] == [
        ("one_val.bin", {"scene0000_00": "val", "scene0001_00": "val"}),
        ("two_train.bin", {"scene0000_00": "train", "scene0002_00": "train"}),
    ]
    assert [item.scene_id for item in overlaps(found.report.file_splits, {"scene0000_00": "train"})] == ["scene0000_00"]
