"""Read this dataset with megatron-energon: a view of a room with its frames, depth, cameras and objects.

This file stands alone: it is copied beside the tars, and needs megatron-energon, numpy and Pillow.

    from megatron.energon import WorkerConfig, get_loader, get_train_dataset
    from cooker import RoomEncoder

    workers = WorkerConfig.default_worker_config(num_workers=2)
    views = get_train_dataset("DIR", batch_size=None, shuffle_buffer_size=100, max_samples_per_sequence=100,
                              worker_config=workers, task_encoder=RoomEncoder())
    for view in get_loader(views):
        print(view.fields["key"], view.images.shape, view.depth.shape)
"""

import io
import json
from typing import Any, ClassVar

import numpy as np
from megatron.energon import Cooker, DefaultTaskEncoder, Sample, basic_sample_keys, edataclass, stateless
from PIL import Image


@edataclass
class RoomView(Sample):
    """One view of a room."""

    fields: dict[str, Any]
    """The record: cameras (OpenCV axes, whole numbers are centres of pixels), objects, prompts, expressions."""
    images: np.ndarray  # (F, H, W, 3) uint8 RGB, without marks
    depth: np.ndarray  # (F, H, W) float32 metres along the optical axis, 0 without a value


@stateless
def cook_view(sample: dict[str, Any]) -> RoomView:
    """Return the view of a sample, whose parts are bytes: a decoder would squeeze 16-bit depth into 8 bits."""
    fields = json.loads(sample["json"])
    frames = range(len(fields["frame_ids"]))
    images = [np.asarray(Image.open(io.BytesIO(sample[f"{frame:02d}.jpg"])).convert("RGB")) for frame in frames]
    depth = [np.asarray(Image.open(io.BytesIO(sample[f"{frame:02d}.depth.png"]))) for frame in frames]
    return RoomView(
        **basic_sample_keys(sample),
        fields=fields,
        images=np.stack(images),
        depth=np.stack(depth).astype(np.float32) / 1000,
    )


class RoomEncoder(DefaultTaskEncoder):
    """Gives views; override ``encode_sample`` for what a model is fed."""

    decoder = None
    cookers: ClassVar[list[Any]] = [Cooker(cook_view)]
