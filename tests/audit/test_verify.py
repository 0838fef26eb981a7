"""`gapdata verify` finds every kind of damage in a build and names file, record and what is wrong."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapdata.audit.verify import verify_build
from gapdata.commands.main import main
from gapdata.shards.checksums import write_checksums
from gapdata.shards.index import write_index
from tests.support import builds
from tests.support.builds import APART
from tests.support.scannet_scenes import write_scene

KEY = "scene0000_00-clip-00000"
TAR = "shard-000000.tar"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("verify")
    for index in range(2):
        write_scene(root / "in" / f"scene000{index}_00", frames=8)
    assert builds.build(root / "in", root / "out", settings=APART) == 0
    return root / "out"


@pytest.fixture
def build(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "build"))


def defects(build: Path, **options: Any) -> list[str]:
    return [str(defect) for defect in verify_build(build, **options).defects]


def content_of(tar: tarfile.TarFile, item: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(item)
    assert file is not None
    return file.read()


def forge(build: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Change members of the first shard and make tar, checksum, commit and index agree with each other again: damage
    that only a look into the records finds.
    """
    with tarfile.open(build / TAR) as tar:
        members = {item.name: content_of(tar, item) for item in tar}
    change(members)
    buffer = io.BytesIO()
    places: dict[str, list[int]] = {}
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            places[name] = [buffer.tell() + 512, len(data)]
            tar.addfile(info, io.BytesIO(data))
    (build / TAR).write_bytes(buffer.getvalue())
    commits = [json.loads((build / f"shard-00000{index}.json").read_text()) for index in range(2)]
    commits[0]["sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    commits[0]["tar_bytes"] = len(buffer.getvalue())
    for entry in commits[0]["records"]:
        start = len(entry["key"]) + 1
        entry["members"] = {
            name[start:]: place for name, place in places.items() if name.startswith(f"{entry['key']}.")
        }
    (build / "shard-000000.json").write_text(json.dumps(commits[0]))
    write_index(build, commits)
    report = json.loads((build / "report.json").read_text())
    report["bytes"] = sum(commit["tar_bytes"] for commit in commits)
    (build / "report.json").write_text(json.dumps(report))
    write_checksums(build)


def edit_json(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, bytes]], None]:
    def apply(members: dict[str, bytes]) -> None:
        fields = json.loads(members[f"{KEY}.json"])
        change(fields)
        members[f"{KEY}.json"] = json.dumps(fields).encode()

    return apply


def edit_png(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, bytes]], None]:
    def apply(members: dict[str, bytes]) -> None:
        image = cv2.imdecode(np.frombuffer(members[f"{KEY}.{name}"], np.uint8), cv2.IMREAD_UNCHANGED)
        members[f"{KEY}.{name}"] = cv2.imencode(".png", change(image))[1].tobytes()

    return apply


def swap(members: dict[str, bytes], one: str, other: str) -> None:
    members[f"{KEY}.{one}"], members[f"{KEY}.{other}"] = members[f"{KEY}.{other}"], members[f"{KEY}.{one}"]


def turned(fields: dict[str, Any]) -> None:
    fields["camera_to_first"][1][0][3] += 0.01


