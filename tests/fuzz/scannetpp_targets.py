"""Scenes of ScanNet++: one of their files is damaged, and all that reads scenes reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from tests.fuzz.cases import attempt, linked, replaced
from tests.fuzz.mutations import damaged, damaged_json, pick
from tests.support.scannetpp_scenes import SCENE, camera_at, depth_bin, depth_image, write_colmap, write_scene

ENCODINGS = ("stream", "lz4", "deflate")


def write_scannetpp_seed(folder: Path) -> None:
    """A download of one small scene with all kinds of files, and a depth file in each encoding beside it."""
    scene = write_scene(folder, "deflate")
    write_colmap(scene / "iphone" / "colmap", (0, 4, 8))
    for encoding in ENCODINGS:
        (folder / f"{encoding}.bin").write_bytes(depth_bin(encoding, [*map(depth_image, range(3))]))
    dslr = scene / "dslr"
    for name in ("resized_images", "resized_anon_masks", "nerfstudio"):
        (dslr / name).mkdir(parents=True)
    cv2.imwrite(str(dslr / "resized_images" / "DSC00001.JPG"), np.full((40, 60, 3), 90, dtype=np.uint8))
    cv2.imwrite(str(dslr / "resized_anon_masks" / "DSC00001.png"), np.full((40, 60), 255, dtype=np.uint8))
    still = {"file_path": "DSC00001.JPG", "mask_path": "DSC00001.png", "is_bad": False}
    camera = {"fl_x": 40.0, "fl_y": 40.0, "cx": 30.0, "cy": 20.0, "w": 60, "h": 40, "camera_model": "OPENCV_FISHEYE"}
    lens = {"k1": -0.03, "k2": -0.01, "k3": 0.0, "k4": 0.0}
    frames = [{**still, "transform_matrix": camera_at(0).tolist()}]
    (dslr / "nerfstudio" / "transforms.json").write_text(json.dumps({**camera, **lens, "frames": frames}))
    (folder / "splits").mkdir()
    (folder / "splits" / "nvs_sem_val.txt").write_text(f"{SCENE}\n")
    benchmark = folder / "metadata" / "semantic_benchmark"
    benchmark.mkdir(parents=True)
    (benchmark / "map_benchmark.csv").write_text(
        "class,count,semantic_map_to,instance_map_to\nwall,3,,\nghost,1,None,\n"
    )


def scannetpp_scene(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """Video, depth, poses of either kind, mesh, groups, stills, and lists."""
    import open3d  # noqa: F401 - what readers import at first use, before memory is limited
    import pyarrow  # noqa: F401

    from gapdata.commands.inspect import format_facts
    from gapdata.sources.registry import open_dataset

    folder = linked(seeds / "scannetpp", scratch / "scannetpp")
    files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    depth = folder / "data" / SCENE / "iphone" / "depth.bin"
    encoded = [files.pop(folder / f"{encoding}.bin") for encoding in ENCODINGS]
    options: list[dict[str, str]] = [{}, {"scannetpp_poses": "colmap"}, {"scannetpp_camera": "dslr"}]

    def case(rng: np.random.Generator) -> int:
        path = pick(rng, list(files))
        sound = pick(rng, encoded) if path == depth else files[path]
        same = [data for other, data in files.items() if other.suffix == path.suffix]
        as_tree = path.suffix == ".json" and rng.random() < 0.8
        data = damaged_json(json.loads(sound), rng) if as_tree else damaged(sound, rng, same)
        given = pick(rng, options)
        with replaced(path, data):
            dataset = open_dataset(scannetpp=folder, **given)
            attempt(lambda: dataset.lacks(dataset.scene_ids, splits_given=False))
            with dataset.open_scan(SCENE) as scan:
                attempt(lambda: format_facts(scan.describe()))
                attempt(lambda: json.dumps(dict(scan.notes)))
                attempt(scan.digest)
                attempt(scan.annotation)
                for frame in np.flatnonzero(scan.present)[:6].tolist():
                    attempt(lambda frame=frame: scan.color(frame, 2))  # type: ignore[misc]
                    attempt(lambda frame=frame: scan.depth(frame))  # type: ignore[misc]
                    attempt(lambda frame=frame: scan.color_mask(frame))  # type: ignore[misc]
                    attempt(lambda frame=frame: scan.color_camera(frame))  # type: ignore[misc]
        return len(data)

    return case
