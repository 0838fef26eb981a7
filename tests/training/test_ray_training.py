"""Training as a job on a real Ray head: the README's way, with two CPU workers."""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gapmodel.commands.main import main
from gapmodel.model_directory import load_model
from gapmodel.training.logbook import read_log
from gapmodel.training.ray_train import last_line
from tests.support.ray_heads import Cluster

SMALLER = [
    "processor.image_size=[64,32]",
    "model.text.num_hidden_layers=2",
    "model.text.hidden_size=64",
    "model.text.intermediate_size=128",
    "data.split=unknown",
    "train.batch_size=4",
    "run.save_every=2",
    "run.threads=1",
]


def options(shards: Path, out: Path, *more: str) -> list[str]:
    overrides = [part for setting in SMALLER for part in ("--set", setting)]
    return ["--shards", str(shards), "--out", str(out), *overrides, *more]


@pytest.mark.slow
def test_submitted_jobs_train_both_stages_and_refuse_another_recipe(
    cluster: Cluster, inline_build: Path, tmp_path: Path
) -> None:
    """Two ranks, then one; the second stage and two refusals run beside each other."""
    pytest.importorskip("pandas", reason="Ray Train needs it: pip install 'ray[train]'")
    one, two = tmp_path / "one", tmp_path / "two"
    given = options(inline_build, one, "--steps", "4", "--ranks", "2")
    result = cluster.submit("python", "pipelines/pretrain.py", *given)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "training with 2 ranks on the Ray cluster at" in result.stdout
    assert [line["step"] for line in read_log(one)] == list(range(4))
    assert not (one / "ray").exists()
    parts = {path.name for path in (one / "checkpoints" / "step-000004").glob("*.distcp")}
    assert len(parts) == 2

    second = options(inline_build, two, "--init", str(one), "--steps", "2", "--ranks", "1", "--json")
    longer = options(inline_build, one, "--steps", "9", "--ranks", "1")
    crowd = [sys.executable, "pipelines/pretrain.py", *options(inline_build, tmp_path / "crowd", "--ranks", "8")]
    with ThreadPoolExecutor() as pool:
        crowded = pool.submit(cluster.run, *crowd, by_address_of_head=True)
        stage_two = pool.submit(cluster.submit, "python", "pipelines/finetune.py", *second)
        refused = pool.submit(cluster.submit, "python", "pipelines/pretrain.py", *longer).result()
        result, too_many = stage_two.result(), crowded.result()
    assert result.returncode == 0, result.stdout + result.stderr
    outcome = json.loads(next(line for line in result.stdout.splitlines() if line.startswith("{")))
    assert outcome["steps"] == 2
    assert outcome["model_directory"] == str(two / "model")
    assert load_model(two)[0].config.text_config.num_hidden_layers == 2
    assert refused.returncode == 1
    assert "holds a run of another recipe or other data: train.steps was 4 and is 9" in refused.stdout
    assert "Traceback" not in refused.stdout
    told = "--ranks needs 8 CPUs, one for each rank, but the cluster has 2 CPUs"
    assert f"{told}; waiting 30 s for it to grow\n" in too_many.stderr
    assert f"pretrain.py: {told} and does not grow; ask for fewer --ranks" in too_many.stderr
    assert too_many.returncode == 2
    assert not (tmp_path / "crowd").exists()


def test_a_job_refuses_paths_in_its_temporary_copy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert main(["train", "--stage", "pretrain", "--shards", str(tmp_path), "--out", "runs/one"]) == 2
    refusal = "gapmodel: runs/one: --out is relative to the job's temporary copy of the working directory;"
    assert capsys.readouterr().err.startswith(refusal)


def test_the_last_line_of_a_growing_log_is_a_whole_one(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert last_line(log) is None
    log.write_text('{"step": 0}\n{"step": 1}\n{"st')
    assert last_line(log) == {"step": 1}
    log.write_text("".join(json.dumps({"step": step}) + os.linesep for step in range(9000)) + '{"step')
    assert last_line(log, most=64) == {"step": 8999}
