"""Make a scene's files besides the frames in ScanNet's formats: mesh, segments, aggregation, meta, 2D masks."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.synthetic.categories import CATEGORIES
from gapdata.synthetic.scene import Scene
from gapdata.synthetic.sensor import tone_table

SEGMENT_CELL = 0.7  # m, the largest extent of a segment of the over-segmentation
UNANNOTATED_SHARE = 0.012  # of an object's segments, missed by its annotator


def ply_bytes(scene: Scene) -> bytes:
    """Return the coloured mesh as a binary PLY: x y z, red green blue alpha, faces as counted int lists."""
    mesh = scene.mesh
    emission = np.array([m.emission for m in scene.palette.materials])[mesh.vertex_material]
    light = scene.albedo * (scene.irradiance + emission[:, None])
    exposure = 0.30 / max(float(np.minimum(light, 5 * np.median(light)).mean()), 1e-3)
    table = tone_table()
    colors = table[np.clip(np.sqrt(light * exposure / 4) * (len(table) - 1), 0, len(table) - 1).astype(int)]
    vertex = np.zeros(len(mesh.vertices), dtype=[("position", "<f4", 3), ("color", "u1", 4)])
    vertex["position"], vertex["color"][:, :3], vertex["color"][:, 3] = mesh.vertices, colors, 255
    face = np.zeros(len(mesh.faces), dtype=[("count", "u1"), ("indices", "<i4", 3)])
    face["count"], face["indices"] = 3, mesh.faces
    header = [
        *("ply", "format binary_little_endian 1.0", "comment synthetic scan", f"element vertex {len(vertex)}"),
        *(f"property float {name}" for name in "xyz"),
        *(f"property uchar {name}" for name in ("red", "green", "blue", "alpha")),
        *(f"element face {len(face)}", "property list uchar int vertex_indices", "end_header", ""),
    ]
    return "\n".join(header).encode("ascii") + vertex.tobytes() + face.tobytes()


def segment_ids(scene: Scene) -> NDArray[np.int64]:
    """Return the segment of every vertex, (V,): smooth pieces of one object, cut where they are larger than a cell.

    An id is the lowest vertex of its segment, as the disjoint sets of ScanNet's segmentator give it: not contiguous.
    """
    mesh = scene.mesh
    cell = np.floor(mesh.vertices / SEGMENT_CELL).astype(np.int64)
    facing = np.argmax(np.abs(mesh.normals), axis=1) * 2 + (mesh.normals.sum(axis=1) > 0)
    # Faces of one small part (a leg, a book) stay together; the sides of large ones part where their normals turn.
    columns = [scene.vertex_object, mesh.part // 6, facing, *(cell - cell.min(axis=0)).T]
    key = np.zeros(len(cell), dtype=np.int64)
    for column in columns:
        key = key * (int(column.max()) + 2) + column + 1
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return first[inverse]


def segments_json(scene: Scene, segments: NDArray[np.int64]) -> bytes:
    """Return the content of ``_vh_clean_2.0.010000.segs.json``."""
    params = {"kThresh": "0.0001", "segMinVerts": "20", "minPoints": "750", "maxPoints": "30000", "thinThresh": "0.05"}
    content = {"params": params, "sceneId": scene.scene_id, "segIndices": segments.tolist()}
    return json.dumps(content, separators=(",", ":")).encode()


def aggregation_json(scene: Scene, segments: NDArray[np.int64], rng: Generator) -> bytes:
    """Return the content of ``.aggregation.json``: every object with its segments, but for a few that were missed."""
    groups = []
    for object_id, label in enumerate(scene.labels):
        mine = np.unique(segments[scene.vertex_object == object_id])
        kept = mine[rng.random(len(mine)) >= UNANNOTATED_SHARE] if len(mine) > 8 else mine
        groups.append({"id": object_id, "objectId": object_id, "segments": kept.tolist(), "label": label})
    content = {
        "sceneId": f"scannet.{scene.scene_id}", "appId": "Aggregator.v2", "segGroups": groups,
        "segmentsFile": f"scannet.{scene.scene_id}_vh_clean_2.0.010000.segs.json",
    }  # fmt: skip
    return json.dumps(content, separators=(",", ":")).encode()


def meta_text(scene: Scene, color: Intrinsics, depth: Intrinsics, frames: int, imu: int, *, annotated: bool) -> str:
    """Return the content of ``<scene>.txt``; alignment and scene type are annotation, which test scans lack."""
    matrices = {"colorToDepthExtrinsics": np.eye(4), **({"axisAlignment": scene.axis_alignment} if annotated else {})}
    values = {name: " ".join(f"{v:.6f}" for v in matrix.reshape(-1)) + " " for name, matrix in matrices.items()}
    for name, camera in (("color", color), ("depth", depth)):
        values |= {f"{name}Height": str(camera.height), f"{name}Width": str(camera.width)}
        numbers = {"fx": camera.fx, "fy": camera.fy, "mx": camera.cx, "my": camera.cy}
        values |= {f"{key}_{name}": f"{number:.6f}" for key, number in numbers.items()}
        values[f"num{name.capitalize()}Frames"] = str(frames)
    values["numIMUmeasurements"] = str(imu)
    if annotated:
        values["sceneType"] = scene.scene_type
    return "".join(f"{key} = {value}\n" for key, value in sorted(values.items()))


class MaskArchives:
    """The two zips of 2D projections, filled frame by frame; their bytes depend on their content alone."""

    def __init__(self, scene: Scene) -> None:
        self._files = {name: io.BytesIO() for name in ("instance", "label")}
        self._zips = {name: zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) for name, file in self._files.items()}
        self._values: dict[str, NDArray[np.uint8] | NDArray[np.uint16]] = {
            "instance": np.arange(len(scene.labels) + 1, dtype=np.uint8),
            "label": np.array([0, *(CATEGORIES[label].id for label in scene.labels)], dtype=np.uint16),
        }

    def add(self, frame: int, object_ids: NDArray[np.int32]) -> None:
        """Add a frame's object ids (H, W), -1 none."""
        import cv2

        # Runs of equal values are what deflate's fastest level and the run-length strategy are made for.
        options = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
        for name, archive in self._zips.items():
            _, data = cv2.imencode(".png", self._values[name][object_ids + 1], options)
            entry = zipfile.ZipInfo(f"{name}-filt/{frame}.png", date_time=(2017, 1, 1, 0, 0, 0))
            archive.writestr(entry, data.tobytes())

    def contents(self) -> Mapping[str, bytes]:
        """Return the bytes of each finished zip: ``instance`` and ``label``."""
        for archive in self._zips.values():
            archive.close()
        return {name: file.getvalue() for name, file in self._files.items()}


def scene_paths(folder: Path, scene_id: str) -> dict[str, Path]:
    """Return the path of each file of a scene."""
    names = {
        "sens": ".sens", "meta": ".txt", "mesh": "_vh_clean_2.ply", "segments": "_vh_clean_2.0.010000.segs.json",
        "aggregation": ".aggregation.json", "instance": "_2d-instance-filt.zip", "label": "_2d-label-filt.zip",
    }  # fmt: skip
    return {key: folder / f"{scene_id}{suffix}" for key, suffix in names.items()}
