"""What a bad day does to a build's directory: kills, stops, locks that fail, full disks, and files of strangers."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gapdata.engine.build_shard import ShardTask, build_shard
from gapdata.engine.driver import run_build
from gapdata.engine.executors.inline import InlineExecutor
from gapdata.errors import ShardError, UsageError
from gapdata.files import atomic
from gapdata.runtime.lock import HELD_NAME, exclusive
from gapdata.runtime.terminal import printable
from gapdata.shards.reader import ShardReader
from tests.support.builds import build, contents
from tests.support.executors import request_for


class Stopped(Exception):
    pass


def stop_after(shards: int) -> InlineExecutor:
    """An executor whose build ends after so many shards, as by a kill."""
    left = [shards]

    def work(task: ShardTask, progress: object) -> dict[str, object]:
        if not left[0]:
            raise Stopped
        left[0] -= 1
        return build_shard(task)

    return InlineExecutor(work)


def test_a_stopped_overwrite_goes_on_and_a_finished_one_starts_over(small_dataset: Path, tmp_path: Path) -> None:
    request = replace(request_for(small_dataset, tmp_path / "out"), overwrite=True)
    for _ in range(2):
        with pytest.raises(Stopped):
            run_build(request, stop_after(2))
        first = {path.name: path.stat().st_ino for path in (tmp_path / "out").glob("shard-*.json")}
        assert len(first) == 2
        run_build(request, stop_after(2))
        after = {path.name: path.stat().st_ino for path in (tmp_path / "out").glob("shard-*.json")}
        assert len(after) == 4
        assert first.items() <= after.items()


def test_a_build_whose_overwriting_was_killed_before_its_plan_says_how_to_go_on(
    small_dataset: Path, inline_build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".intention").write_text(json.dumps({"kind": "overwrite", "fingerprint": "x", "done": False}))
    (out / "shard-000000.tar").write_bytes(b"of the build before")
    with pytest.raises(UsageError, match="was being overwritten; give the same command with --overwrite again"):
        run_build(request_for(small_dataset, out), InlineExecutor())
    run_build(replace(request_for(small_dataset, out), overwrite=True), InlineExecutor())
    assert contents(out) == contents(inline_build)


def test_temporary_files_of_a_killed_build_do_not_stand_in_the_way(
    small_dataset: Path, inline_build: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".plan.json.0123456789ab.tmp").write_bytes(b"half")
    (out / ".lock").touch()
    run_build(request_for(small_dataset, out), InlineExecutor())
    assert contents(out) == contents(inline_build)


def test_where_flock_is_refused_a_file_says_who_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refused)
    with exclusive(tmp_path):
        with pytest.raises(UsageError, match=f"is in use by process {os.getpid()} on "), exclusive(tmp_path):
            pass
        assert (tmp_path / HELD_NAME).exists()
    assert not (tmp_path / HELD_NAME).exists()

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with exclusive(tmp_path):
        owner = json.loads((tmp_path / HELD_NAME).read_bytes())
    for host, taken in ((owner["host"], True), ("another", False)):
        (tmp_path / HELD_NAME).write_text(json.dumps({**owner, "pid": dead.pid, "host": host}))
        if taken:
            with exclusive(tmp_path):
                pass
        else:
            with pytest.raises(UsageError, match=f"on another; .*delete {tmp_path}"), exclusive(tmp_path):
                pass


def test_a_full_disk_is_named_and_nothing_stays_on_it(small_dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def full(task: ShardTask, progress: object) -> dict[str, object]:
        (out / ".shard-000003.tar.0123456789ab.tmp").write_bytes(b"of another worker")
        with atomic.atomic_file(out / "shard-000000.tar"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"No space left on device \(\d+ of \d+ bytes are free there") as caught:
        run_build(request_for(small_dataset, out), InlineExecutor(full))
    assert caught.value.filename == str(out / "shard-000000.tar")
    assert not list(out.glob(".*.tmp"))


def test_text_of_strangers_does_not_steer_the_terminal(
    small_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printable("a\x1b]0;pwned\x07\u202e\x9b\ud800\tb\n") == "a\\x1b]0;pwned\\x07\\u202e\\x9b\\ud800\tb\n"
    assert build(tmp_path / "no\x1b[31m", tmp_path / "out") == 2
    assert "\x1b" not in capsys.readouterr().err


def test_an_index_that_claims_gigabytes_is_refused_before_it_is_unpacked(inline_build: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(inline_build / "index.parquet").slice(0, 1)
    row = {name: table.column(name)[0].as_py() for name in table.schema.names} | {"key": "A" * (64 << 20)}
    columns = {name: pa.array([row[name]], table.schema.field(name).type) for name in row}
    pq.write_table(pa.table(columns, schema=table.schema), tmp_path / "index.parquet", compression="zstd")
    with pytest.raises(ShardError, match=r"states 1 rows and \d+ bytes unpacked in \d+ bytes"):
        ShardReader(tmp_path)
