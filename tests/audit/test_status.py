"""How far a build is, what it will take, what it lost, and how what failed is taken up again."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gapdata.commands.main import main
from tests.support import builds
from tests.support.builds import APART, contents
from tests.support.scannet_scenes import write_scene

build = partial(builds.build, settings=APART)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dataset")
    for index in range(3):
        write_scene(root / f"scene000{index}_00", frames=8, annotated=index != 2)
    return root


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset, tmp_path / "in"))


def status(out: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["status", str(out), "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def cut(root: Path, scene: str) -> bytes:
    """Truncate a scene's ``.sens`` and return what it was."""
    path = root / scene / f"{scene}.sens"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20_000])
    return whole


def test_the_status_follows_a_build(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut(copy, "scene0001_00")
    out = tmp_path / "out"
    assert build(copy, out) == 3
    found = status(out, capsys)
    assert found["shards"] == {"planned": 3, "committed": 3, "failed": 1, "missing": 0}
    assert list(found["failed"]) == ["shard-000001"]
    (out / "shard-000002.json").unlink()
    (out / "index.parquet").unlink()
    (out / ".shard-000002.tar.7.tmp").write_bytes(b"being written")
    before = contents(out)
    found = status(out, capsys)
    assert found["shards"] == {"planned": 3, "committed": 2, "failed": 1, "missing": 1}
    assert found["missing"] == ["shard-000002"]
    assert found["splits"] == {"unknown": {"planned": 3, "tars": ["shard-000000.tar"]}}
    assert contents(out) == before
    assert main(["status", str(out)]) == 0
    text = capsys.readouterr().out
    assert "2 of 3 shards committed, 1 of them failed in part, 1 missing" in text
    assert "repair the sources and add --retry-failed" in text
    assert main(["status", str(tmp_path)]) == 2


def test_a_repaired_source_is_taken_up_again_and_nothing_else_is_touched(
    copy: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    whole = cut(copy, "scene0001_00")
    assert build(copy, out) == 3
    untouched = (out / "shard-000000.tar").stat().st_mtime_ns
    (copy / "scene0001_00" / "scene0001_00.sens").write_bytes(whole)
    assert build(copy, out) in (2, 3)
    capsys.readouterr()
    assert build(copy, out, "--retry-failed") == 0
    message = capsys.readouterr().err
    assert "building shard-000001 again for scene0001_00" in message
    assert (out / "shard-000000.tar").stat().st_mtime_ns == untouched
    assert not list((out / "failed").glob("*"))
    assert build(dataset, tmp_path / "fresh") == 0
    assert contents(out) == contents(tmp_path / "fresh")
    assert main(["verify", str(out), "--workers", "1"]) == 0
    assert build(copy, out) == 0
    capsys.readouterr()
    assert build(copy, out, "--retry-failed") == 0
    assert "nothing was quarantined: nothing to retry" in capsys.readouterr().err


def test_a_missing_sens_that_was_downloaded_since_is_taken_up(
    copy: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    path = copy / "scene0001_00" / "scene0001_00.sens"
    whole = path.read_bytes()
    path.unlink()
    assert build(copy, out) == 3
    path.write_bytes(whole)
    capsys.readouterr()
    assert build(copy, out) == 2
    message = capsys.readouterr().err
    assert "scene0001_00 has changed; build again what was quarantined with --retry-failed" in message
    assert build(copy, out, "--retry-failed") == 0
    assert "scene0001_00 (changed since)" in capsys.readouterr().err
    assert build(dataset, tmp_path / "fresh") == 0
    assert contents(out) == contents(tmp_path / "fresh")


def test_an_interrupted_retry_goes_on(copy: Path, dataset: Path, tmp_path: Path) -> None:
    """Killed after the commit went and before the plan was written: the same command finishes."""
    out = tmp_path / "out"
    path = copy / "scene0001_00" / "scene0001_00.sens"
    whole = path.read_bytes()
    path.unlink()
    assert build(copy, out) == 3
    path.write_bytes(whole)
    (out / "shard-000001.json").unlink()
    assert build(copy, out, "--retry-failed") == 0
    assert build(dataset, tmp_path / "fresh") == 0
    assert contents(out) == contents(tmp_path / "fresh")


def test_a_retry_still_refuses_changes_of_what_is_built(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    cut(copy, "scene0001_00")
    assert build(copy, out) == 3
    before = contents(out)
    capsys.readouterr()
    assert build(copy, out, "--retry-failed", "--set", "prompts.border=5") == 2
    assert "prompts.border was 4 and is 5" in capsys.readouterr().err
    labels = copy / "scene0000_00" / "scene0000_00.aggregation.json"
    labels.write_text(labels.read_text().replace("office chair", "stool"))
    assert build(copy, out, "--retry-failed") == 2
    message = capsys.readouterr().err
    assert "scene0000_00 has changed" in message
    assert "scene0001_00" not in message
    assert contents(out) == before


def test_a_dry_run_says_what_the_build_will_take_and_what_is_missing(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "scene0001_00" / "scene0001_00.sens").unlink()
    assert build(copy, tmp_path / "out", "--dry-run", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["without_frames"] == ["scene0001_00"]
    assert facts["without_annotation"] == ["scene0002_00"]
    assert facts["expected_cpu_seconds"] > 0
    assert build(copy, tmp_path / "out", "--dry-run") == 0
    text = capsys.readouterr().out
    assert "estimated: " in text
    assert "1 scene without frames: scene0001_00" in text
    assert not (tmp_path / "out").exists()
    assert build(copy, tmp_path / "out") == 3
    assert json.loads((tmp_path / "out" / "plan.json").read_text())["expected_bytes"] == facts["expected_bytes"]


def test_inspecting_a_build_shows_the_table_of_exclusions(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(copy, "scene0001_00")
    assert build(copy, tmp_path / "out") == 3
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "out")]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["lost", "what", "scenes", "first", "why"] in lines
    row = lines[lines.index(["lost", "what", "scenes", "first", "why"]) + 1]
    assert row[1:4] == ["scenes", "1", "scene0001_00"]
