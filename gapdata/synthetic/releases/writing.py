"""The release files of a whole dataset, assembled from the facts of its scenes, one scene at a time.

```
annotations/
  embodiedscan_infos_{train,val,test}.pkl           ScanRefer_filtered_{train,val}.json
  mask/<scene>.mask.npz                             scannet_{train,val}_pred_box.json
  scannet_det_{train,val}_4frames.json              scannet_recons_{train,val}_4frames.json
  scanrefer_{train,val}_32frames_stage{1,2}.json    scan2cap_{train,val}_32frames.json
```
Detection and reconstruction follow EmbodiedScan's splits, the rest ScanNet's, as the published files do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from gapdata.files.atomic import atomic_file, write_atomically
from gapdata.files.json_items import JsonList
from gapdata.synthetic.releases.conversations import detection_items, reconstruction_items
from gapdata.synthetic.releases.embodiedscan import embodiedscan_splits, infos_bytes
from gapdata.synthetic.releases.facts import SceneFacts
from gapdata.synthetic.releases.grounding import caption_items, grounding_items
from gapdata.synthetic.releases.scanrefer import scanrefer_items

FOLDER = "annotations"


def write_masks(out: Path, scene_id: str, data: bytes) -> None:
    """``mask/<scene>.mask.npz`` below a dataset's annotations."""
    folder = out / FOLDER / "mask"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{scene_id}.mask.npz", data)


def write_releases(out: Path, scenes: Sequence[SceneFacts], splits: Mapping[str, list[str]]) -> None:
    """All files that span scenes. ``splits`` are ScanNet's lists of scene ids."""
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    by_id = {facts.scene_id: facts for facts in scenes}
    resplit = embodiedscan_splits(dict(splits))
    for name, members in resplit.items():
        write_atomically(folder / f"embodiedscan_infos_{name}.pkl", infos_bytes(by_id[k] for k in members))
    for name in ("train", "val"):
        evaluation = name == "val"
        _write_clips(folder, name, [by_id[k] for k in resplit[name]], evaluation=evaluation)
        _write_language(folder, name, [by_id[k] for k in splits[name]], evaluation=evaluation)
        boxes = {f"scannet/{k}": by_id[k].proposals for k in splits[name]}
        write_atomically(folder / f"scannet_{name}_pred_box.json", json.dumps(boxes).encode())


def _write_clips(folder: Path, name: str, scenes: Sequence[SceneFacts], *, evaluation: bool) -> None:
    with ExitStack() as stack:
        detection = JsonList(stack.enter_context(atomic_file(folder / f"scannet_det_{name}_4frames.json")))
        points = JsonList(stack.enter_context(atomic_file(folder / f"scannet_recons_{name}_4frames.json")))
        for facts in scenes:
            detection.extend(detection_items(facts, evaluation=evaluation))
            points.extend(reconstruction_items(facts, evaluation=evaluation))
        detection.close()
        points.close()


def _write_language(folder: Path, name: str, scenes: Sequence[SceneFacts], *, evaluation: bool) -> None:
    names = (
        f"ScanRefer_filtered_{name}.json", f"scan2cap_{name}_32frames.json",
        f"scanrefer_{name}_32frames_stage1.json", f"scanrefer_{name}_32frames_stage2.json",
    )  # fmt: skip
    with ExitStack() as stack:
        files = [JsonList(stack.enter_context(atomic_file(folder / file))) for file in names]
        refer, caption, first, second = files
        for facts in scenes:
            refer.extend(scanrefer_items(facts))
            caption.extend(caption_items(facts, evaluation=evaluation))
            for one, two in grounding_items(facts, evaluation=evaluation):
                first.extend([one])
                second.extend([two])
        for file in files:
            file.close()
