"""The annotation files that synthetic scans come with: true against the mesh, the images and the formats."""

from __future__ import annotations

import functools
import json
import pickle
import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.sources.scannet import ScanNetDataset
from gapdata.synthetic.dataset import SynthesisOptions, synthesise_dataset
from gapdata.synthetic.releases.facts import describe_scene
from gapdata.synthetic.releases.referrals import Referral, name_anchors
from gapdata.synthetic.releases.relations import Constraint, Room, margin
from gapdata.synthetic.releases.things import scene_things
from gapdata.synthetic.releases.vocabulary import EMBODIEDSCAN, NOUNS
from gapdata.synthetic.releases.wording import PLACES, tokens
from gapdata.synthetic.scene import Scene, build_scene
from gapdata.synthetic.trajectory import scan_poses
from tests.support.referral_truth import Truth
from tests.support.synthetic_truth import render_truth

OPTIONS = SynthesisOptions(
    scenes=3, frames=111, seed=4, color_size=(64, 48), depth_size=(32, 24), noise=0.0, lost_tracking=0.0,
    annotations=True,
)  # fmt: skip
TRAIN, HELD, VAL = "scene0000_00", "scene0001_00", "scene0002_00"
ROOMS = [0, 3, 5, *(pytest.param(index, marks=pytest.mark.slow) for index in (1, 2, 4))]
"""One of every kind: bedroom, kitchen, bathroom, and in full runs living room, office, classroom."""
cached_scene = functools.cache(build_scene)


@functools.cache
def described(seed: int, index: int) -> tuple[Scene, list[tuple[Referral, Any]]]:
    scene = cached_scene(seed, index)
    return scene, describe_scene(scene, scene_things(scene))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("annotated")
    synthesise_dataset(out, OPTIONS, workers=1)
    return out


@pytest.fixture(scope="module")
def folder(dataset: Path) -> Path:
    return dataset / "annotations"


def load(folder: Path, name: str) -> list[dict[str, Any]]:
    items = json.loads((folder / name).read_text())
    assert items
    return items


def infos(folder: Path, split: str) -> dict[str, Any]:
    content: dict[str, Any] = pickle.loads((folder / f"embodiedscan_infos_{split}.pkl").read_bytes())  # noqa: S301
    assert set(content) == {"metainfo", "data_list"}
    return content


def fenced(item: dict[str, Any]) -> Any:
    text = item["conversations"][1]["value"]
    assert (text.startswith("```json\n") and text.endswith("\n```")) or text.endswith("]```")
    return json.loads(text.removeprefix("```json").removesuffix("```"))


def upright(box: list[float]) -> NDArray[np.float64]:
    """Corners (8, 3) of nine numbers with R = Rz(a) Rx(b) Ry(c), multiplied out."""
    return nine_corners(box, lambda rz, rx, ry: rz @ rx @ ry)


def nine_corners(box: list[float], product: Any) -> NDArray[np.float64]:
    a, b, c = box[6:]
    rz = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    rx = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    ry = np.array([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
    return signs * np.array(box[3:6]) @ product(rz, rx, ry).T + np.array(box[:3])


def camera_corners(box: list[float]) -> NDArray[np.float64]:
    """Corners of nine numbers with R = Ry(c) Rx(b) Rz(a)."""
    return nine_corners(box, lambda rz, rx, ry: ry @ rx @ rz)


def aligned_vertices(index: int) -> tuple[Scene, NDArray[np.float64]]:
    scene = cached_scene(OPTIONS.seed, index)
    return scene, transform(scene.axis_alignment, scene.mesh.vertices)


@pytest.mark.parametrize("index", ROOMS)
def test_every_description_fits_exactly_one_object_of_the_true_scene(index: int) -> None:
    scene, found = described(0, index)
    truth = Truth(scene)
    assert len(found) >= 40
    for referral, description in found:
        family = truth.family(referral)
        fitting = [k for k in family if all(truth.fits(c, k, family) for c in referral.constraints)]
        assert fitting == [referral.target], description.text
        assert all(truth.fits(c, referral.target, family) for c in referral.details), description.text
        assert scene.labels[referral.target] in referral.noun.family
        if referral.count:
            assert Counter(scene.labels)[scene.labels[referral.target]] == referral.count == len(family)
        for constraint in (*referral.constraints, *referral.details):
            for anchor in constraint.anchors:
                nouns = next(n for words in NOUNS.values() for n in words if n.word == anchor.word)
                meant = [k for k, label in enumerate(scene.labels) if label in nouns.family]
                said = Constraint(relation="color", value=anchor.color)
                assert [k for k in meant if not anchor.color or truth.fits(said, k, meant)] == [anchor.object_id]


@pytest.mark.parametrize("index", ROOMS)
def test_sentences_say_what_their_reference_holds_in_plain_english(index: int) -> None:
    _, found = described(0, index)
    assert len({d.text for _, d in found}) == len(found)
    for referral, description in found:
        text = description.text
        assert text == text.lower()
        assert text.endswith(".")
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|  | ,|\.\.|\{|\}", text), text
        assert referral.noun.word in text or referral.noun.plural in text
        for constraint in (*referral.constraints, *referral.details):
            assert all(anchor.word in text and anchor.color in text for anchor in constraint.anchors)
            if constraint.relation in ("color", "material"):
                assert constraint.value in text
            elif constraint.relation in PLACES:
                stems = [phrase.split("{")[0] for phrase in PLACES[constraint.relation]]
                assert any(stem in text for stem in stems), text
        assert "".join(tokens(text)) == text.replace(" ", "")


@pytest.mark.parametrize("index", [0, 3])
def test_nothing_is_clearly_on_both_sides_or_clearly_so_and_not_so(index: int) -> None:
    scene = cached_scene(0, index)
    room = Room(things=scene_things(scene), corners=scene.plan.corners)
    for left, right in (("left_of", "right_of"), ("enter_left", "enter_right"), ("above", "below")):
        for anchor in name_anchors(room).values():
            for subject in range(len(scene.labels)):
                one, other = (
                    margin(room, Constraint(relation=name, anchors=(anchor,)), subject, ()) for name in (left, right)
                )
                assert not (one >= 1 and other > -1 and left != "above"), (left, anchor, subject)
                assert not (one >= 1 and other >= 1)


def test_descriptions_are_varied() -> None:
    relations = Counter(c.relation for index in (0, 3, 5) for r, _ in described(0, index)[1] for c in r.constraints)
    assert len(relations) >= 12
    openings = Counter(" ".join(d.text.split()[:2]) for index in (0, 3, 5) for _, d in described(0, index)[1])
    assert len(openings) >= 10


def test_scanrefer_lists_every_description_with_its_tokens(folder: Path, dataset: Path) -> None:
    opened = ScanNetDataset.open(dataset)
    scenes = {"train": {TRAIN, HELD}, "val": {VAL}}
    for split, members in scenes.items():
        items = load(folder, f"ScanRefer_filtered_{split}.json")
        assert {item["scene_id"] for item in items} == members
        for item in items:
            assert set(item) == {"scene_id", "object_id", "object_name", "ann_id", "description", "token"}
            assert item["ann_id"] in "01234"
            assert " " not in item["object_name"]
        keys = Counter((item["scene_id"], item["object_id"], item["ann_id"]) for item in items)
        assert set(keys.values()) == {1}
        for scene_id in members:
            with opened.open_scan(scene_id) as scan:
                annotation = scan.annotation()
                assert annotation is not None
                labels = {str(o.object_id): o.label for o in annotation.objects}
            mine = [item for item in items if item["scene_id"] == scene_id]
            assert all(labels[item["object_id"]].replace(" ", "_") == item["object_name"] for item in mine)


def test_embodiedscan_splits_are_carved_from_those_of_scannet(folder: Path, dataset: Path) -> None:
    assert (dataset / "scannetv2_train.txt").read_text().split() == [TRAIN, HELD]
    found = {split: [s["sample_idx"] for s in infos(folder, split)["data_list"]] for split in ("train", "val", "test")}
    assert found == {"train": [f"scannet/{TRAIN}"], "val": [f"scannet/{HELD}"], "test": [f"scannet/{VAL}"]}
    assert b"gapdata" not in (folder / "embodiedscan_infos_train.pkl").read_bytes()


def test_embodiedscan_boxes_hold_their_objects_tightly(folder: Path) -> None:
    content = infos(folder, "train")
    names = {number: name for name, number in content["metainfo"]["categories"].items()}
    scene, vertices = aligned_vertices(0)
    (sample,) = content["data_list"]
    assert sorted(i["bbox_id"] for i in sample["instances"]) == list(range(len(scene.labels)))
    assert [i["bbox_id"] for i in sample["instances"]] != list(range(len(scene.labels)))
    for instance in sample["instances"]:
        points = vertices[scene.vertex_object == instance["bbox_id"]]
        assert names[instance["bbox_label_3d"]] == EMBODIEDSCAN[scene.labels[instance["bbox_id"]]]
        a, b, c = instance["bbox_3d"][6:]
        assert (b, c) == (0, 0)
        assert -np.pi < a <= np.pi
        local = (points - instance["bbox_3d"][:3]) @ np.array(
            [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
        )
        np.testing.assert_allclose(np.abs(local).max(axis=0), np.array(instance["bbox_3d"][3:6]) / 2, atol=1e-9)


def test_visible_instances_are_those_that_the_rays_hit(folder: Path) -> None:
    (sample,) = infos(folder, "train")["data_list"]
    scene = cached_scene(OPTIONS.seed, 0)
    ids = [int(image["img_path"][-9:-4]) for image in sample["images"]]
    assert ids == sorted(set(ids))
    assert all(k % 10 == 0 for k in ids)
    assert 8 <= len(ids) <= 13
    poses = scan_poses(scene, OPTIONS.frames)
    for frame, image in list(zip(ids, sample["images"], strict=True))[::4]:
        assert image["img_path"] == f"scannet/posed_images/{TRAIN}/{frame:05d}.jpg"
        np.testing.assert_allclose(image["cam2global"], poses[frame], atol=6e-7)
        seen = render_truth(TRAIN, OPTIONS, frame, scene=scene).object_ids
        listed = {sample["instances"][k]["bbox_id"] for k in image["visible_instance_ids"]}
        assert listed == set(np.unique(seen[seen >= 0]).tolist())


def test_frames_without_a_pose_are_in_no_list(tmp_path: Path) -> None:
    options = SynthesisOptions(
        scenes=1, frames=31, color_size=(16, 16), depth_size=(16, 16), lost_tracking=0.9, seed=2, annotations=True
    )
    synthesise_dataset(tmp_path, options, workers=1)
    (sample,) = infos(tmp_path / "annotations", "train")["data_list"]
    with ScanNetDataset.open(tmp_path).open_scan(TRAIN) as scan:
        usable = [k for k in range(0, 31, 10) if np.isfinite(scan.camera_to_world[k]).all()]
    assert [int(image["img_path"][-9:-4]) for image in sample["images"]] == usable
    assert len(usable) < 4
    assert json.loads((tmp_path / "annotations" / "scannet_det_train_4frames.json").read_text()) == []


def test_detection_answers_are_true_boxes_in_the_first_camera(folder: Path) -> None:
    for split, index in (("train", 0), ("val", 1)):
        scene = cached_scene(OPTIONS.seed, index)
        items = load(folder, f"scannet_det_{split}_4frames.json")
        assert len(items) <= 10
        (sample,) = infos(folder, split)["data_list"]
        poses = {image["img_path"][-22:]: image for image in sample["images"]}
        for item in items:
            frames = [int(name[-9:-4]) for name in item["images"]]
            assert np.diff(frames).tolist() == [30, 30, 30]
            question = item["conversations"][0]["value"]
            assert question.count("<image>") == 4
            assert question.startswith("<image>" * 4 + "Detect the 3D bounding boxes")
            assert ("cam2global" in item) == (split == "val")
            first = np.linalg.inv(scene.axis_alignment @ poses[item["images"][0]]["cam2global"])
            answer = fenced(item)
            assert [a["label"] for a in answer] == [b["label"] for b in item["boxes"]]
            seen = {k for name in item["images"] for k in poses[name]["visible_instance_ids"]}
            kept = [sample["instances"][k]["bbox_id"] for k in seen]
            assert len(answer) == sum(scene.labels[k] not in ("wall", "floor", "ceiling") for k in kept)
            in_reference = set(poses[item["images"][0]]["visible_instance_ids"])
            assert sum(b["in_reference"] for b in item["boxes"]) == sum(
                scene.labels[sample["instances"][k]["bbox_id"]] not in ("wall", "floor", "ceiling")
                for k in in_reference
            )
            truths = [upright(i["bbox_3d"]) for i in sample["instances"] if i["bbox_id"] in kept]
            for short, box in zip(answer, item["boxes"], strict=True):
                np.testing.assert_allclose(short["bbox_3d"], box["bbox_3d"], atol=0.005001)
                corners = transform(np.linalg.inv(first), camera_corners(box["bbox_3d"]))
                assert min(np.abs(corners - other).max() for other in truths) < 5e-6


def test_marked_pixels_show_the_named_object_at_the_point(folder: Path) -> None:
    scene = cached_scene(OPTIONS.seed, 0)
    poses = np.round(scan_poses(scene, OPTIONS.frames), 6)
    for item in load(folder, "scannet_recons_train_4frames.json")[::4]:
        view, u, v = item["pixel_coords"]
        frames = [int(name[-9:-4]) for name in item["images"]]
        truth = render_truth(TRAIN, OPTIONS, frames[view], scene=scene)
        answer = fenced(item)
        assert answer["label"] == EMBODIEDSCAN[scene.labels[truth.object_ids[v, u]]]
        expected = transform(np.linalg.inv(poses[frames[0]]), truth.points[v, u].astype(np.float64))
        np.testing.assert_allclose(answer["pointmap"], expected, atol=0.0051)
        assert "\n" not in item["conversations"][1]["value"].removeprefix("```json\n").removesuffix("\n```")


def test_grounding_answers_lead_back_to_the_described_box(folder: Path, dataset: Path) -> None:
    first = load(folder, "scanrefer_val_32frames_stage1.json")
    second = load(folder, "scanrefer_val_32frames_stage2.json")
    (sample,) = infos(folder, "test")["data_list"]
    exists = {f"{VAL}/{image['img_path'][-9:]}": image for image in sample["images"]}
    with ScanNetDataset.open(dataset).open_scan(VAL) as scan:
        annotation = scan.annotation()
        assert annotation is not None
        assert scan.axis_alignment is not None
        vertices = transform(scan.axis_alignment, annotation.vertices.astype(np.float64))
        owner = annotation.vertex_object_ids()
    said = {(i["object_id"], i["ann_id"]): i["description"] for i in load(folder, "ScanRefer_filtered_val.json")}
    for one, two in zip(first, second, strict=True):
        data = one["metadata"]
        assert one["metadata"] == two["metadata"]
        assert said[data["object_id"], data["ann_id"]].capitalize() in one["prompt"]
        assert one["conversations"][0]["value"].startswith("Frame-0: <image>Frame-1: <image>")
        chosen = one["images"][fenced(one)["frame"]]
        assert two["images"][0] == chosen
        assert len(two["images"]) == two["conversations"][0]["value"].count("<image>")
        raw = int(chosen[-9:-4])
        around = [raw + d for d in (*range(10, 91, 10), *range(-10, -91, -10))]
        names = [f"{VAL}/{k:05d}.jpg" for k in around]
        assert two["images"][1:] == [name for name in names if name in exists]
        points = vertices[owner == int(data["object_id"])]
        low, high = points.min(axis=0), points.max(axis=0)
        np.testing.assert_allclose(one["gt_bbox"][:6], [*(low + high) / 2, *(high - low)], atol=1e-5)
        ids = {sample["instances"][k]["bbox_id"] for k in exists[chosen]["visible_instance_ids"]}
        assert int(data["object_id"]) in ids
        to_aligned = np.array(two["axis_align_matrix"]) @ np.array(two["cam2global"][0])
        back = transform(to_aligned, camera_corners(fenced(two)["bbox_3d"]))
        assert np.abs(back.min(axis=0) - low).max() < 0.06
    train = load(folder, "scanrefer_train_32frames_stage1.json")
    counts = Counter((i["metadata"]["scene_id"], i["metadata"]["object_id"], i["metadata"]["ann_id"]) for i in train)
    assert set(counts.values()) == {2}
    assert any(i["images"] != sorted(i["images"]) for i in train)
    kinds = {i["metadata"]["question_type"] for i in train}
    assert kinds == {"unique", "multiple"}


def test_captions_ask_for_the_centre_that_they_describe(folder: Path) -> None:
    for split in ("train", "val"):
        for item in load(folder, f"scan2cap_{split}_32frames.json"):
            where = json.loads(re.search(r"\[.*\]", item["conversations"][0]["value"])[0])  # type: ignore[index]
            assert len(where) == 3
            assert len(item["input_box"]) == len(item["gt_box"]) == 6
            assert item["conversations"][1]["value"][0].isupper() or item["conversations"][1]["value"][0].isdigit()
            if split == "train":
                assert item["input_box"] == item["gt_box"]
                assert item["iou"] == 1.0
                continue
            assert item["conversations"][1]["value"] == item["annotations"][0].capitalize()
            to_aligned = np.array(item["axis_align_matrix"]) @ np.array(item["cam2global"][0])
            np.testing.assert_allclose(transform(to_aligned, np.array(where)), item["input_box"][:3], atol=0.01)
            assert 0 <= item["iou"] <= 1
    val = load(folder, "scan2cap_val_32frames.json")
    assert len({i["metadata"]["object_id"] for i in val}) == len(val)
    assert np.mean([i["iou"] > 0.5 for i in val]) > 0.6


def test_proposals_are_sparse_matrices_over_the_mesh_that_mostly_find_the_objects(folder: Path) -> None:
    for index, (scene_id, split, form) in enumerate(((TRAIN, "train", b"csr"), (HELD, "train", b"csc"))):
        scene, vertices = aligned_vertices(index)
        with zipfile.ZipFile(folder / "mask" / f"{scene_id}.mask.npz") as archive:
            assert sorted(archive.namelist()) == ["data.npy", "format.npy", "indices.npy", "indptr.npy", "shape.npy"]
        with np.load(folder / "mask" / f"{scene_id}.mask.npz", allow_pickle=False) as file:
            assert file["format"].item() == form
            masks = np.zeros(file["shape"], dtype=bool)
            lines = masks if form == b"csr" else masks.T
            rows = np.repeat(np.arange(len(file["indptr"]) - 1), np.diff(file["indptr"]))
            lines[rows, file["indices"]] = file["data"] == 1
        assert masks.shape[1] == len(vertices)
        boxes = json.loads((folder / f"scannet_{split}_pred_box.json").read_text())[f"scannet/{scene_id}"]
        assert len(boxes) == min(50, len(masks))
        for mask, box in zip(masks, boxes, strict=False):
            low, high = vertices[mask].min(axis=0), vertices[mask].max(axis=0)
            np.testing.assert_allclose(box, [*(low + high) / 2, *(high - low)], atol=1e-6)
        things = [k for k, label in enumerate(scene.labels) if label not in ("wall", "floor", "ceiling", "doorframe")]
        overlaps = np.array(
            [[(m & (scene.vertex_object == k)).sum() / (m | (scene.vertex_object == k)).sum() for m in masks]
             for k in things]
        )  # fmt: skip
        assert 0.6 < (overlaps.max(axis=1) > 0.5).mean() <= 1
        assert (overlaps.max(axis=0) < 0.3).any()


def test_images_of_all_files_exist_in_the_scans(folder: Path, dataset: Path) -> None:
    opened = ScanNetDataset.open(dataset)
    named = {
        name
        for path in folder.glob("*frames*.json")
        for item in json.loads(path.read_text())
        for name in item["images"]
    }
    for scene_id in (TRAIN, HELD, VAL):
        with opened.open_scan(scene_id) as scan:
            valid = {k for k in range(OPTIONS.frames) if np.isfinite(scan.camera_to_world[k]).all()}
        mine = {int(name[-9:-4]) for name in named if name.startswith(scene_id)}
        assert mine
        assert mine <= valid
        assert all(k % 10 == 0 for k in mine)


def test_the_overlap_of_turned_boxes_is_that_of_their_octagon() -> None:
    from gapdata.geometry.boxes import OrientedBox
    from gapdata.synthetic.releases.grounding import box_iou

    square = OrientedBox(center=np.zeros(3), size=np.array([1.0, 1.0, 1.0]), rotation=np.eye(3))
    c = np.sqrt(0.5)
    turned = OrientedBox(center=np.zeros(3), size=np.ones(3), rotation=np.array([[c, -c, 0], [c, c, 0], [0, 0, 1.0]]))
    shared = 2 * (np.sqrt(2) - 1)
    assert box_iou(square, turned) == pytest.approx(shared / (2 - shared), abs=1e-5)
