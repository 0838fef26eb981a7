"""A build for megatron-energon: its tars, their splits and sizes, and views that its own loader cooks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.export.export_build import export_build
from gapdata.shards.reader import ShardReader
from tests.support.export_builds import tree


@pytest.fixture(scope="module")
def folder(shards: Path) -> Path:
    out = shards.parent / "energon"
    assert main(["export", str(shards), "--format", "energon", "--out", str(out)]) == 0
    return out


def test_the_description_lists_every_tar_once_in_its_split_with_its_records(shards: Path, folder: Path) -> None:
    yaml = pytest.importorskip("yaml")
    described = yaml.safe_load((folder / ".nv-meta" / "split.yaml").read_text())
    parts, splits = described["split_parts"], json.loads((shards / "splits.json").read_text())
    assert {name: tars for name, tars in parts.items() if tars} == splits
    assert set(parts) == {"train", "val", "test"}
    dataset = yaml.safe_load((folder / ".nv-meta" / "dataset.yaml").read_text())
    assert (dataset["__module__"], dataset["__class__"]) == ("megatron.energon", "CrudeWebdataset")
    counts = json.loads((folder / ".nv-meta" / ".info.json").read_text())["shard_counts"]
    assert (
        set(counts) == {path.name for path in folder.glob("*.tar")} == {tar for tars in splits.values() for tar in tars}
    )
    records = list(ShardReader(shards))
    for split, tars in splits.items():
        assert sum(counts[tar] for tar in tars) == sum(record.split == split for record in records)
    for tar in counts:
        assert (folder / tar).read_bytes() == (shards / tar).read_bytes()


def test_an_interrupted_export_is_no_dataset_yet_and_goes_on(shards: Path, folder: Path, tmp_path: Path) -> None:
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        export_build("energon", shards, out, progress=stop)
    assert set(tree(out)) == {"export.json"}
    export_build("energon", shards, out)
    assert {name: data for name, data in tree(out).items() if name != "report.json"} == {
        name: data for name, data in tree(folder).items() if name != "report.json"
    }


def test_energon_itself_cooks_every_view(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    energon = pytest.importorskip("megatron.energon")
    out = tmp_path / "out"
    export_build("energon", shards, out)
    command = "import sys; from megatron.energon.cli.main import main; sys.exit(main())"
    prepare = [sys.executable, "-c", command, "prepare", str(out), "--non-interactive", "--tar-index-only"]
    subprocess.run(prepare, check=True)
    monkeypatch.syspath_prepend(str(out))
    from cooker import RoomEncoder  # type: ignore[import-not-found]

    workers = energon.WorkerConfig(rank=0, world_size=1, num_workers=0)
    order = {"shuffle_buffer_size": None, "max_samples_per_sequence": None, "repeat": False}
    views = energon.get_train_dataset(
        str(out), batch_size=None, worker_config=workers, task_encoder=RoomEncoder(), **order
    )
    found = {view.fields["key"]: view for view in energon.get_loader(views)}
    records = {record.key: record for record in ShardReader(shards) if record.split == "train"}
    assert set(found) == set(records)
    for key, record in records.items():
        for frame in range(len(record)):
            np.testing.assert_allclose(found[key].depth[frame], record.depth(frame), atol=1e-6)
            assert np.abs(found[key].images[frame].astype(int) - record.image(frame)).max() < 8
