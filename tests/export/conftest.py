"""One build, its export, and the import of that export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.export.registry import TRAINERS
from gapdata.geometry.camera import transform
from tests.support.annotation_records import sentence, write_json
from tests.support.export_builds import SETTINGS, SIZE, TRAIN, VAL, build
from tests.support.scannet_scenes import ALIGNMENT, write_scene


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def exported(shards: Path) -> Path:
    out = shards.parent / "exported"
    assert main(["export", str(shards), "--format", "gap-json", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def imported(exported: Path) -> Path:
    out = exported.parent / "imported"
    recipe = Path(__file__).parents[2] / "manifests" / "gap-json.toml"
    files = sorted(str(path) for path in (exported / "annotations").iterdir())
    size = f"frames.image_size=[{SIZE[0]},{SIZE[1]}]"
    build(
        "--scannet", str(exported), "--out", str(out), "--recipe", str(recipe), "--set", size, "--annotations", *files
    )
    return out


@pytest.fixture(scope="session")
def chats(shards: Path) -> Path:
    """The folder of the build's conversations for each trainer."""
    root = shards.parent / "chats"
    for trainer in TRAINERS:
        assert (
            main(["export", str(shards), "--format", "chat", "--trainer", trainer, "--out", str(root / trainer)]) == 0
        )
    return root
