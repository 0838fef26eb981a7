"""The sound files that the cases damage: one folder of them, written once for a campaign."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gapdata.annotations.bundle import gather
from gapdata.engine.driver import run_build
from gapdata.engine.executors.inline import InlineExecutor
from gapdata.engine.recipe import read_recipe
from gapdata.engine.request import BuildRequest
from gapdata.geometry.camera import Intrinsics
from gapdata.records.codec import encode_jpeg, encode_png
from gapdata.records.schema import Prompt, ViewObject
from gapdata.synthetic.sens_writer import SensWriter
from tests.fuzz.arkit_targets import write_arkit_seed
from tests.fuzz.capture_targets import write_stray_seed
from tests.fuzz.format_seeds import write_format_seeds
from tests.fuzz.listed_targets import write_listed_seeds
from tests.fuzz.room_targets import write_matterport_seed, write_threerscan_seed
from tests.fuzz.scannetpp_targets import write_scannetpp_seed
from tests.records.test_records import make_record
from tests.support.annotation_records import (
    conversation,
    detection,
    images,
    sample,
    sentence,
    sparse_members,
    write_embodiedscan,
    write_npz,
)
from tests.support.executors import request_for

COLOR = Intrinsics(fx=38.0, fy=38.0, cx=19.5, cy=14.5, width=40, height=30)
DEPTH = Intrinsics(fx=19.0, fy=19.0, cx=9.5, cy=7.0, width=20, height=15)
SCENE = "scene0000_00"
BUILD_SETTINGS = (
    *("frames.image_size=[64,48]", "clips.frames=2", "clips.interval=3", "clips.step=4", "clips.max_shift=1"),
    *("scene_views.frames=3", "prompts.spacing=4", "prompts.border=1", "shards.scenes_per_shard=1"),
)


def write_seeds(folder: Path, dataset: Path) -> None:
    """Write all seeds below ``folder``, among them a build of two scenes of a ScanNet-like ``dataset``."""
    folder.mkdir(parents=True, exist_ok=True)
    _sens(folder)
    _annotations(folder)
    _record(folder)
    _masks(folder / f"{SCENE}_2d-instance-filt.zip")
    _frames(folder / "frames")
    write_arkit_seed(folder / "arkit")
    write_stray_seed(folder / "stray")
    write_listed_seeds(folder / "listed")
    write_scannetpp_seed(folder / "scannetpp")
    write_format_seeds(folder / "formats")
    write_threerscan_seed(folder / "threerscan")
    write_matterport_seed(folder / "matterport")
    for path in sorted((dataset / "scans" / SCENE).iterdir()):
        if path.suffix != ".sens":
            (folder / path.name).write_bytes(path.read_bytes())
    request = request_for(dataset, folder / "build")
    small = BuildRequest(
        dataset=request.dataset,
        out=folder / "build",
        recipe=read_recipe(None, BUILD_SETTINGS),
        scene_ids=request.scene_ids[:2],
    )
    run_build(small, InlineExecutor())


def _picture(seed: int, size: tuple[int, int] = (40, 30)) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    return cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)


def _depth(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5000, (15, 20)).astype(np.uint16)


def _sens(folder: Path) -> None:
    for name, color, depth in (("jpeg", "jpeg", "zlib"), ("raw", "raw", "raw"), ("png", "png", "zlib")):
        path, cameras = folder / f"{name}.sens", {"color_intrinsics": COLOR, "depth_intrinsics": DEPTH}
        with SensWriter(path, **cameras, color_compression=color, depth_compression=depth) as writer:  # type: ignore[arg-type]
            for frame in range(3):
                picture = _picture(frame)
                encoded = picture.tobytes() if color == "raw" else cv2.imencode(f".{color}", picture)[1].tobytes()
                writer.write(color=encoded, depth=_depth(frame), camera_to_world=np.eye(4))


def conversations() -> list[Any]:
    """One item of each kind that GAP-MLLM's and VG-LLM's files hold."""
    box = [0.5, 0.1, 2.0, 0.4, 0.5, 0.6, 0.1, 0.2, 0.3]
    cameras = {"cam2global": [np.eye(4).tolist()] * 2, "axis_align_matrix": np.eye(4).tolist()}
    cameras["cam2img"] = np.eye(3).tolist()
    paths = images([0, 30])
    return [
        detection([("chair", box), ("table", box)], [0, 30], **cameras),
        detection([("lamp", box)], [60, 90]),
        conversation('<image><image>What?\n"pointmap"', '{"pointmap": [1, 2, 3]}', paths, pixel_coords=[1, 20, 30]),
        conversation("<image><image>Where?", json.dumps({"frame": 1, "bbox_3d": box}), paths, **cameras),
        conversation("<image><image>Where?", '{"frame": 1}', paths, metadata={"ann_id": "3"}, target=4),
        conversation(
            "<image><image>describe the object located at [1, 2, 3]", "A chair.", paths, input_box=box[:6], iou=0.7
        ),
    ]


def descriptions() -> list[Any]:
    """Items of ScanRefer."""
    return [sentence(), sentence(ann_id="1"), sentence(object_id=7), sentence("scene0001_00", "4", "0")]


def proposals() -> dict[str, Any]:
    """Mask3D's boxes."""
    return {f"scannet/{SCENE}": [[0, 0, 0, 1, 1, 1.5], [1, 2, 3, 0.5, 0.5, 1]], "scannet/scene0001_00": []}


