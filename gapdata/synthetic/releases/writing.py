"""Write the release files of a whole dataset from the facts of its scenes, one scene at a time.

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
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from gapdata.files.atomic import atomic_file, write_atomically
from gapdata.files.json_items import JsonList
from gapdata.synthetic.releases.conversations import Item, detection_items, reconstruction_items
from gapdata.synthetic.releases.embodiedscan import embodiedscan_splits, infos_bytes
from gapdata.synthetic.releases.facts import SceneFacts
from gapdata.synthetic.releases.grounding import caption_items, grounding_items, scanrefer_items

Lists = tuple[Iterable[Item], ...]
"""A scene's items of several files."""
CLIPS = ("scannet_det_{}_4frames.json", "scannet_recons_{}_4frames.json")
LANGUAGE = (
    *("ScanRefer_filtered_{}.json", "scan2cap_{}_32frames.json"),
    *("scanrefer_{}_32frames_stage1.json", "scanrefer_{}_32frames_stage2.json"),
)
FOLDER = "annotations"


def write_masks(out: Path, scene_id: str, data: bytes) -> None:
    """Write ``mask/<scene>.mask.npz`` below a dataset's annotations."""
    folder = out / FOLDER / "mask"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{scene_id}.mask.npz", data)


def write_releases(out: Path, scenes: Sequence[SceneFacts], splits: Mapping[str, list[str]]) -> None:
    """Write all files that span scenes; ``splits`` are ScanNet's lists of scene ids."""
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    by_id = {facts.scene_id: facts for facts in scenes}
    resplit = embodiedscan_splits(dict(splits))
    for name, members in resplit.items():
        write_atomically(folder / f"embodiedscan_infos_{name}.pkl", infos_bytes(by_id[k] for k in members))
    for name in ("train", "val"):
        evaluation = name == "val"
        files = [folder / file.format(name) for file in CLIPS]
        _write_lists(files, [by_id[k] for k in resplit[name]], partial(_clip_items, evaluation=evaluation))
        files = [folder / file.format(name) for file in LANGUAGE]
        _write_lists(files, [by_id[k] for k in splits[name]], partial(_language_items, evaluation=evaluation))
        boxes = {f"scannet/{k}": by_id[k].proposals for k in splits[name]}
        write_atomically(folder / f"scannet_{name}_pred_box.json", json.dumps(boxes).encode())


def _write_lists(paths: Sequence[Path], scenes: Sequence[SceneFacts], make: Callable[[SceneFacts], Lists]) -> None:
    with ExitStack() as stack:
        files = [JsonList(stack.enter_context(atomic_file(path))) for path in paths]
        for facts in scenes:
            for file, items in zip(files, make(facts), strict=True):
                file.extend(items)
        for file in files:
            file.close()


def _clip_items(facts: SceneFacts, *, evaluation: bool) -> Lists:
    return detection_items(facts, evaluation=evaluation), reconstruction_items(facts, evaluation=evaluation)


def _language_items(facts: SceneFacts, *, evaluation: bool) -> Lists:
    pairs = list(grounding_items(facts, evaluation=evaluation))
    captions = caption_items(facts, evaluation=evaluation)
    return scanrefer_items(facts), captions, [first for first, _ in pairs], [second for _, second in pairs]
