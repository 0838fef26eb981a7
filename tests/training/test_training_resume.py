"""Runs that are killed, go on on other numbers of processes, or are spread over several: the same run in the end."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gapdata.errors import ShardError, UsageError
from gapdata.shards.records import RecordList
from gapmodel.model_directory import load_model
from gapmodel.training.checkpointing import checkpoints
from gapmodel.training.logbook import read_log
from gapmodel.training.loop import train
from gapmodel.training.run import TrainingConfig
from tests.conftest import REPOSITORY
from tests.support.training_runs import MIXED, RECORDS, finish, start

STEPS = 10


def run(out: Path, **changes: Any) -> None:
    recipe = replace(MIXED, run=replace(MIXED.run, **changes))
    train(TrainingConfig(recipe=recipe, builds={"": RECORDS}, out=out, bar=False))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted")
    run(out)
    return out


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition: Callable[..., object], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_same_run(out: Path, other: Path) -> None:
    """Equal losses, gradients, learning rates and questions at every step, and equal weights."""
    lines, expected = read_log(out), read_log(other)
    assert [line["step"] for line in lines] == [line["step"] for line in expected] == list(range(STEPS))
    for one, two in zip(lines, expected, strict=True):
        assert sorted(one["keys"]) == sorted(two["keys"])
        for name in ("loss", "grad_norm", "lr"):
            assert one[name] == pytest.approx(two[name], rel=0, abs=1e-5)
    weights, wanted = (load_model(each)[0].state_dict() for each in (out, other))
    assert weights.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=5e-4)


def test_an_epoch_asks_every_question_once(uninterrupted: Path) -> None:
    asked = Counter(key for line in read_log(uninterrupted) for key in line["keys"])
    marked = [f"{r.key}/marked/{number}" for r in list(RECORDS)[:3] for number in range(len(r.prompts))]
    assert asked == Counter([*marked, *(f"{r.key}/boxes/0" for r in list(RECORDS)[:3])] * 2)


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_with_its_next_question_on_other_ranks_and_workers(
    uninterrupted: Path, tmp_path: Path
) -> None:
    processes = start(tmp_path, ranks=2, port=free_port())
    wait_until(lambda: len(read_log(tmp_path)) >= 5 or any(each.poll() is not None for each in processes))
    for process in processes:
        process.send_signal(signal.SIGKILL)
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [-signal.SIGKILL] * 2, outputs
    assert 5 <= len(read_log(tmp_path)) < STEPS
    assert checkpoints(tmp_path)
    run(tmp_path, workers=2)
    assert_same_run(tmp_path, uninterrupted)


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_moment_loses_only_the_steps_since_its_last_checkpoint(
    uninterrupted: Path, tmp_path: Path
) -> None:
    """Twice: in a step, and while a checkpoint is being written."""
    moments: list[Callable[[], bool]] = [
        lambda: len(read_log(tmp_path)) >= 2,
        lambda: any((tmp_path / "checkpoints").glob(".step-*.tmp")) and len(checkpoints(tmp_path)) >= 1,
    ]
    for moment in moments:
        (process,) = start(tmp_path, "run.save_every=1")
        wait_until(lambda moment=moment, process=process: moment() or process.poll() is not None)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        lines, saved = read_log(tmp_path), checkpoints(tmp_path)
        done = int(saved[-1].name.removeprefix("step-")) if saved else 0
        assert len(lines) - done <= 1
    run(tmp_path, save_every=1)
    assert_same_run(tmp_path, uninterrupted)
    assert len(checkpoints(tmp_path)) == MIXED.run.keep
    assert not list((tmp_path / "checkpoints").glob(".*"))


@pytest.mark.slow
def test_two_ranks_equal_one_process(uninterrupted: Path, tmp_path: Path) -> None:
    finish(start(tmp_path, ranks=2, port=free_port()))
    assert_same_run(tmp_path, uninterrupted)


def test_a_checkpoint_holds_no_frozen_weights(uninterrupted: Path) -> None:
    from torch.distributed.checkpoint.filesystem import FileSystemReader

    names = FileSystemReader(checkpoints(uninterrupted)[-1]).read_metadata().state_dict_metadata
    assert any(name.startswith("weights.model.model.fusion.") for name in names)
    assert {name.partition(".")[0] for name in names} == {"weights", "exp_avg", "exp_avg_sq", "step"}
    assert not any(part in name for name in names for part in (".visual.", ".geometry."))


def test_a_finished_run_is_not_made_again(uninterrupted: Path, tmp_path: Path) -> None:
    shutil.copytree(uninterrupted, tmp_path / "copy")
    before = (tmp_path / "copy" / "model" / "model.safetensors").stat().st_mtime_ns
    run(tmp_path / "copy")
    assert (tmp_path / "copy" / "model" / "model.safetensors").stat().st_mtime_ns == before
    assert read_log(tmp_path / "copy") == read_log(uninterrupted)


def test_another_recipe_or_other_data_are_refused_with_the_difference(uninterrupted: Path) -> None:
    config = TrainingConfig(recipe=MIXED, builds={"": RECORDS}, out=uninterrupted, bar=False)
    other = replace(MIXED, train=replace(MIXED.train, learning_rate=1e-4), mixture={"marked": {"visits": 2}})
    with pytest.raises(
        UsageError,
        match=r"holds a run of another recipe or other data: mixture\.marked\.visits was 4 and is 2, "
        r"mixture\.boxes\.task was detection and is absent, mixture\.boxes\.visits was 0 and is absent, "
        r"train\.learning_rate was 0\.002 and is 0\.0001; "
        r"train into a new --out directory, or start over with --overwrite",
    ):
        train(replace(config, recipe=other))
    with pytest.raises(UsageError, match=r"builds\.shards was \w+ and is \w+"):
        train(replace(config, builds={"": RecordList(list(RECORDS)[1:])}))


def damaged(uninterrupted: Path, tmp_path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """A copy of the run without its model, with a file of its last checkpoint changed; that checkpoint."""
    shutil.copytree(uninterrupted, tmp_path / "run", dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "run" / "model")
    last = checkpoints(tmp_path / "run")[-1]
    (last / name).write_bytes(change((last / name).read_bytes()))
    return last


def flipped(at: float) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        place = int(len(data) * at)
        return data[:place] + bytes([data[place] ^ 64]) + data[place + 1 :]

    return flip


@pytest.mark.parametrize("name", ["__0_0.distcp", ".metadata", "state.json"])
@pytest.mark.parametrize("at", [0.02, 0.31, 0.5, 0.77, 0.98])
def test_a_flipped_bit_in_a_checkpoint_is_found_and_the_file_named(
    uninterrupted: Path, tmp_path: Path, name: str, at: float
) -> None:
    last = damaged(uninterrupted, tmp_path, name, flipped(at))
    earlier = checkpoints(tmp_path / "run")[-2].name
    with pytest.raises(ShardError) as raised:
        run(tmp_path / "run")
    assert str(raised.value).startswith(f"{last}: {name} ")
    assert str(raised.value).endswith(f"; delete this folder and give the same command again to go on from {earlier}")


def test_after_the_damaged_checkpoint_is_deleted_the_run_ends_as_if_nothing_had_been(
    uninterrupted: Path, tmp_path: Path
) -> None:
    last = damaged(uninterrupted, tmp_path, "__0_0.distcp", lambda data: data[: len(data) // 2])
    with pytest.raises(ShardError, match=r"__0_0\.distcp is not what was written: its checksum differs; delete this"):
        run(tmp_path / "run")
    shutil.rmtree(last)
    run(tmp_path / "run")
    assert_same_run(tmp_path / "run", uninterrupted)


class Opens:
    """Pickles as a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.path), "w")


