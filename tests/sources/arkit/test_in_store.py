"""A download in an object store gives the shards that the same download on a disk gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.errors import StoreError
from gapdata.files import store_failures
from gapdata.sources.registry import open_dataset
from gapdata.synthetic.formats import arkitscenes
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.support.object_stores import BROKEN, Request, s3_server

FRAMES = 24
SETTINGS = ("frames.image_size=[96,64]", "clips.frames=2", "clips.interval=6", "clips.step=6", "clips.max_shift=1")


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("arkitscenes")
    arkitscenes.write(root, [Walk(index, WalkOptions(frames=FRAMES, width=128)) for index in (1, 2)])
    return root


def build(root: Path | str, out: Path) -> int:
    overrides = [part for setting in SETTINGS for part in ("--set", setting)]
    words = ["build-shards", "--arkitscenes", str(root), "--out", str(out), *overrides, "--executor", "inline"]
    return main(words)


def test_shards_from_a_store_are_those_from_a_disk(download: Path, tmp_path: Path) -> None:
    assert build(download, tmp_path / "disk") == 0
    with s3_server() as store:
        place = store.copy_in(download, "scans/arkit")
        there, here = (open_dataset(arkitscenes=root) for root in (place, download))
        for scene in here.scene_ids:
            assert there.kind(scene) == here.kind(scene)
            assert there.places(scene) == here.places(scene)
            with there.open_scan(scene) as remote, here.open_scan(scene) as local:
                assert remote.digest() == local.digest()
                assert np.array_equal(remote.camera_to_world, local.camera_to_world, equal_nan=True)
        assert build(place, tmp_path / "store") == 0
    for tar in sorted((tmp_path / "disk").glob("*.tar")):
        assert tar.read_bytes() == (tmp_path / "store" / tar.name).read_bytes()


def test_opening_reads_no_images_but_two_and_listings_instead_of_looking_for_each_file(download: Path) -> None:
    scene = arkitscenes.capture_id(2)
    with s3_server() as store:
        dataset = open_dataset(arkitscenes=store.copy_in(download, "arkit"))
        store.requests.clear()
        with dataset.open_scan(scene) as scan:
            images = [each.path for each in store.requests if each.method == "GET" and each.path.endswith(".png")]
            assert len(set(images)) == 2
            cameras = int(scan.present.sum())
        small = cameras + 2 + 2  # cameras, trajectory and boxes, and two images
        assert len(store.requests) < 2 * small + 12


def test_a_store_that_fails_is_not_a_damaged_scan(download: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_failures, "WAITS", ())

    def broken(request: Request) -> tuple[str, bytes] | None:
        return ("500 Internal Server Error", BROKEN) if request.path.endswith(".traj") else None

    with s3_server() as store:
        dataset = open_dataset(arkitscenes=store.copy_in(download, "arkit"))
        with store.refusing(broken), pytest.raises(StoreError):
            dataset.open_scan(arkitscenes.capture_id(2))