def embodied() -> dict[str, Any]:
    """The content of an ``embodiedscan_infos_*.pkl``."""
    return {
        "metainfo": {"categories": {"wall": 1, "chair": 2, "couch": 3}},
        "data_list": [sample(), sample("scene0001_00", {0: [0]}), sample("x", data_set="3rscan")],
    }


def _annotations(folder: Path) -> None:
    for protocol in (2, 4, 5):
        samples = embodied()["data_list"]
        write_embodiedscan(folder / f"embodiedscan_infos_{protocol}_val.pkl", samples, protocol=protocol)
    (folder / "conversations_train.json").write_text(json.dumps(conversations()))
    (folder / "conversations.jsonl").write_text("".join(json.dumps(item) + "\n" for item in conversations()))
    (folder / "ScanRefer_filtered_val.json").write_text(json.dumps(descriptions(), indent=2))
    (folder / "scannet_val_pred_box.json").write_text(json.dumps(proposals()))
    dense = np.random.default_rng(0).random((3, 12)) < 0.4
    for form in ("csr", "csc", "coo"):
        write_npz(folder / f"{form}.mask.npz", sparse_members(dense, form))
    named = ("embodiedscan_infos_4_val.pkl", "ScanRefer_filtered_val.json", "conversations_train.json")
    gathered = gather([folder / name for name in (*named, "scannet_val_pred_box.json")])
    (folder / "annotations.json").write_bytes(gathered.scenes[SCENE].to_json())
    columns = ("id", "raw_category", "category", "nyu40id", "nyu40class")
    rows = [
        columns,
        ("1", "wall", "wall", "1", "wall"),
        ("2", "office chair", "chair", "5", "chair"),
        ("363", "furnace"),
    ]
    (folder / "labels.tsv").write_text("\r\n".join("\t".join(row) for row in rows), newline="")


def npz_members() -> dict[str, bytes]:
    """The members of a mask file, to be damaged one by one."""
    return sparse_members(np.random.default_rng(0).random((3, 12)) < 0.4, "csr")


def forged_npy(rng: np.random.Generator) -> bytes:
    """An ``.npy`` whose header claims what its bytes are not."""
    descr = ("<f8", "<i4", "|O", "<U9", "|V8", "|S3", "<f4", "[('a', 'O')]", "<m8[s]", "|b1", "<c16")
    shape = (
        "()",
        "(3,)",
        "(-1,)",
        "(1099511627776,)",
        "(2, 3)",
        "(0,)",
        "(4611686018427387904, 4)",
        "('x',)",
        "(1.5,)",
    )
    kind, sides = descr[int(rng.integers(len(descr)))], shape[int(rng.integers(len(shape)))]
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {sides}, }}"
    header = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + rng.bytes(int(rng.integers(40)))


def _record(folder: Path) -> None:
    """A record of two frames with all members, as files."""
    item = ViewObject(
        object_id=3, label="chair", labels={"raw": "chair"}, center=(0.0, 0.0, 1.0), size=(1.0, 1.0, 1.0),
        rotation=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), visible_pixels=(3, 4),
        aligned_box=(0.0, 0.0, 0.0, 1.0, 1.0, 1.0),
        proposal={"center": [0, 0, 1], "size": [1, 1, 1], "rotation": np.eye(3).tolist(), "iou": 0.5},
    )  # fmt: skip
    prompt = Prompt(index=1, frame=1, pixel=(3, 4), point=(0.0, 1.0, 2.0), object_id=3, label="chair")
    said = {
        "kind": "description",
        "object_id": 3,
        "ann_id": "0",
        "object_name": "chair",
        "text": "a chair",
        "unique": True,
    }
    talk = {"kind": "conversation", "task": "det", "question": "<image><image>q", "answer": "a", "mark": [0, 1.0, 2.0]}
    record = make_record(
        objects=(item,),
        prompts=(prompt,),
        expressions=(said, {**talk, "source": "x.json", "index": 0}),
        axis_alignment=np.eye(4),
        quality={"valid_depth": [0.5, 0.6], "sharpness": [0.1, 0.2], "misalignment": 0.01},
    )
    (folder / "record").mkdir()
    (folder / "record" / "json").write_bytes(record.to_json())
    for name, data in record.members.items():
        (folder / "record" / name).write_bytes(data)


def _masks(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("instance-filt/", b"")
        for frame in range(3):
            mask = np.random.default_rng(frame).integers(0, 5, (30, 40)).astype(np.uint8)
            archive.writestr(f"instance-filt/{frame}.png", encode_png(mask))


def _frames(folder: Path) -> None:
    """An extracted RGB-D folder."""
    for name in ("color", "depth", "pose"):
        (folder / name).mkdir(parents=True)
    for frame in range(3):
        (folder / "color" / f"{frame}.jpg").write_bytes(encode_jpeg(_picture(frame), 90))
        (folder / "depth" / f"{frame}.png").write_bytes(encode_png(_depth(frame)))
        buffer = io.StringIO()
        np.savetxt(buffer, np.eye(4), fmt="%.6f")
        (folder / "pose" / f"{frame}.txt").write_text(buffer.getvalue())
    cameras = {"fx": 38.0, "fy": 38.0, "cx": 19.5, "cy": 14.5, "width": 40, "height": 30, "depth_scale": 1000}
    (folder / "intrinsics.json").write_text(json.dumps(cameras))


def forged_zip_member(name: str, data: bytes) -> bytes:
    """A zip of one member."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()
