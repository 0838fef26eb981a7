"""Any flipped bit in any file of a finished build is found, by ``verify`` and by a reader that was asked to look."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from gapdata.audit.verify import verify_build
from gapdata.errors import GapDataError, ShardError, UsageError
from gapdata.shards.checksums import CHECKSUMS_NAME, checksum_problems
from gapdata.shards.reader import ShardReader
from tests.support.builds import build, contents
from tests.support.scannet_scenes import write_scene


@pytest.fixture(scope="module")
def damaged_scan_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished build with a shard of one scene, and a second one that was set aside."""
    root = tmp_path_factory.mktemp("rot")
    for index in range(2):
        write_scene(root / "d" / "scans" / f"scene000{index}_00", frames=8, lost=(4,))
    sens = root / "d" / "scans" / "scene0001_00" / "scene0001_00.sens"
    sens.write_bytes(sens.read_bytes()[: sens.stat().st_size // 2])
    assert build(root / "d", root / "out") == 3
    return root / "out"


def test_a_flipped_bit_in_any_kind_of_file_is_found(damaged_scan_build: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(damaged_scan_build, out)
    assert verify_build(out).defects == ()
    chance, missed, tried = random.Random(0), [], 0
    for name in sorted(contents(out)):
        path = out / name
        whole = path.read_bytes()
        for _ in range(1 if name.endswith(".tar") else 40):
            rotten = bytearray(whole)
            place = chance.randrange(8 * len(whole))
            rotten[place // 8] ^= 1 << place % 8
            path.write_bytes(rotten)
            tried += 1
            found = verify_build(out).defects if name.endswith(".tar") else tuple(checksum_problems(out))
            missed += [] if found else [(name, place)]
        path.write_bytes(whole)
    assert tried > 200
    assert missed == []
    assert verify_build(out).defects == ()


@pytest.mark.parametrize("change", ["half", "zeros", "gone", "new"])
def test_verify_names_files_of_set_aside_scenes_that_are_not_what_was_written(
    damaged_scan_build: Path, tmp_path: Path, change: str
) -> None:
    out = tmp_path / "out"
    shutil.copytree(damaged_scan_build, out)
    path = out / "failed" / "scene0001_00.json"
    data = path.read_bytes()
    if change == "gone":
        path.unlink()
    elif change == "new":
        path = out / "failed" / "scene0000_00.json"
        path.write_bytes(data)
    else:
        path.write_bytes(data[: len(data) // 2] if change == "half" else bytes(len(data)))
    assert any(path.name in str(defect) for defect in verify_build(out).defects)


def test_a_reader_that_verifies_finds_every_flipped_bit_of_a_tar(damaged_scan_build: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(damaged_scan_build, out)
    expected = [record.to_json() for record in ShardReader(out)]
    assert [record.to_json() for record in ShardReader(out, verify=True)] == expected
    path = out / "shard-000000.tar"
    whole, chance = path.read_bytes(), random.Random(1)
    jpeg = whole.index(b"\xff\xd8\xff")
    for _ in range(20):
        rotten = bytearray(whole)
        rotten[jpeg + chance.randrange(20, 1000)] ^= 1 << chance.randrange(8)
        path.write_bytes(rotten)
        with pytest.raises(ShardError, match=r"shard-000000\.tar: its SHA-256 differs from the committed one"):
            ShardReader(out, verify=True)[0]
    path.write_bytes(whole)
    (out / "index.parquet").write_bytes((out / "index.parquet").read_bytes()[:-1] + b"2")
    with pytest.raises(GapDataError, match=r"index\.parquet: its SHA-256"):
        ShardReader(out, verify=True)
    (out / CHECKSUMS_NAME).unlink()
    with pytest.raises(UsageError, match=r"has no build\.sha256 to verify it by"):
        ShardReader(out, verify=True)
