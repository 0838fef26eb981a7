"""What a file's scenes are for is told by the scenes, else said by somebody, and never guessed: a renamed validation
file must not be trained on.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import pytest

from gapdata.annotations.annotation_file import AnnotationFile, named_split
from gapdata.annotations.bundle import Gathered, gather
from gapdata.commands.argument_types import annotation_file
from gapdata.commands.main import main
from gapdata.errors import UsageError
from tests.support.annotation_records import (
    conversation,
    detection,
    images,
    sample,
    sentence,
    write_embodiedscan,
    write_json,
)
from tests.support.builds import build
from tests.support.scannet_scenes import write_scene

TRAIN, VAL, NOBODY = "scene0000_00", "scene0001_00", "scene0002_00"
SPLITS = {TRAIN: "train", VAL: "val", NOBODY: "unknown"}
BOX = ("chair", [0, 0, 1, 1, 1, 1, 0.1, 0.2, 0.3])
CAPTION = "<image>Carefully watch the video and describe the object located at [1, 2, 3] in detail."


def write(path: Path, kind: str, *scenes: str) -> Path:
    """A file of a kind about some scenes."""
    if kind == "embodiedscan":
        return write_embodiedscan(path, [sample(scene) for scene in scenes])
    if kind == "scanrefer":
        return write_json(path, [sentence(scene) for scene in scenes])
    if kind == "proposals":
        return write_json(path, {f"scannet/{scene}": [[0, 0, 0, 1, 1, 1]] for scene in scenes})
    if kind == "detection":
        items = [{**detection([BOX], (1, 31)), "images": images((1, 31), scene)} for scene in scenes]
    elif kind == "reconstruction":
        marked = {"pixel_coords": [0, 5, 6]}
        items = [conversation("<image>?", '{"pointmap": [1, 2, 3]}', images((7,), scene), **marked) for scene in scenes]
    else:
        items = [conversation(CAPTION, "A chair.", images((7,), scene)) for scene in scenes]
    return write_json(path, items)


def read(*files: Path | AnnotationFile, allowed: bool = False) -> Gathered:
    found = gather(files, SPLITS, scene_splits=SPLITS)
    if found.report.contradictions and not allowed:
        raise found.report.contradictions[0]
    return found


def splits_of(found: Gathered) -> dict[str, str | None]:
    return {scene: item.provenance[0].split for scene, item in found.scenes.items()}


@pytest.mark.parametrize("kind", ["embodiedscan", "detection", "reconstruction"])
def test_a_validation_file_under_another_name_is_not_guessed_to_be_for_training(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "boxes.bin", kind, TRAIN)
    with pytest.raises(UsageError) as caught:
        read(path)
    assert str(caught.value) == (
        f"{path}: has scenes of an unknown split: 1 (such as {TRAIN}) may belong to train or val, and the file's "
        f"name does not say which; state it: --annotations val={path} (or train=)"
    )
    for split in ("train", "val"):
        assert splits_of(read(AnnotationFile(path=path, split=split))) == {TRAIN: split}
        assert splits_of(read(path.rename(tmp_path / f"{kind}_{split}.bin"))) == {TRAIN: split}
        (tmp_path / f"{kind}_{split}.bin").rename(path)


@pytest.mark.parametrize(
    ("kind", "scene", "split"),
    [
        ("embodiedscan", VAL, "test"),
        ("scanrefer", TRAIN, "train"),
        ("scanrefer", VAL, "val"),
        ("caption", TRAIN, "train"),
        ("caption", VAL, "val"),
        ("proposals", VAL, "val"),
    ],
)
def test_where_the_scenes_tell_the_split_no_name_is_needed(tmp_path: Path, kind: str, scene: str, split: str) -> None:
    found = read(write(tmp_path / "file.bin", kind, scene))
    assert splits_of(found) == {scene: split}
    (report,) = found.report.files
    assert (report.split, report.split_from) == (split, "its scenes")
    assert f"split {split} (from its scenes)" in found.report.lines()[0]


def test_a_file_of_several_splits_gives_each_scene_its_own(tmp_path: Path) -> None:
    found = read(write(tmp_path / "all.json", "scanrefer", TRAIN, VAL))
    assert splits_of(found) == {TRAIN: "train", VAL: "val"}
    assert found.report.files[0].notes == {"splits": "1 scene train, 1 scene val"}
    assert found.report.files[0].split is None


@pytest.mark.parametrize("kind", ["embodiedscan", "scanrefer", "caption", "detection", "proposals"])
def test_a_name_that_the_scenes_contradict_is_refused_with_both(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "file_train.bin", kind, VAL, *([] if kind == "detection" else [TRAIN]))
    with pytest.raises(UsageError) as caught:
        read(path)
    said = str(caught.value)
    assert "its name says split train, but by the data set's split files 1 of its " in said
    assert f"(such as {VAL}) belongs to " in said
    assert "; state its split: --annotations " in said


def test_what_the_user_says_counts_unless_it_would_train_on_an_evaluation_split(tmp_path: Path) -> None:
    path = write(tmp_path / "file.pkl", "embodiedscan", VAL)
    assert splits_of(read(AnnotationFile(path=path, split="val"))) == {VAL: "val"}
    with pytest.raises(
        UsageError,
        match=r"the command line says split train, but .* or set annotations\.allow_overlap = true",
    ):
        read(AnnotationFile(path=path, split="train"))
    found = read(AnnotationFile(path=path, split="train"), allowed=True)
    assert splits_of(found) == {VAL: "train"}
    assert found.report.files[0].notes == {"in another split of the data set": f"1 scene, such as {VAL}"}
    assert splits_of(read(AnnotationFile(path=path, split="unknown"))) == {VAL: None}


@pytest.mark.parametrize("kind", ["embodiedscan", "scanrefer", "caption", "detection"])
def test_where_the_data_set_has_no_splits_either_somebody_must_say(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "file.bin", kind, NOBODY)
    with pytest.raises(UsageError, match="may belong to test or train or val, and the file's name does not say which"):
        read(path)
    assert splits_of(read(AnnotationFile(path=path, split="val"))) == {NOBODY: "val"}
    assert read(write(tmp_path / "other.bin", kind, "scene0707_00")).scenes == {}, "nothing of it is used"


def test_proposals_teach_nothing_and_may_do_without(tmp_path: Path) -> None:
    assert splits_of(read(write(tmp_path / "boxes.json", "proposals", NOBODY))) == {NOBODY: None}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("embodiedscan_infos_val.pkl", "val"),
        ("infos-Train.pkl", "train"),
        ("validation.json", "val"),
        ("x_training_2.json", "train"),
        ("det_test.json", "test"),
        ("det_unknown_4frames.json", "unknown"),
        ("interval.json", None),
        ("evaluate.json", None),
        ("trainval.json", None),
        ("train_val.json", None),
        ("latest.json", None),
        ("attest.json", None),
    ],
)
def test_which_split_a_name_says(name: str, split: str | None) -> None:
    assert named_split(Path("train") / name) == split


def test_a_split_before_a_file_is_taken_off_and_a_slip_in_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert annotation_file("val=a=b.pkl") == AnnotationFile(path=Path("a=b.pkl"), split="val")
    assert annotation_file("./val=a.pkl").split is None
    assert annotation_file("x=y.json") == AnnotationFile(path=Path("x=y.json"))
    with pytest.raises(argparse.ArgumentTypeError, match="split 'valid' is unknown; did you mean val"):
        annotation_file("valid=a.pkl")
    (tmp_path / "valid=a.pkl").touch()
    assert annotation_file("valid=a.pkl").split is None


def test_no_record_of_a_renamed_validation_file_is_for_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the command line, with recipes that let the data set decide and that let the files decide."""
    root = tmp_path / "in"
    write_scene(root / TRAIN, frames=8)
    (root / "scannetv2_train.txt").write_text(f"{TRAIN}\n")
    path = write(tmp_path / "boxes.pkl", "embodiedscan", TRAIN)
    own, theirs = (["--set", f"annotations.splits={value}"] for value in ("false", "true"))
    for by_files, said in itertools.product((own, theirs), ("", "val=", "train=")):
        out = tmp_path / f"out-{by_files == theirs}-{said.rstrip('=')}"
        status = build(root, out, "--annotations", f"{said}{path}", *by_files)
        problem = capsys.readouterr().err
        if not said:
            assert (status, out.exists()) == (2, False)
            assert "has scenes of an unknown split" in problem
        elif said == "val=" and by_files == own:
            assert status == 2
            assert f"{TRAIN} is trained on by the data set (train) and evaluated on by boxes.pkl (val)" in problem
        else:
            assert status == 0, problem
            assert main(["status", str(out)]) == 0
            assert f"  {said.rstrip('=')}: " in capsys.readouterr().out


@pytest.mark.parametrize("by_files", [False, True])
def test_a_name_that_contradicts_the_scenes_stops_the_build_and_names_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], by_files: bool
) -> None:
    root = tmp_path / "in"
    write_scene(root / VAL, frames=8)
    (root / "scannetv2_val.txt").write_text(f"{VAL}\n")
    path = write(tmp_path / "boxes_train.pkl", "embodiedscan", VAL)
    words = ("--annotations", str(path), "--set", f"annotations.splits={str(by_files).lower()}", "--dry-run")
    assert build(root, tmp_path / "out", *words) == 2
    said = capsys.readouterr().err
    if by_files:
        assert f"{path}: its name says split train, but by the data set's split files 1 of its 1 scene" in said
        assert f"(such as {VAL}) belongs to test" in said
    else:
        assert f"{VAL} is trained on by boxes_train.pkl (train) and evaluated on by the data set (val)" in said
