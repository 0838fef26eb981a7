"""The index of a million records: what it costs to load, to choose from, and to read in a random order.

The index is generated with the writer's own schema, from the row of a record that was really written; each of its
records has the members of a clip of four frames. Measured in a process of its own, imports included.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.shards.test_shards import write_build

RECORDS, FRAMES, PER_SHARD = 1_000_000, 4, 400
LOAD_SECONDS, PEAK_BYTES = 2.0, 500_000_000

MEASURE = """
import json, sys, time
from gapdata.shards.reader import ShardReader
def peak():  # not ru_maxrss, which begins at what the process that started this one had
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
def timed(work):
    started = time.process_time()
    return work(), time.process_time() - started
import numpy, pyarrow.parquet
imported = peak()
reader, load = timed(lambda: ShardReader(sys.argv[1]))
after = peak()
chosen, select = timed(lambda: reader.select(split="train", view="clip"))
order, ordered = timed(lambda: reader.order(seed=0, split="train", view="clip"))
first, epoch = timed(lambda: order.positions(0, 1000))
_, again = timed(lambda: [order.positions(1000 * step, 1000) for step in range(100)])
_, spans = timed(lambda: [reader.span(index) for index in first.tolist()])
print(json.dumps({"records": len(reader), "chosen": len(chosen), "imported": imported, "loaded": after, "peak": peak(),
    "load": load, "select": select, "order": ordered, "epoch": epoch, "batch": again / 100, "span": spans / 1000}))
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("million")
    write_build(folder)
    schema = pq.read_schema(folder / "index.parquet")
    suffixes = ("jpg", "depth.png", "instance.png", "prompt.png")
    names = ["json", *(f"{frame:02d}.{suffix}" for frame in range(FRAMES) for suffix in suffixes), "pointmap.npy"]
    rng = np.random.default_rng(0)
    sizes = rng.integers(1_000, 60_000, (RECORDS, len(names)))
    blocks = 512 + -(-sizes // 512) * 512
    ends = np.cumsum(blocks.reshape(RECORDS // PER_SHARD, -1), axis=1).reshape(sizes.shape)
    place = pa.StructArray.from_arrays(
        [
            pa.DictionaryArray.from_arrays(
                pa.array(np.tile(np.arange(len(names), dtype=np.int32), RECORDS)), pa.array(names)
            ).cast(pa.string()),
            pa.array((ends - blocks + 512).reshape(-1)),
            pa.array(sizes.reshape(-1)),
        ],
        names=["name", "offset", "size"],
    )
    lists = pa.ListArray.from_arrays(pa.array(np.arange(RECORDS + 1, dtype=np.int32) * len(names)), place)
    frames = np.arange(RECORDS * FRAMES, dtype=np.int32)
    columns = {
        "key": pa.array([f"scene{i // 700:04d}_{i % 7:02d}-clip-{i:07d}" for i in range(RECORDS)]),
        "shard": pa.array([f"shard-{i // PER_SHARD:06d}" for i in range(RECORDS)]),
        "scene_id": pa.array([f"scene{i // 700:04d}_{i % 7:02d}" for i in range(RECORDS)]),
        "split": pa.array(["val" if i % 10 == 0 else "train" for i in range(RECORDS)]),
        "view": pa.array(["scene" if i % 50 == 0 else "clip" for i in range(RECORDS)]),
        "frame_ids": pa.ListArray.from_arrays(
            pa.array(np.arange(RECORDS + 1, dtype=np.int32) * FRAMES), pa.array(frames)
        ),
        "members": lists,
    }
    numbers = {
        field.name: pa.array(rng.integers(0, 30, RECORDS)).cast(field.type)
        for field in schema
        if field.name not in columns
    }
    table = pa.Table.from_pydict({field.name: {**columns, **numbers}[field.name] for field in schema}, schema=schema)
    pq.write_table(table, folder / "index.parquet", compression="zstd")
    return folder


def test_the_index_of_a_million_records_is_light(build: Path) -> None:
    result = subprocess.run([sys.executable, "-c", MEASURE, str(build)], capture_output=True, text=True, check=True)
    found = json.loads(result.stdout)
    size = (build / "index.parquet").stat().st_size
    print(
        f"\nindex of {found['records']:,} records, {size / 1e6:.0f} MB: loaded in {found['load']:.2f} s CPU "
        f"(at most {LOAD_SECONDS}), process {found['imported'] / 2**20:.0f} MiB before, "
        f"{found['loaded'] / 2**20:.0f} after, "
        f"{found['peak'] / 2**20:.0f} after all that follows (at most {PEAK_BYTES / 1e6:.0f} MB); "
        f"select {found['select']:.2f} s, order {found['order']:.2f} s, first batch of an epoch "
        f"{found['epoch']:.2f} s, "
        f"further ones {1e3 * found['batch']:.2f} ms, a record's span {1e6 * found['span']:.1f} us"
    )
    assert found["load"] < LOAD_SECONDS
    assert found["peak"] < PEAK_BYTES
