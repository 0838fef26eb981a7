"""``import gapdata`` is light, and what stands at its front door builds, opens and reads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gapdata
from tests.conftest import REPOSITORY
from tests.support.builds import SETTINGS, build, contents

SECONDS = 0.1
NAMES = {"build", "open", "open_dataset", "Record", "ViewObject", "ShardReader", "RecordList", "GapDataError"}


def imported(code: str) -> set[str]:
    """Modules that a fresh interpreter has after some code and not before."""
    program = f"import sys; before = set(sys.modules)\n{code}\nprint(sorted(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-I", "-c", path_first(program)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return set(ast.literal_eval(result.stdout))


def path_first(program: str) -> str:
    return f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n{program}"


def test_importing_it_imports_the_standard_library_and_nothing_else() -> None:
    loaded = imported("import gapdata")
    assert {name for name in loaded if name.split(".")[0] == "gapdata"} == {"gapdata"}
    assert {name.split(".")[0] for name in loaded} - {"gapdata"} <= sys.stdlib_module_names
    assert loaded & {"argparse", "json", "pathlib", "dataclasses", "asyncio"} == set()


def test_importing_it_takes_less_than_a_tenth_of_a_second() -> None:
    program = path_first("import time; start = time.process_time(); import gapdata; print(time.process_time() - start)")
    seconds = [
        float(subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(seconds) < SECONDS


def test_its_names_are_told_and_exist() -> None:
    assert set(gapdata.__all__) >= NAMES
    assert set(dir(gapdata)) == {*gapdata.__all__, "__version__"}
    for name in gapdata.__all__:
        assert getattr(gapdata, name).__doc__, name
    with pytest.raises(AttributeError, match="module 'gapdata' has no attribute 'opne'"):
        gapdata.opne  # noqa: B018
    assert gapdata.__version__ == "0.2.0"
    for package in ("gapdata", "gapmodel"):
        assert (REPOSITORY / package / "py.typed").is_file()


def test_a_class_is_the_one_that_its_module_defines() -> None:
    from gapdata.records.schema import Record

    assert gapdata.Record is Record


@pytest.fixture(scope="module")
def shards(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("door") / "shards"
    fields = dict(setting.split("=", 1) for setting in SETTINGS)
    lines: list[str] = []
    report = gapdata.build(
        scannet=small_dataset,
        out=out,
        set={name: ast.literal_eval(value) for name, value in fields.items()},
        executor="inline",
        limit=1,
        announce=lines.append,
    )
    assert report["records"] == len(gapdata.open(out)) > 0
    return out


def test_building_from_python_gives_the_bytes_of_the_command(shards: Path, small_dataset: Path, tmp_path: Path) -> None:
    assert build(small_dataset, tmp_path / "shards", "--limit", "1") == 0
    ours, theirs = contents(shards), contents(tmp_path / "shards")
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name] != theirs[name]} == set()


def test_a_build_is_opened_and_its_records_answer(shards: Path) -> None:
    opened = gapdata.open(str(shards), verify=True)
    record = opened[0]
    assert opened[record.key].to_json() == record.to_json()
    assert [item.key for item in opened] == list(opened.keys)
    assert set(opened.select(view="clip")) | set(opened.select(view="scene")) == set(range(len(opened)))
    height, width = record.image(0).shape[:2]
    assert (width, height) == record.image_size
    assert record.depth(0).shape == record.instances(0).shape == record.prompt_mask(0).shape == (height, width)
    assert record.pointmap().shape == (len(record), height, width, 3)
    assert len(record.cameras) == len(record)
    assert len(record.boxes) == len(record.objects) > 0
    last = record.subset([len(record) - 1])
    np.testing.assert_array_equal(last.camera_to_first, np.eye(4)[None])
    assert len(record.point_cloud().points) == np.isfinite(record.pointmap()[..., 0]).sum()
    samples = list(opened.webdataset(fields=("key",)))
    assert [sample["key"] for sample in samples] == list(opened.keys)
    assert sorted(sample["key"] for sample in opened.torch(fields=("key",))) == sorted(opened.keys)


def test_numbers_and_arrays_of_numpy_and_empty_lists_are_taken(small_dataset: Path, tmp_path: Path) -> None:
    def plan(**options: Any) -> dict[str, Any]:
        return gapdata.build(
            scannet=small_dataset, out=tmp_path / "out", dry_run=True, announce=lambda line: None, **options
        )

    given = {"clips.step": np.int64(10), "frames.image_size": np.array([128, 96]), "frames.near": np.float32(0.25)}
    plain = {"clips.step": 10, "frames.image_size": [128, 96], "frames.near": 0.25}
    assert plan(set=given, scenes=None, annotations=None, limit=np.int64(1)) == plan(set=plain, limit=1)


def test_scans_are_read_without_building(small_dataset: Path) -> None:
    dataset = gapdata.open_dataset(scannet=small_dataset)
    with dataset.open_scan(dataset.scene_ids[0]) as scan:
        assert scan.color(0).ndim == 3
        assert scan.camera_to_world.shape == (scan.frame_count, 4, 4)
        annotation = scan.annotation()
        assert annotation is not None
        assert len(annotation.objects) > 0


def test_a_request_that_cannot_be_met_is_one_clear_error(small_dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(gapdata.GapDataError, match=r"has no field 'clip'; did you mean clips\?"):
        gapdata.build(scannet=small_dataset, out=out, set={"clip.step": 10})
    with pytest.raises(gapdata.GapDataError, match="did you mean scannet-pretrain"):
        gapdata.build(scannet=small_dataset, out=out, recipe="scannet-pretrian")
    with pytest.raises(gapdata.GapDataError, match="split 'valid' is unknown; did you mean val"):
        gapdata.build(scannet=small_dataset, out=out, annotations=["valid=infos.pkl"])
    with pytest.raises(gapdata.GapDataError, match="has no scene scene0009_09"):
        gapdata.build(scannet=small_dataset, out=out, scenes="scene0009_09")
    with pytest.raises(gapdata.GapDataError, match="limit is 0, expected at least 1"):
        gapdata.build(scannet=small_dataset, out=out, limit=0)
    for wrong in ({"limit": "2"}, {"workers": 1.5}, {"deadline": 0}, {"deadline": "10"}, {"set": ["clips.step=10"]}):
        with pytest.raises(gapdata.GapDataError, match=rf"^{next(iter(wrong))} is .*(expected|give)"):
            gapdata.build(scannet=small_dataset, out=out, dry_run=True, **wrong)
    with pytest.raises(gapdata.GapDataError, match="has no scene 0; among"):
        gapdata.build(scannet=small_dataset, out=out, scenes=[0])  # type: ignore[list-item]
    with pytest.raises(gapdata.GapDataError, match="no source is named"):
        gapdata.build(out=out)
    with pytest.raises(gapdata.GapDataError, match="option 'scanet' is unknown; did you mean scannet"):
        gapdata.open_dataset(scanet=small_dataset)
    with pytest.raises(gapdata.GapDataError, match="holds no finished build"):
        gapdata.open(tmp_path)
    assert not out.exists()


@pytest.mark.slow
def test_a_type_checker_sees_what_the_door_returns(tmp_path: Path) -> None:
    program = tmp_path / "reads.py"
    program.write_text(
        "import gapdata\n"
        "build = gapdata.open('shards')\n"
        "reveal_type(build['key'].image(0))\n"
        "reveal_type(build[0].objects[0].box)\n"
        "reveal_type(gapdata.build(out='x', scannet='y'))\n"
    )
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "--follow-imports=silent"]
    result = subprocess.run([*command, str(program)], capture_output=True, text=True, cwd=REPOSITORY)
    assert "unsignedinteger" in result.stdout
    assert "gapdata.geometry.boxes.OrientedBox" in result.stdout
    assert "dict[str, Any]" in result.stdout
    assert "error" not in result.stdout