def with_valid_checksums(checkpoint: Path) -> None:
    """Write down what the files are now, as somebody who wants to be believed would."""
    state = json.loads((checkpoint / "state.json").read_bytes())
    del state["check"]
    for name in state["files"]:
        state["files"][name] = hashlib.sha256((checkpoint / name).read_bytes()).hexdigest()
    check = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
    (checkpoint / "state.json").write_text(json.dumps({**state, "check": check}))


def test_the_index_of_a_checkpoint_is_never_run(uninterrupted: Path, tmp_path: Path) -> None:
    last = damaged(uninterrupted, tmp_path, ".metadata", lambda data: pickle.dumps(Opens(tmp_path / "made")))
    with_valid_checksums(last)
    with pytest.raises(ShardError, match=r"\.metadata cannot be read: it names io\.open, which no checkpoint needs"):
        run(tmp_path / "run")
    assert not (tmp_path / "made").exists()


def test_the_index_of_a_checkpoint_sends_nobody_to_another_file(uninterrupted: Path, tmp_path: Path) -> None:
    def elsewhere(data: bytes) -> bytes:
        metadata = pickle.loads(data)  # noqa: S301, our own bytes
        metadata.storage_data = {
            key: replace(place, relative_path="../step-000001/__0_0.distcp")
            for key, place in metadata.storage_data.items()
        }
        return pickle.dumps(metadata)

    with_valid_checksums(damaged(uninterrupted, tmp_path, ".metadata", elsewhere))
    with pytest.raises(ShardError, match=r"names '\.\./step-000001/__0_0\.distcp', which is not a part"):
        run(tmp_path / "run")


def test_a_full_disk_is_named_and_nothing_half_written_stays_on_it(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the system refuses the write in the middle of a part."""
    script = (
        "import resource, signal, sys, tests.training.test_training_resume as t\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))\n"
        "t.run(t.Path(sys.argv[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert "the checkpoint cannot be written: [Errno 27] File too large" in last
    assert "the same command goes on from the last checkpoint" in last
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []
