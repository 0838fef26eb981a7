"""A build is exact, goes on where it stopped, refuses what does not belong to it, and names what it lost."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from gapdata.geometry.camera import transform
from gapdata.shards.index import read_index
from gapdata.shards.reader import ShardReader
from gapdata.sources.sens import SensReader
from gapdata.synthetic.sens_writer import SensWriter
from tests.support.builds import build
from tests.support.scannet_scenes import COLOR, DEPTH, write_scene


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("shard-*"))}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dataset")
    for index in range(3):
        write_scene(root / "scans" / f"scene000{index}_00", frames=10, lost=(4,))
    (root / "scannetv2_train.txt").write_text("scene0000_00\nscene0001_00\n")
    (root / "scannetv2_val.txt").write_text("scene0002_00\n")
    return root


@pytest.fixture(scope="module")
def shards(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build") / "shards"
    assert build(dataset, out) == 0
    return out


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset, tmp_path / "copy"))


def test_every_planned_record_is_there(shards: Path) -> None:
    plan = json.loads((shards / "plan.json").read_text())
    planned = [key for shard in plan["shards"] for scene in shard["scenes"] for key in scene["keys"]]
    reader = ShardReader(shards)
    assert list(reader.keys) == planned
    assert planned[:3] == ["scene0000_00-clip-00000", "scene0000_00-clip-00002", "scene0000_00-clip-00003"]
    assert {(record.scene_id, record.split) for record in reader} == {
        ("scene0000_00", "train"),
        ("scene0001_00", "train"),
        ("scene0002_00", "val"),
    }


def test_lost_frames_enter_no_view_and_are_counted(shards: Path) -> None:
    report = json.loads((shards / "report.json").read_text())
    assert report["lost_tracking"] == 3
    assert report["frames"] == 30
    for record in ShardReader(shards):
        assert 4 not in record.frame_ids
        assert np.isfinite(record.camera_to_world).all()


def test_the_report_adds_up(shards: Path) -> None:
    report = json.loads((shards / "report.json").read_text())
    records = list(ShardReader(shards))
    assert report["records"] == len(records) == sum(report["records_by_view"].values())
    assert report["prompts"] == sum(len(record.prompts) for record in records) > 0
    assert sum(report["prompts_by_label"].values()) == report["prompts"]
    assert report["bytes"] == sum(path.stat().st_size for path in shards.glob("*.tar"))
    assert report["quarantined"] == []


def test_prompts_reproject_onto_their_pixels_and_show_their_object(shards: Path) -> None:
    for record in ShardReader(shards):
        for prompt in record.prompts:
            local = transform(np.linalg.inv(record.camera_to_first[prompt.frame]), np.array(prompt.point))
            pixel = record.camera(prompt.frame).project(local)
            assert np.abs(pixel - prompt.pixel).max() < 0.5
            u, v = prompt.pixel
            assert record.instances(prompt.frame)[v, u] == (prompt.object_id or 0) + 1
            assert record.prompt_mask(prompt.frame)[v, u] == prompt.index
            assert record.depth(prompt.frame)[v, u] == pytest.approx(local[2], abs=1e-4)


def test_the_members_of_a_record_follow_from_its_frames_alone(shards: Path) -> None:
    """Loaders that take the columns of the first records for those of all lose or refuse what comes later else."""
    kinds = ("jpg", "depth.png", "instance.png", "prompt.png")
    records = list(ShardReader(shards))
    for record in records:
        names = {f"{frame:02d}.{kind}" for frame in range(len(record)) for kind in kinds} | {"pointmap.npy"}
        assert record.members.keys() == names, record.key
    marked = {(record.key, prompt.frame) for record in records for prompt in record.prompts}
    frames = {(record.key, frame) for record in records for frame in range(len(record))}
    assert frames - marked, "no frame without a mark was tried"
    by_key = {record.key: record for record in records}
    assert all(by_key[key].prompt_mask(frame).any() == ((key, frame) in marked) for key, frame in frames)


def test_which_tars_hold_which_split_is_said_in_a_file_that_any_tool_reads(shards: Path) -> None:
    splits = json.loads((shards / "splits.json").read_text())
    assert sorted(name for names in splits.values() for name in names) == sorted(p.name for p in shards.glob("*.tar"))
    for split, names in splits.items():
        for name in names:
            with tarfile.open(shards / name) as tar:
                told = [json.load(tar.extractfile(item))["split"] for item in tar if item.name.endswith(".json")]  # type: ignore[arg-type]
            assert set(told) == {split}
    rows = read_index(shards).to_pylist()
    assert {(row["split"], f"{row['shard']}.tar") for row in rows} == {
        (s, n) for s, names in splits.items() for n in names
    }
    plan = json.loads((shards / "plan.json").read_text())
    assert {shard["name"]: shard["split"] for shard in plan["shards"]} == {
        name.removesuffix(".tar"): split for split, names in splits.items() for name in names
    }


def test_a_second_build_elsewhere_gives_the_same_bytes(dataset: Path, shards: Path, tmp_path: Path) -> None:
    assert build(dataset, tmp_path / "again") == 0
    assert contents(tmp_path / "again") == contents(shards)


def test_a_build_goes_on_where_it_stopped(dataset: Path, shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "resumed"
    shutil.copytree(shards, out)
    untouched = (out / "shard-000000.tar").stat().st_mtime_ns
    (out / "shard-000001.json").unlink()
    (out / "shard-000002.tar").write_bytes(b"cut")
    (out / ".shard-000001.tar.999.tmp").write_bytes(b"left behind by a killed process")
    for name in ("index.parquet", "report.json"):
        (out / name).unlink()
    assert build(dataset, out) == 0
    assert contents(out) == contents(shards)
    assert (out / "shard-000000.tar").stat().st_mtime_ns == untouched
    assert not list(out.glob(".*.tmp"))
    assert (out / "index.parquet").read_bytes() == (shards / "index.parquet").read_bytes()


def test_a_commit_that_a_worker_of_an_earlier_build_lands_late_is_built_again(
    dataset: Path, shards: Path, tmp_path: Path
) -> None:
    """The worker of a driver that was killed, before somebody started over with another recipe."""
    out = tmp_path / "out"
    assert build(dataset, out, "--set", "seed=1") == 0
    expected = contents(out)
    for name in ("shard-000001.tar", "shard-000001.json"):
        shutil.copy(shards / name, out / name)
    assert build(dataset, out, "--set", "seed=1") == 0
    assert contents(out) == expected


def test_a_scan_with_flipped_bytes_gives_what_is_left_of_it(copy: Path, tmp_path: Path) -> None:
    """A bad disk: one frame in five is hit in its payload, another scan in one byte in a hundred of all it has."""
    dice = np.random.default_rng(7)
    path = copy / "scans" / "scene0000_00" / "scene0000_00.sens"
    with SensReader(path) as sens:
        hit = [frame for frame in range(len(sens)) if frame % 5 == 2]
        places = [data.index(sens._payload(f, int(sens._offsets[f] + sens._color_sizes[f]), int(sens._depth_sizes[f])))
                  for data in [path.read_bytes()] for f in hit]  # fmt: skip
    content = bytearray(path.read_bytes())
    for place in places:
        content[place + int(dice.integers(2, 60))] ^= int(dice.integers(1, 256))
    path.write_bytes(content)
    ruined = copy / "scans" / "scene0001_00" / "scene0001_00.sens"
    content = bytearray(ruined.read_bytes())
    for place in dice.choice(len(content), len(content) // 100, replace=False):
        content[place] ^= int(dice.integers(1, 256))
    ruined.write_bytes(content)

    assert build(copy, tmp_path / "out") == 3
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    records = list(ShardReader(tmp_path / "out"))
    assert {record.scene_id for record in records} == {"scene0000_00", "scene0002_00"}
    assert not any(set(record.frame_ids) & set(hit) for record in records if record.scene_id == "scene0000_00")
    named = {(item["scene_id"], item["frame"]) for item in report["quarantined"]}
    assert named >= {("scene0000_00", frame) for frame in hit}
    assert {scene for scene, _ in named} == {"scene0000_00", "scene0001_00"}


def test_another_recipe_is_refused_with_the_field_named(
    dataset: Path, shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(dataset, shards, "--set", "prompts.border=5") == 2
    message = capsys.readouterr().err
    assert "prompts.border was 4 and is 5; build into a new --out directory, or start over with --overwrite" in message
    assert build(dataset, shards, "--scenes", "scene0000_00") == 2
    assert "scene0001_00 is gone, scene0002_00 is gone" in capsys.readouterr().err


def test_changed_sources_are_refused_with_the_scene_named(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(copy, tmp_path / "out") == 0
    path = copy / "scans" / "scene0001_00" / "scene0001_00.aggregation.json"
    path.write_text(path.read_text().replace("office chair", "stool"))
    assert build(copy, tmp_path / "out") == 2
    assert "other sources: scene0001_00 has changed" in capsys.readouterr().err
    assert build(copy, tmp_path / "out", "--overwrite") == 0
    assert "stool" in json.loads((tmp_path / "out" / "report.json").read_text())["prompts_by_label"]


def test_a_directory_that_holds_something_else_is_left_alone(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("important")
    assert build(dataset, tmp_path) == 2
    assert "is not empty and holds no build; choose another --out directory" in capsys.readouterr().err
    assert (tmp_path / "thesis.tex").read_text() == "important"


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(dataset, tmp_path / "out", "--dry-run", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["scenes"], facts["frames"], facts["lost_tracking"], facts["shards"]) == (3, 30, 3, 3)
    assert not (tmp_path / "out").exists()


def test_damage_is_quarantined_and_the_rest_is_built(
    copy: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truncated = copy / "scans" / "scene0000_00" / "scene0000_00.sens"
    truncated.write_bytes(truncated.read_bytes()[:-20_000])
    (copy / "scans" / "scene0001_00" / "scene0001_00_vh_clean_2.ply").unlink()
    out = tmp_path / "out"
    assert build(copy, out) == 3
    assert "quarantined: 2" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    problems = {item["scene_id"]: item for item in report["quarantined"]}
    assert problems["scene0000_00"]["frame"] is not None
    assert "is truncated" in problems["scene0000_00"]["problem"]
    assert problems["scene0001_00"]["path"].endswith("_vh_clean_2.ply")
    trace = json.loads((out / "failed" / "scene0000_00.json").read_text())[0]["traceback"]
    assert "SourceError" in trace
    assert {record.scene_id for record in ShardReader(out)} == {"scene0002_00"}
    assert (out / "shard-000002.tar").read_bytes() == (shards / "shard-000002.tar").read_bytes()
    assert not (out / "shard-000000.tar").exists()
    assert build(copy, out) == 3


def test_a_damaged_frame_takes_only_its_own_views(copy: Path, shards: Path, tmp_path: Path) -> None:
    path = copy / "scans" / "scene0000_00" / "scene0000_00.sens"
    data = bytearray(path.read_bytes())
    jpeg = cv2.imencode(".jpg", np.full((96, 128, 3), 40 + 5 * 5, np.uint8))[1].tobytes()
    start = data.index(jpeg)
    data[start : start + len(jpeg)] = bytes(len(jpeg))
    path.write_bytes(data)
    out = tmp_path / "out"
    assert build(copy, out) == 3
    report = json.loads((out / "report.json").read_text())
    assert {item["frame"] for item in report["quarantined"]} == {5}
    lost = {item["key"] for item in report["quarantined"]}
    whole = ShardReader(shards)
    assert lost == {record.key for record in whole if record.scene_id == "scene0000_00" and 5 in record.frame_ids}
    assert set(ShardReader(out).keys) == set(whole.keys) - lost


def test_a_scene_without_any_valid_pose_is_quarantined(tmp_path: Path) -> None:
    write_scene(tmp_path / "in" / "scene0000_00", frames=6, lost=tuple(range(6)))
    write_scene(tmp_path / "in" / "scene0001_00", frames=6)
    assert build(tmp_path / "in", tmp_path / "out") == 3
    (entry,) = json.loads((tmp_path / "out" / "report.json").read_text())["quarantined"]
    assert entry["scene_id"] == "scene0000_00"
    assert entry["problem"] == (
        "none of its 6 frames has a valid pose: the pose has numbers that are not finite, as for lost tracking"
    )


def test_a_scene_without_annotation_gives_geometry_only_and_is_counted(tmp_path: Path) -> None:
    write_scene(tmp_path / "in" / "scene0707_00", frames=6, annotated=False)
    assert build(tmp_path / "in", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["scenes_without_annotation"] == 1
    assert report["prompts"] == 0
    record = ShardReader(tmp_path / "out")[0]
    assert record.prompts == ()
    assert (record.depth(0) > 0).mean() > 0.5


def test_frames_without_depth_enter_no_view_and_are_counted(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "in" / "scene0000_00", frames=8)
    path = folder / "scene0000_00.sens"
    with (
        SensReader(path) as sens,
        SensWriter(tmp_path / "edited.sens", color_intrinsics=COLOR, depth_intrinsics=DEPTH) as writer,
    ):
        for frame in range(8):
            depth = np.zeros_like(sens.depth(frame)) if frame in (2, 3) else sens.depth(frame)
            writer.write(color=sens.color_bytes(frame), depth=depth, camera_to_world=sens.camera_to_world[frame])
    (tmp_path / "edited.sens").replace(path)
    assert build(tmp_path / "in", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["empty_depth"] == 2
    assert report["dropped_views"]["empty_depth"] >= 1
    reader = ShardReader(tmp_path / "out")
    assert all(not {2, 3} & set(record.frame_ids) for record in reader)
    assert len(reader["scene0000_00-scene-0"].frame_ids) == 4


def test_a_running_build_locks_its_directory(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert build(dataset, tmp_path / "out") == 2
    assert "is in use by another process" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "clips.stepp=3",
            "recipe has no field 'clips.stepp'; did you mean clips.step\\? known here: enabled, frames, interval,",
        ),
        ("clips=3", "recipe field 'clips' is a section"),
        ("clips.step=1.5", "recipe field 'clips.step' is 1.5, expected a whole number"),
        (
            "frames.image_size=[1296,968]",
            r"image_size must be two multiples of 16 from 32 to 8192, not 1296x968 \(near it: 1296x960 or 1296x976",
        ),
        ("frames.image_size=[512]", r"recipe field 'frames.image_size' is \[512\], expected a list of 2 numbers"),
        ("prompts.per_view=256", "'prompts.per_view' is 256, expected 0 to 255"),
        ("seed", "--set 'seed' has no '='; write --set section.field=value"),
    ],
)
def test_a_mistake_in_the_recipe_is_named(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    assert build(dataset, tmp_path / "out", settings=[setting]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert not (tmp_path / "out").exists()