def test_a_sound_build_passes_whatever_the_number_of_workers(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(clean), "--workers", "1"]) == 0
    assert "records in 2 shards are sound" in capsys.readouterr().out
    assert main(["verify", str(clean), "--workers", "2", "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["defects"] == []
    assert verdict["shards"] == 2
    assert main(["verify", str(clean), "--sample", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 2


def test_rewriting_a_shard_without_a_change_is_no_damage(build: Path) -> None:
    forge(build, lambda members: None)
    assert defects(build) == []


def test_a_flipped_byte_breaks_the_checksum(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray((build / TAR).read_bytes())
    data[len(data) // 2] ^= 1
    (build / TAR).write_bytes(data)
    assert f"{TAR}: its SHA-256 differs from the committed one" in defects(build)
    assert main(["verify", str(build), "--workers", "1"]) == 4
    assert "to rebuild: delete shard-000000.json and run build-shards again" in capsys.readouterr().out


@pytest.mark.parametrize("cut", [0, 1, 700, 1536, 10_000])
def test_a_cut_tar_is_found_with_and_without_checksums(build: Path, cut: int) -> None:
    data = (build / TAR).read_bytes()
    (build / TAR).write_bytes(data[:cut])
    for sample in (None, 1):
        found = defects(build, sample=sample)
        assert f"{TAR}: has {cut} bytes, {len(data)} were committed" in found
        assert any("is damaged or truncated after" in text or "members" in text for text in found)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda m: m.pop(f"{KEY}.00.depth.png"), "member 00.depth.png is missing"),
        (lambda m: m.update({f"{KEY}.07.jpg": b"x"}), "member 07.jpg does not belong to it"),
        (lambda m: swap(m, "00.depth.png", "01.depth.png"), "pointmap.npy does not follow from depth and cameras"),
        (lambda m: swap(m, "00.instance.png", "01.instance.png"), "disagree with the instance masks"),
        (lambda m: swap(m, "00.jpg", "00.depth.png"), "member 00.jpg is not a whole JPEG of 128x96"),
        (lambda m: m.update({f"{KEY}.00.jpg": m[f"{KEY}.00.jpg"][:-200]}), "member 00.jpg is not a whole JPEG"),
        (lambda m: m.update({f"{KEY}.pointmap.npy": b"\x93NUMPY"}), "pointmap.npy cannot be read"),
        (lambda m: m.update({f"{KEY}.json": b"{}"}), "record JSON does not follow schema 1"),
        (lambda m: m.update({f"{KEY}.json": b"[" * 100_000}), "record JSON does not follow schema 1"),
        (edit_json(lambda f: f.update(key="scene0000_00-clip-99999")), "its key is 'scene0000_00-clip-99999'"),
        (edit_json(lambda f: f.update(frame_ids=[3, 0])), "frame_ids do not increase: [3, 0]"),
        (edit_json(lambda f: f.update(image_size=[64, 128])), "image_size is [64, 128], the recipe's is [128, 96]"),
        (
            edit_json(lambda f: f["camera_to_world"][0][0].__setitem__(0, 2.0)),
            "camera_to_world of frame 0 is not rigid",
        ),
        (edit_json(turned), "camera_to_first of frame 1 does not follow from camera_to_world"),
        (edit_json(lambda f: f["intrinsics"][1].__setitem__(0, -5.0)), "intrinsics are not finite, or a focal"),
        (edit_json(lambda f: f["intrinsics"][1].__setitem__(0, 1e999)), "intrinsics are not finite, or a focal"),
        (edit_json(lambda f: f["prompts"][0]["point"].__setitem__(0, 9.0)), "prompt 1: its point projects to"),
        (edit_json(lambda f: f["prompts"][0].update(index=1e999)), "does not follow schema 1: OverflowError"),
        (edit_json(lambda f: f["prompts"][0].update(pixel=[500, 3])), "pixel [500, 3] is outside the image"),
        (edit_json(lambda f: f["prompts"][0].update(label="unicorn")), "'unicorn', the record lists it as"),
        (edit_json(lambda f: f["objects"].pop(0)), "which is not listed"),
        (edit_json(lambda f: f["objects"][0].update(visible_pixels=[1, 2])), "visible_pixels [1, 2] disagree"),
        (edit_json(lambda f: f["objects"][0].update(rotation=[[1, 0, 0]] * 3)), "its box is not rigid"),
        (edit_json(lambda f: f["quality"].update(valid_depth=[0.5, 0.5])), "quality.valid_depth disagrees"),
        (
            edit_json(lambda f: f["quality"].update(neighbour_misalignment=0.2)),
            "quality.neighbour_misalignment is 0.2, beyond the recipe's",
        ),
        (edit_png("00.depth.png", lambda d: d + np.uint16(50)), "pointmap.npy does not follow from depth"),
        (
            edit_png("00.depth.png", lambda d: d.astype(np.uint8)),
            "00.depth.png is not a whole 16-bit grey PNG of 128x96",
        ),
        (edit_png("00.instance.png", lambda d: d * 0 + np.uint16(9)), "show object 8, which is not listed"),
    ],
)
def test_a_record_that_disagrees_with_itself_is_named(
    build: Path, change: Callable[[dict[str, bytes]], None], expected: str
) -> None:
    forge(build, change)
    found = defects(build)
    assert any(text.startswith(f"{TAR}: {KEY}: ") and expected in text for text in found), found


def test_a_wrong_prompt_mask_is_named(build: Path) -> None:
    with tarfile.open(build / TAR) as tar:
        name = next(item.name for item in tar if item.name.startswith(KEY) and item.name.endswith("prompt.png"))
    forge(build, edit_png(name.removeprefix(f"{KEY}."), lambda mask: np.where(mask > 0, 200, 0).astype(np.uint8)))
    assert any(
        "prompt mask of frame" in text and "shows [200], which are not prompts of that frame" in text
        for text in defects(build)
    )
    forge(build, edit_png(name.removeprefix(f"{KEY}."), lambda mask: mask * 0))
    assert any("does not cover its pixel" in text for text in defects(build))


def test_a_mark_in_a_frame_without_prompts_is_named(build: Path) -> None:
    with tarfile.open(build / TAR) as tar:
        record = json.load(tar.extractfile(f"{KEY}.json"))  # type: ignore[arg-type]
    marked = {prompt["frame"] for prompt in record["prompts"]}
    frame = next(frame for frame in range(len(record["frame_ids"])) if frame in marked)

    def forget(fields: dict[str, Any]) -> None:
        fields["prompts"] = [prompt for prompt in fields["prompts"] if prompt["frame"] != frame]

    forge(build, edit_json(forget))
    assert any(f"prompt mask of frame {frame} shows" in text for text in defects(build))


def test_a_damaged_header_is_found(build: Path) -> None:
    data = bytearray((build / TAR).read_bytes())
    at = data.index(f"{KEY}.00.jpg".encode())
    data[at : at + len(f"{KEY}.00.jpg")] = f"{KEY}.00.jpx".encode()
    (build / TAR).write_bytes(data)
    assert any(
        TAR in text and ("ends after" in text or "is damaged or truncated after" in text) for text in defects(build)
    )


def edit_file(build: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    fields = json.loads((build / name).read_text())
    change(fields)
    (build / name).write_text(json.dumps(fields))


def test_small_files_that_tell_another_story_are_named(clean: Path, tmp_path: Path) -> None:
    cases: list[tuple[str, Callable[[Path], Any], str]] = [
        (
            "unlink",
            lambda b: (b / "shard-000001.json").unlink(),
            "shard-000001.json: is missing: the shard is not committed",
        ),
        ("tar", lambda b: (b / TAR).unlink(), f"{TAR}: cannot be read: No such file or directory"),
        ("junk", lambda b: (b / "shard-000000.json").write_text("{"), "shard-000000.json: is not JSON"),
        ("stray", lambda b: (b / "shard-000077.tar").write_bytes(b""), "shard-000077.tar: does not belong to the plan"),
        ("index", lambda b: (b / "index.parquet").write_bytes(b"PAR1"), "index.parquet: cannot be read"),
        (
            "report",
            lambda b: edit_file(b, "report.json", lambda f: f.update(records=7)),
            "commit records about records",
        ),
        (
            "plan",
            lambda b: edit_file(b, "plan.json", lambda f: f.update(fingerprint="0")),
            "plan.json: its fingerprint",
        ),
        ("splits", lambda b: (b / "splits.json").unlink(), "splits.json: is missing: run build-shards again"),
        (
            "moved",
            lambda b: edit_file(b, "splits.json", lambda f: f.update(val=[TAR])),
            "splits.json: disagrees with the commit records about the tars of val",
        ),
        ("typed splits", lambda b: (b / "splits.json").write_text('{"train": 3}'), "splits.json: is malformed: train"),
        ("plan2", lambda b: (b / "plan.json").write_text("[]"), "plan.json: plan cannot be read"),
        (
            "lost",
            lambda b: edit_file(b, "shard-000000.json", lambda f: f["records"].pop(0)),
            f"shard-000000.json: does not say why it lacks {KEY}",
        ),
        (
            "other",
            lambda b: edit_file(b, "shard-000000.json", lambda f: f.update(fingerprint="0")),
            "shard-000000.json: was made for another plan: run build-shards again",
        ),
        (
            "typed",
            lambda b: edit_file(b, "shard-000000.json", lambda f: f["records"][0].update(members={"json": ["a", 3]})),
            "shard-000000.json: is malformed",
        ),
        (
            "scene",
            lambda b: edit_file(b, "shard-000000.json", lambda f: f.update(scenes=3)),
            "shard-000000.json: is malformed",
        ),
        (
            "beyond",
            lambda b: edit_file(
                b, "shard-000000.json", lambda f: f["records"][0]["members"].update({"00.jpg": [1 << 40, 9]})
            ),
            f"{TAR}: {KEY}: member 00.jpg lies beyond the end of the tar",
        ),
    ]
    for name, damage, expected in cases:
        build = Path(shutil.copytree(clean, tmp_path / name))
        damage(build)
        assert any(expected in text for text in defects(build)), (name, defects(build))


def test_an_index_that_disagrees_with_the_commits_is_named(build: Path) -> None:
    commits = [json.loads((build / f"shard-00000{index}.json").read_text()) for index in range(2)]
    commits[0]["records"][0]["members"]["00.jpg"][0] += 512
    write_index(build, commits)
    assert defects(build) == [f"index.parquet: {KEY}: disagrees with the commit record about members"]


def test_a_folder_without_a_build_is_a_mistake_and_no_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert "holds no build (no plan.json); give the directory of a build" in capsys.readouterr().err


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_damage_is_always_found_and_never_crashes(clean: Path, tmp_path: Path, data: st.DataObject) -> None:
    build = tmp_path / "random"
    shutil.rmtree(build, ignore_errors=True)
    shutil.copytree(clean, build)
    name = data.draw(
        st.sampled_from([TAR, "shard-000000.json", "index.parquet", "plan.json", "report.json", "splits.json"])
    )
    original = (build / name).read_bytes()
    content = bytearray(original)
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (build / name).write_bytes(content)
    found = defects(build)
    if name == TAR and bytes(content) != original:
        assert found


def test_members_in_another_order_than_committed_are_named(build: Path) -> None:
    commit = json.loads((build / "shard-000000.json").read_text())
    first, second = list(commit["records"][0]["members"].items())[1:3]
    commit["records"][0]["members"] |= {first[0]: second[1], second[0]: first[1]}
    (build / "shard-000000.json").write_text(json.dumps(commit))
    assert any(text.startswith(f"{TAR}: holds {KEY}.{first[0]} ") and "where" in text for text in defects(build))
