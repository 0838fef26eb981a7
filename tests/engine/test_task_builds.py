"""Builds with other people's annotation files: what joins which record, what is dropped and why."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from gapdata.commands.main import main
from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.camera import transform
from gapdata.records.expressions import conversations, descriptions
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader
from gapdata.tasks import grounding_box
from gapdata.tasks.box_text import box_of
from gapdata.tasks.questions import questions
from gapdata.tasks.targets import aligned_camera
from gapdata.tasks.task import QuestionOptions
from tests.support.annotation_records import conversation, images, sample, sentence, write_embodiedscan, write_json
from tests.support.scannet_scenes import ALIGNMENT, COLOR, write_scene

SCENE, FRAMES, LOST = "scene0000_00", 40, 21
SIZE = "frames.image_size=[128,96]"
ALIGN = np.array([float(value) for value in ALIGNMENT.split()]).reshape(4, 4)
GROUNDING = [SIZE, "clips.enabled=false", "scene_views.frames=6", "around.enabled=true", "prompts.per_view=0"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes of a room with two chairs: objects 0 (the walls), 1 and 2."""
    root = tmp_path_factory.mktemp("dataset")
    write_scene(root / "scans" / SCENE, frames=FRAMES, lost=(LOST,))
    write_scene(root / "scans" / "scene0001_00", frames=FRAMES)
    (root / "scannetv2_train.txt").write_text(f"{SCENE}\nscene0001_00\n")
    return root


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sentences about chair 1, one about chair 2, one each about objects that the scene lacks and never shows."""
    items = [
        sentence(SCENE, "1", "0"),
        sentence(SCENE, "1", "1", description="the chair with its back to the door"),
        sentence(SCENE, "2", "0"),
        sentence(SCENE, "7", "0"),
    ]
    return write_json(tmp_path_factory.mktemp("files") / "ScanRefer_filtered_train.json", items)


def build(dataset: Path, out: Path, settings: list[str], files: list[Path], *arguments: str) -> int:
    overrides = [part for setting in settings for part in ("--set", setting)]
    named = ["--annotations", *map(str, files)] if files else []
    words = ["build-shards", "--scannet", str(dataset), "--out", str(out), *overrides, *named, *arguments]
    return main([*words, "--executor", "inline"])


def report_of(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "report.json").read_text())
    return content


@pytest.fixture(scope="module")
def grounded(dataset: Path, sentences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build") / "grounding"
    assert build(dataset, out, GROUNDING, [sentences]) == 0
    return out


def records(out: Path, view: str) -> list[Record]:
    return [record for record in ShardReader(out) if record.view == view]


def test_every_count_of_a_hand_made_scene_is_in_the_report_and_adds_up(grounded: Path) -> None:
    report = report_of(grounded)
    scene, around = records(grounded, "scene"), records(grounded, "around")
    assert (report["objects"], report["objects_seen"]) == (6, 6)
    assert report["descriptions"] == 4
    assert report["descriptions_used"] == 3
    assert report["dropped_descriptions"] == {"describes an object that the scene does not have": 1}
    assert {"what": "descriptions", "count": 1, "scenes": 1, "first": SCENE}.items() <= next(
        row for row in report["losses"] if row["what"] == "descriptions"
    ).items()
    assert report["records_by_view"] == {"around": len(around), "scene": len(scene)}
    assert report["view_frames"] == sum(len(record) for record in ShardReader(grounded))
    shown = 0
    for record in ShardReader(grounded):
        for frame in range(len(record)):
            visible = set(np.unique(record.instances(frame))) - {0}
            shown += len(visible & {item.object_id + 1 for item in record.objects})
    assert report["instances"] == shown
    assert report["annotations"]["files"][0]["taken"] == 4


def test_a_scene_view_carries_the_descriptions_of_what_it_shows(grounded: Path) -> None:
    views = {record.scene_id: record for record in records(grounded, "scene")}
    assert [(item.object_id, item.ann_id) for item in descriptions(views[SCENE])] == [(1, "0"), (1, "1"), (2, "0")]
    assert descriptions(views["scene0001_00"]) == ()
    assert not any(item.unique for item in descriptions(views[SCENE]))  # two chairs


def test_the_chosen_frame_shows_the_most_of_the_object_by_counting_pixels(grounded: Path) -> None:
    (view,) = [record for record in records(grounded, "scene") if record.scene_id == SCENE]
    masks = [view.instances(frame) for frame in range(len(view))]
    centres = set()
    for item in descriptions(view):
        counts = [int((mask == item.object_id + 1).sum()) for mask in masks]
        target = next(other for other in view.objects if other.object_id == item.object_id)
        assert target.best_frame() == counts.index(max(counts))
        centres.add(view.frame_ids[counts.index(max(counts))])
    around = records(grounded, "around")
    assert {record.frame_ids[0] for record in around} == centres
    asked = [(item.object_id, item.ann_id) for record in around for item in descriptions(record)]
    assert sorted(asked) == [(1, "0"), (1, "1"), (2, "0")]


def test_a_view_around_a_frame_goes_on_with_its_neighbours_nearest_first(grounded: Path) -> None:
    for record in records(grounded, "around"):
        first = record.frame_ids[0]
        after = [first + step for step in range(10, 91, 10)]
        before = [first - step for step in range(10, 91, 10)]
        assert list(record.frame_ids) == [
            first,
            *(frame for frame in after + before if 0 <= frame < FRAMES and frame != LOST),
        ]
        assert record.key == f"{SCENE}-around-{first:05d}"


def test_the_aligned_box_is_that_of_the_aligned_vertices(grounded: Path, dataset: Path) -> None:
    mesh = trimesh.load(dataset / "scans" / SCENE / f"{SCENE}_vh_clean_2.ply", process=False)
    aligned = mesh.vertices @ ALIGN[:3, :3].T + ALIGN[:3, 3]
    per_object = np.split(aligned, [8, 16])
    for record in records(grounded, "scene"):
        for item in record.objects:
            points = per_object[item.object_id]
            low, high = points.min(axis=0), points.max(axis=0)
            assert item.aligned_box == pytest.approx([*(low + high) / 2, *(high - low)], abs=2e-6)


def test_a_grounding_answer_leads_back_to_the_aligned_box(grounded: Path) -> None:
    for record in records(grounded, "around"):
        asked = questions(record, "grounding_box", QuestionOptions(), np.random.default_rng(0))
        assert len(asked) == len(descriptions(record))
        for question, item in zip(asked, descriptions(record), strict=True):
            answer = grounding_box.parse(question.answer)
            assert isinstance(answer, grounding_box.BoxAnswer)
            box = box_of(answer.values, "extrinsic_zxy").transformed(aligned_camera(record, 0))
            target = next(other for other in record.objects if other.object_id == item.object_id)
            assert target.aligned_box is not None
            truth = OrientedBox(
                center=np.array(target.aligned_box[:3]), size=np.array(target.aligned_box[3:]), rotation=np.eye(3)
            )
            assert np.abs(box.corners - truth.corners).max() < 0.02  # two decimals of metres and radians


def test_the_build_is_sound_and_the_same_on_two_processes(
    grounded: Path, dataset: Path, sentences: Path, tmp_path: Path
) -> None:
    assert main(["verify", str(grounded), "--workers", "1"]) == 0
    overrides = [part for setting in GROUNDING for part in ("--set", setting)]
    words = ["build-shards", "--scannet", str(dataset), "--out", str(tmp_path / "out"), *overrides]
    assert main([*words, "--annotations", str(sentences), "--executor", "local", "--workers", "2"]) == 0
    for path in grounded.glob("shard-*"):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_changed_annotations_are_refused_with_the_scene_named(
    grounded: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_json(tmp_path / "ScanRefer_filtered_train.json", [sentence(SCENE, "2", "0")])
    assert build(dataset, grounded, GROUNDING, [other]) == 2
    assert f"the annotations of {SCENE} have changed" in capsys.readouterr().err
    assert build(dataset, grounded, GROUNDING, []) == 2
    assert f"the annotations of {SCENE} have changed" in capsys.readouterr().err


def test_training_on_what_is_evaluated_is_refused_unless_it_is_allowed(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claimed = write_json(tmp_path / "ScanRefer_filtered_val.json", [sentence(SCENE, "1", "0")])
    assert build(dataset, tmp_path / "out", GROUNDING, [claimed]) == 2
    message = (
        f"1 scene is both trained and evaluated on: {SCENE} is trained on by the data set (train) and evaluated on"
        " by ScanRefer_filtered_val.json (val); leave one of these out, or set annotations.allow_overlap = true"
    )
    assert message in capsys.readouterr().err
    allowed = [*GROUNDING, "annotations.allow_overlap=true"]
    assert build(dataset, tmp_path / "out", allowed, [claimed]) == 0
    (overlap,) = report_of(tmp_path / "out")["annotations"]["overlap"]
    assert overlap["scene_id"] == SCENE
    said = "note: 1 scene both trained and evaluated on, as annotations.allow_overlap allows: "
    assert said in capsys.readouterr().err


def test_a_record_says_whose_split_it_follows(dataset: Path, tmp_path: Path) -> None:
    claimed = write_embodiedscan(tmp_path / "embodiedscan_infos_val.pkl", [sample(SCENE)])
    settings = [SIZE, "scene_views.enabled=false", "clips.frames=2", "clips.interval=10", "annotations.splits=true"]
    assert build(dataset, tmp_path / "out", settings, [claimed]) == 0
    for record in ShardReader(tmp_path / "out"):
        assert (record.scene_id, record.split, record.split_origin) == (SCENE, "val", "embodiedscan_infos_val.pkl")
    assert report_of(tmp_path / "out")["records_by_split"].keys() == {"val"}


def boxes_of(record: Record) -> dict[int, OrientedBox]:
    return {
        item.object_id: OrientedBox(
            center=np.array(item.center), size=np.array(item.size), rotation=np.array(item.rotation)
        )
        for item in record.objects
    }


def test_embodiedscans_boxes_and_names_replace_the_meshs_where_they_meet(dataset: Path, tmp_path: Path) -> None:
    """Its numbers are its own: the box that meets object 1 is called 41 there; one more meets nothing."""
    center = transform(ALIGN, np.array([2, 0.6, 0.5]))
    instances = [
        {"bbox_3d": [*center, 0.6, 0.8, 1.0, -np.pi / 6, 0.0, 0.0], "bbox_label_3d": 2, "bbox_id": 41},
        {"bbox_3d": [9.0, 9.0, 1.0, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0], "bbox_label_3d": 2, "bbox_id": 42},
    ]
    named = sample(SCENE, {frame: [0] for frame in range(0, 40, 10)}, instances) | {"axis_align_matrix": ALIGN}
    claimed = write_embodiedscan(tmp_path / "embodiedscan_infos_train.pkl", [named])
    settings = [SIZE, "scene_views.enabled=false", "clips.frames=2", "clips.interval=10", "clips.max_shift=0"]
    settings += ["annotations.splits=true", "objects.source=embodiedscan"]
    assert build(dataset, tmp_path / "out", settings, [claimed]) == 0
    found = list(ShardReader(tmp_path / "out"))
    assert found
    for record in found:
        (item,) = record.objects
        assert (item.object_id, item.label, item.labels["embodiedscan"]) == (1, "chair", "chair")
        world = boxes_of(record)[1].transformed(record.camera_to_world[0])
        corners = sorted(map(tuple, np.round(world.corners, 4)))
        expected = trimesh.creation.box(extents=(0.6, 0.8, 1.0)).apply_translation((2, 0.6, 0.5)).vertices
        assert np.allclose(corners, sorted(map(tuple, expected)), atol=2e-3)
    notes = report_of(tmp_path / "out")["notes"]
    assert notes["embodiedscan_box_without_instance"] == 1
    assert notes["instance_without_embodiedscan_box"] == 2
    assert main(["verify", str(tmp_path / "out"), "--workers", "1"]) == 0


def test_somebodys_questions_come_with_exactly_their_frames_taken_by_raw_index(dataset: Path, tmp_path: Path) -> None:
    asked = [
        conversation("<image><image>What?", "A chair.", images([30, 3], SCENE), pixel_coords=[1, 64, 40]),
        conversation("<image><image>Where? frame", '{"frame": 0}', images([30, 3], SCENE)),
        conversation("<image>Detect the 3D bounding boxes.", "```json\n[\n\t\n]```", images([5], SCENE)),
        conversation("<image>Detect the 3D bounding boxes.", "```json\n[\n\t\n]```", images([LOST], SCENE)),
        conversation("<image>Detect the 3D bounding boxes.", "```json\n[\n\t\n]```", images([FRAMES], SCENE)),
    ]
    path = write_json(tmp_path / "scannet_recons_train_2frames.json", asked)
    settings = [SIZE, "clips.enabled=false", "scene_views.enabled=false", "annotations.conversations=true"]
    settings += ["annotations.splits=true", "prompts.per_view=0"]
    assert build(dataset, tmp_path / "out", settings, [path]) == 0
    found = {record.frame_ids: record for record in ShardReader(tmp_path / "out") if record.view == "clip"}
    assert {(30, 3), (5,)} <= found.keys()
    (talk,) = conversations(found[30, 3])
    assert (talk.question, talk.answer, talk.index) == ("<image><image>What?", "A chair.", 0)
    # Stored and native images are of one size here, and of one field of view.
    assert talk.mark == pytest.approx((1, 64, 40))
    report = report_of(tmp_path / "out")
    assert report["conversations"] == 5
    assert report["conversations_used"] == 3
    assert report["dropped_views"] == {"names_a_frame_without_a_pose": 2}
    assert report["dropped_conversations"] == {"its view could not be built": 2}
    assert main(["verify", str(tmp_path / "out"), "--workers", "1"]) == 0


def test_questions_about_frames_as_they_were_captured_are_left_out_where_the_recipe_turns_frames(
    tmp_path: Path,
) -> None:
    write_scene(tmp_path / "held" / SCENE, frames=FRAMES, upside_down=True)
    path = write_json(
        tmp_path / "scannet_recons_train_1frames.json",
        [conversation("<image>What?", "A chair.", images([3], SCENE), pixel_coords=[0, 40, 77])],
    )
    settings = [SIZE, "clips.enabled=false", "scene_views.enabled=false", "prompts.per_view=0"]
    settings += ["annotations.splits=true", "annotations.conversations=true"]
    assert build(tmp_path / "held", tmp_path / "turned", settings, [path]) == 0
    (record,) = ShardReader(tmp_path / "turned")
    assert (record.turned, conversations(record)) == (180, ())
    assert report_of(tmp_path / "turned")["notes"]["frames_turned_by_180"] == FRAMES
    assert report_of(tmp_path / "turned")["dropped_conversations"] == {
        "is about frames as they were captured, and the recipe turns them (frames.upright)": 1
    }
    assert build(tmp_path / "held", tmp_path / "kept", [*settings, "frames.upright=false"], [path]) == 0
    (record,) = ShardReader(tmp_path / "kept")
    assert (record.turned, len(conversations(record))) == (0, 1)


def test_a_scan_that_was_held_upside_down_gives_the_records_of_one_that_was_not(dataset: Path, tmp_path: Path) -> None:
    write_scene(tmp_path / "held" / SCENE, frames=FRAMES, lost=(LOST,), upside_down=True)
    settings = [SIZE, "clips.interval=3", "clips.step=9", "clips.max_shift=0"]
    assert build(tmp_path / "held", tmp_path / "out", settings, [], "--scenes", SCENE) == 0
    assert build(dataset, tmp_path / "expected", settings, [], "--scenes", SCENE) == 0
    pairs = list(zip(ShardReader(tmp_path / "out"), ShardReader(tmp_path / "expected"), strict=True))
    assert len(pairs) > 1
    for held, upright in pairs:
        assert (held.key, held.turned, upright.turned) == (upright.key, 180, 0)
        np.testing.assert_allclose(held.camera_to_world, upright.camera_to_world, atol=1e-6)
        np.testing.assert_allclose(held.intrinsics, upright.intrinsics)
        assert held.objects == upright.objects
        for frame in range(len(held)):
            np.testing.assert_array_equal(held.depth(frame), upright.depth(frame))
            np.testing.assert_array_equal(held.instances(frame), upright.instances(frame))


def test_a_mark_is_carried_to_the_same_place_of_a_smaller_image(dataset: Path, tmp_path: Path) -> None:
    path = write_json(
        tmp_path / "scannet_recons_train_1frames.json",
        [conversation("<image>What?", "A chair.", images([3], SCENE), pixel_coords=[0, 40, 77])],
    )
    settings = ["frames.image_size=[64,48]", "clips.enabled=false", "scene_views.enabled=false", "prompts.per_view=0"]
    settings += ["annotations.splits=true", "annotations.conversations=true"]
    assert build(dataset, tmp_path / "out", settings, [path]) == 0
    (record,) = ShardReader(tmp_path / "out")
    (talk,) = conversations(record)
    assert talk.mark == pytest.approx((0, (40 + 0.5) / 2 - 0.5, (77 + 0.5) / 2 - 0.5), abs=1e-3)
    assert (COLOR.width, record.image_size[0]) == (128, 64)


def test_views_of_the_paper_are_drawn_for_each_description_until_one_shows_the_object(
    dataset: Path, sentences: Path, tmp_path: Path
) -> None:
    """EmbodiedScan says that chair 1 is seen in frame 30 only, and chair 2 nowhere."""
    instances = [
        {
            "bbox_3d": [*transform(ALIGN, np.array(center)), *size, -np.pi / 6, 0, 0],
            "bbox_label_3d": 2,
            "bbox_id": 10 + n,
        }
        for n, (center, size) in enumerate([((2, 0.6, 0.5), (0.6, 0.8, 1.0)), ((2, -0.6, 0.45), (0.5, 0.5, 0.9))])
    ]
    named = sample(SCENE, {0: [], 10: [], 20: [], 30: [0]}, instances) | {"axis_align_matrix": ALIGN}
    claimed = write_embodiedscan(tmp_path / "embodiedscan_infos_train.pkl", [named])
    settings = [SIZE, "clips.enabled=false", "scene_views.frames=2", "scene_views.grid=10", "scene_views.rotate=true"]
    settings += ["scene_views.per_description=2", "around.enabled=true", "prompts.per_view=0"]
    words = [dataset, tmp_path / "out", settings, [sentences, claimed]]
    assert build(*words, "--scenes", SCENE) == 0  # type: ignore[arg-type]
    views = records(tmp_path / "out", "scene")
    assert len(views) == 4  # two sentences about chair 1, two views each
    assert [[(item.object_id, item.ann_id) for item in descriptions(view)] for view in views] == [
        [(1, "0")],
        [(1, "0")],
        [(1, "1")],
        [(1, "1")],
    ]
    assert all(30 in view.frame_ids and set(view.frame_ids) <= {0, 10, 20, 30} for view in views)
    report = report_of(tmp_path / "out")
    assert report["dropped_views"] == {"no_frame_shows_the_described_object": 4}
    assert report["descriptions"] == report["descriptions_used"] + sum(report["dropped_descriptions"].values()) == 4
    digest = hashlib.sha256((tmp_path / "out" / "shard-000000.tar").read_bytes()).hexdigest()
    assert build(dataset, tmp_path / "again", settings, [sentences, claimed], "--scenes", SCENE) == 0
    assert hashlib.sha256((tmp_path / "again" / "shard-000000.tar").read_bytes()).hexdigest() == digest


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("objects.source=embodiedscan", "needs EmbodiedScan's boxes, and no file has any for these scenes; name"),
        ("scene_views.per_description=1", "needs EmbodiedScan's boxes, and no file has any for these scenes; name"),
        (
            "annotations.conversations=true",
            "needs conversations, and no file has any for these scenes; name GAP-MLLM's",
        ),
    ],
)
def test_a_recipe_that_needs_a_file_says_which_before_any_work(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    assert build(dataset, tmp_path / "out", [SIZE, setting], []) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_scene_that_the_needed_file_leaves_out_is_quarantined(dataset: Path, tmp_path: Path) -> None:
    claimed = write_embodiedscan(tmp_path / "embodiedscan_infos_train.pkl", [sample(SCENE)])
    settings = [SIZE, "scene_views.enabled=false", "clips.interval=8", "objects.source=embodiedscan"]
    assert build(dataset, tmp_path / "out", settings, [claimed]) == 3
    (item,) = report_of(tmp_path / "out")["quarantined"]
    assert item["scene_id"] == "scene0001_00"
    assert item["problem"] == "has no boxes of EmbodiedScan, which the recipe asks for"


def test_the_best_proposal_of_each_object_rides_along(dataset: Path, sentences: Path, tmp_path: Path) -> None:
    aligned = [*transform(ALIGN, np.array([2, 0.6, 0.5])), 1.0, 1.0, 1.0]
    path = write_json(tmp_path / "scannet_train_pred_box.json", {f"scannet/{SCENE}": [[9, 9, 9, 1, 1, 1], aligned]})
    settings = [SIZE, "clips.enabled=false", "scene_views.frames=4", "prompts.per_view=0"]
    assert build(dataset, tmp_path / "out", settings, [sentences, path]) == 0
    (view,) = [record for record in records(tmp_path / "out", "scene") if record.scene_id == SCENE]
    item = next(item for item in view.objects if item.object_id == 1)
    assert item.proposal is not None
    back = transform(ALIGN @ view.camera_to_world[0], np.array(item.proposal["center"]))
    assert back == pytest.approx(aligned[:3], abs=1e-5)
    assert item.proposal["size"] == pytest.approx([1, 1, 1])
    assert 0 < item.proposal["iou"] < 1
