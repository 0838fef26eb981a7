"""What comes back from an export is what went out, and an export goes on where it stopped."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.errors import ShardError, UsageError
from gapdata.export.export_build import export_build
from gapdata.records.expressions import conversations
from gapdata.shards.reader import ShardReader
from tests.support.export_builds import FILES, VAL, expected, load, tree


def test_the_import_of_an_export_gives_the_same_records(shards: Path, imported: Path) -> None:
    found = {(record.scene_id, record.view, record.frame_ids): record for record in ShardReader(imported)}
    originals = list(ShardReader(shards))
    assert {record.view for record in originals} == {"clip", "scene", "around"}
    assert len(found) == len(originals)
    for record in originals:
        other = found[record.scene_id, record.view, record.frame_ids]
        assert (other.split, other.image_size) == (record.split, record.image_size)
        for name in ("intrinsics", "camera_to_world", "camera_to_first", "axis_alignment"):
            np.testing.assert_array_equal(getattr(other, name), getattr(record, name))
        kept = {name for name in record.members if name.endswith((".jpg", "depth.png", "pointmap.npy"))}
        assert {name: other.members[name] for name in kept} == {name: record.members[name] for name in kept}
        asked = Counter((item.task, item.question, item.answer, item.mark) for item in conversations(other))
        assert asked == Counter(expected(record))


def test_exporting_the_import_gives_the_same_files(shards: Path, exported: Path, imported: Path) -> None:
    again = imported.parent / "again"
    export_build("gap-json", imported, again)
    first, second = tree(exported), tree(again)
    assert first.keys() == second.keys()
    texts = {name for name in first if name.startswith("annotations/")} | {"export.json", "report.json"}
    assert {name: first[name] for name in first.keys() - texts} == {name: second[name] for name in first.keys() - texts}
    for name in FILES:
        pairs = ([[item[key] for key in ("conversations", "images")] for item in load(folder, name)] for folder in
                 (exported, again))  # fmt: skip
        one, other = (sorted(map(json.dumps, items)) for items in pairs)
        assert one == other
        assert Counter(json.dumps(item.get("pixel_coords")) for item in load(exported, name)) == Counter(
            json.dumps(item.get("pixel_coords")) for item in load(again, name)
        )


def test_every_frame_is_written_once_and_counted(shards: Path, exported: Path) -> None:
    frames = {(record.scene_id, frame) for record in ShardReader(shards) for frame in record.frame_ids}
    images = sorted(exported.glob("posed_images/*/*.jpg"))
    assert {(path.parent.name, int(path.stem)) for path in images} == frames
    report = json.loads((exported / "report.json").read_text())
    assert report["frames"] == len(frames)
    assert report["records"] == report["exported"] == len(ShardReader(shards))
    assert report["scenes"] == {"train": 1, "val": 1}
    assert report["items"] == {name: len(load(exported, name)) for name in sorted(FILES)}
    assert report["left_out"] == {"scan2cap": {"the object has no proposal": 2}}
    assert report["notes"] == ["their loader's cross of 21 pixels is 13.5 times as large on these images as on "
                               "ScanNet's 1296"]  # fmt: skip
    assert (exported / "scannetv2_val.txt").read_text() == f"{VAL}\n"


def test_the_same_command_goes_on_where_it_stopped(shards: Path, exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "export"
    shutil.copytree(exported, out)
    lost = [out / "report.json", out / "annotations" / "scan2cap_val_4frames.json", *out.glob(f"posed_images/{VAL}/*")]
    for path in lost:
        path.unlink()
    assert main(["export", str(shards), "--format", "gap-json", "--out", str(out)]) == 0
    assert tree(out) == tree(exported)


def test_a_frame_that_holds_something_else_is_not_replaced(shards: Path, exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "export"
    shutil.copytree(exported, out)
    path = next(out.glob("posed_images/*/*.txt"))
    path.write_text("1 0 0 0")
    with pytest.raises(ShardError, match="differs from what this build holds; export to an empty folder"):
        export_build("gap-json", shards, out)
    assert path.read_text() == "1 0 0 0"


def test_a_folder_of_something_else_is_refused(shards: Path, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="is not empty and is not an export; name a new folder"):
        export_build("gap-json", shards, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UsageError, match="holds an export with another tasks, wording; name a new folder"):
        export_build("gap-json", shards, exported, tasks=("det",), wording="vgllm_v2")
