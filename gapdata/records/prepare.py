"""Make the parts of a frame that a record stores: the resized image, the registered depth and the instance mask."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.frames.resize import ResizePlan, plan_resize
from gapdata.frames.sharpness import sharpness
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.depth_scales import NO_READING
from gapdata.geometry.registration import register_depth
from gapdata.prompts.instances import InstanceMasks, pixels_by_value
from gapdata.prompts.sampling import InteriorPixels
from gapdata.records.codec import MILLIMETRES_PER_METRE, decode_png, encode_jpeg, encode_png
from gapdata.records.frames_ahead import FramesAhead
from gapdata.sources.base import Scan


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSettings:
    """The way frames are stored: see the ``[frames]`` section of the recipe."""

    image_size: tuple[int, int]  # (width, height)
    jpeg_quality: int
    near: float  # metres
    far: float  # metres
    min_confidence: int  # 0 to 2; readings of which the sensor is less sure are left out
    swap_portrait: bool  # whether frames that are higher than wide are stored so
    min_valid_depth: float  # share of pixels


class FrameObjects:
    """The pixels of a frame by the objects that they show; both results are made when they are first asked for.

    Args:
        mask: (H, W) uint16 object id + 1, 0 none.
        depth: (H, W) uint16, 0 where invalid.
    """

    def __init__(self, mask: NDArray[np.uint16], depth: NDArray[np.uint16]) -> None:
        self._mask, self._depth = mask, depth
        self._interiors: dict[int, InteriorPixels] = {}

    @cached_property
    def pixels(self) -> NDArray[np.int64]:
        """Pixels by value, (n,) (:func:`gapdata.prompts.instances.pixels_by_value`)."""
        return pixels_by_value(self._mask)

    def interior(self, border: int) -> InteriorPixels:
        """Return the pixels where prompts may lie."""
        if border not in self._interiors:
            self._interiors[border] = InteriorPixels(self._mask, self._depth > 0, border)
        return self._interiors[border]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedFrame:
    """A frame at training size."""

    frame_id: int
    camera: Intrinsics
    jpeg: bytes
    depth_png: bytes
    instance_png: bytes | None
    depth: NDArray[np.uint16]  # (H, W) millimetres, registered, 0 invalid
    objects: FrameObjects | None  # None without annotation
    sharpness: float  # see gapdata.frames.sharpness

    def packed(self) -> PackedFrame:
        """Return the frame without what can be decoded from its members."""
        return PackedFrame(
            frame_id=self.frame_id,
            camera=self.camera,
            jpeg=self.jpeg,
            depth_png=self.depth_png,
            instance_png=self.instance_png,
            sharpness=self.sharpness,
        )

    @property
    def valid_depth(self) -> float:
        """Share of pixels with valid depth."""
        return float(np.count_nonzero(self.depth)) / self.depth.size


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFrame:
    """A :class:`PreparedFrame` in about a tenth of its memory."""

    frame_id: int
    camera: Intrinsics
    jpeg: bytes
    depth_png: bytes
    instance_png: bytes | None
    sharpness: float

    def unpacked(self) -> PreparedFrame:
        """Return the frame with its depth and objects decoded."""
        depth = decode_png(self.depth_png)
        return PreparedFrame(
            frame_id=self.frame_id,
            camera=self.camera,
            jpeg=self.jpeg,
            depth_png=self.depth_png,
            instance_png=self.instance_png,
            depth=depth,
            objects=None if self.instance_png is None else FrameObjects(decode_png(self.instance_png), depth),
            sharpness=self.sharpness,
        )


class FramePreparer:
    """The frames of one scan at training size; the last few are kept, because neighbouring clips share frames.

    Args:
        scan: where frames come from.
        settings: how they are stored.
        masks: gives instance masks; ``None`` for a scan without annotation.
        capacity: how many frames are kept; at 512x384 one takes about 1 MB, with objects 2 MB.
    """

    def __init__(self, scan: Scan, settings: FrameSettings, masks: InstanceMasks | None, capacity: int = 48) -> None:
        self._scan = scan
        self._settings = settings
        self._masks = masks
        self._capacity = capacity
        self.image_size = stored_size(scan.color_intrinsics, settings)
        self._recent: OrderedDict[int, PreparedFrame] = OrderedDict()
        self._depths: OrderedDict[int, NDArray[np.uint16]] = OrderedDict()
        self._hidden: OrderedDict[int, NDArray[np.bool_]] = OrderedDict()
        self._ahead = FramesAhead(lambda frame: self._make(frame).packed()) if scan.in_order else None

    @property
    def scene_id(self) -> str:
        """The scan's id."""
        return self._scan.scene_id

    @property
    def typical_camera(self) -> Intrinsics:
        """Intrinsics of a stored frame of the scan's own intrinsics; those of single frames may differ a little."""
        return plan_resize(self._scan.color_intrinsics, self.image_size, self._scan.color_lens).camera

    def camera(self, frame: int) -> Intrinsics:
        """Return the intrinsics of a frame as it is stored."""
        return self._resize(frame).camera

    def expect(self, views: Iterable[Sequence[int]]) -> None:
        """Say which frames views are going to ask for, so that frames in the order of a video are decoded once."""
        if self._ahead is not None:
            self._ahead.expect(views)

    def has_depth(self, frame: int) -> bool:
        """Return whether the frame's registered depth reaches the settings' valid share.

        Raises:
            SourceError: the frame is damaged.
        """
        depth = self.depth(frame)
        return bool(np.count_nonzero(depth) >= max(1, self._settings.min_valid_depth * depth.size))

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """Return the frame's registered depth at training size, (H, W) uint16 millimetres, 0 invalid.

        Raises:
            SourceError: the frame is damaged.
        """
        if frame in self._recent:
            return self._recent[frame].depth
        if self._ahead is None or frame in self._depths:
            return self._registered_depth(frame)
        self._ahead.reach(frame)  # masks of pixels may be a video, too
        kept = self._ahead.kept(frame)
        return self._registered_depth(frame) if kept is None else decode_png(kept.depth_png)

    def prepare(self, frame: int) -> PreparedFrame:
        """Return the frame at training size.

        Raises:
            SourceError: the frame's colour or depth is damaged.
        """
        if frame in self._recent:
            self._recent.move_to_end(frame)
            if self._ahead is not None:
                self._ahead.used(frame)
            return self._recent[frame]
        prepared = self._make(frame) if self._ahead is None else self._ahead.take(frame).unpacked()
        _remember(self._recent, frame, prepared, self._capacity)
        return prepared

    def _make(self, frame: int) -> PreparedFrame:
        resize = self._resize(frame)
        image = resize.apply(self._scan.color(frame, resize.reduction))
        depth = self._registered_depth(frame)
        instances = self._instances(frame, depth)
        return PreparedFrame(
            frame_id=frame,
            camera=resize.camera,
            jpeg=self._jpeg(frame, image),
            depth_png=encode_png(depth),
            instance_png=None if instances is None else encode_png(instances),
            depth=depth,
            objects=None if instances is None else FrameObjects(instances, depth),
            sharpness=sharpness(image),
        )

    def _resize(self, frame: int) -> ResizePlan:
        return plan_resize(self._scan.color_camera(frame), self.image_size, self._scan.lenses(frame)[0])

    def _jpeg(self, frame: int, image: NDArray[np.uint8]) -> bytes:
        """Return the source's own JPEG if it has the stored size already: encoding again would only lose."""
        native = self._scan.color_intrinsics
        as_it_is = (native.width, native.height) == self.image_size and self._scan.lenses(frame)[0] is None
        own = self._scan.color_jpeg(frame) if as_it_is else None
        return encode_jpeg(image, self._settings.jpeg_quality) if own is None else own

    def _registered_depth(self, frame: int) -> NDArray[np.uint16]:
        import cv2

        if frame in self._depths:
            return self._depths[frame]
        scan, resize = self._scan, self._resize(frame)
        raw = self._reliable(frame)
        metres = raw.astype(np.float32) / np.float32(scan.depth_units_per_metre)
        if NO_READING / scan.depth_units_per_metre <= self._settings.far:
            metres[raw == NO_READING] = 0
        registered = register_depth(
            metres, scan.depth_camera(frame), resize.camera, scan.depth_to_color, scan.lenses(frame)[1]
        )
        # Weighted addition to nothing is OpenCV's one pass to scale, round and saturate; a product of small integers
        # takes half the time of choosing among floats.
        millimetres = np.asarray(
            cv2.addWeighted(registered, MILLIMETRES_PER_METRE, registered, 0, 0, dtype=cv2.CV_16U), dtype=np.uint16
        )
        millimetres *= (registered >= self._settings.near) & (registered <= self._settings.far)
        hidden = self._hidden_pixels(frame)
        if hidden is not None:
            millimetres[hidden] = 0
        _remember(self._depths, frame, millimetres, self._capacity)
        return millimetres

    def _reliable(self, frame: int) -> NDArray[np.uint16]:
        """Return the sensor's depth, 0 where it is not sure enough of it."""
        raw = self._scan.depth(frame)
        confidence = self._scan.confidence(frame) if self._settings.min_confidence else None
        if confidence is None:
            return raw
        return np.where(confidence >= self._settings.min_confidence, raw, np.uint16(0))

    def _instances(self, frame: int, depth: NDArray[np.uint16]) -> NDArray[np.uint16] | None:
        if self._masks is None:
            return None
        metres = depth.astype(np.float32) / np.float32(MILLIMETRES_PER_METRE)
        instances = self._masks.render(frame, self.camera(frame), self._scan.camera_to_world[frame], metres)
        hidden = self._hidden_pixels(frame)
        return instances if hidden is None else np.where(hidden, np.uint16(0), instances)

    def _hidden_pixels(self, frame: int) -> NDArray[np.bool_] | None:
        """Return the stored pixels that do not show the scene, (H, W); ``None`` where all do."""
        if frame not in self._hidden:
            shown = self._scan.color_mask(frame)
            if shown is None:
                return None
            _remember(self._hidden, frame, self._resize(frame).apply_nearest(shown) == 0, self._capacity)
        return self._hidden[frame]


def stored_size(native: Intrinsics, settings: FrameSettings) -> tuple[int, int]:
    """Return (width, height) of the stored frames of a scan: the settings', or these swapped for portrait frames.

    Args:
        native: the colour camera of the scan, turned upright.
        settings: how frames are stored.
    """
    width, height = settings.image_size
    swapped = settings.swap_portrait and (native.height > native.width) != (height > width)
    return (height, width) if swapped and native.height != native.width else (width, height)


def lenses_undone(scan: Scan) -> dict[str, int]:
    """Return the number of frames from which a lens is removed, by camera and name of the lens."""
    counts: dict[str, int] = {}
    for frame in np.flatnonzero(scan.present).tolist():
        for what, lens in zip(("color", "depth"), scan.lenses(frame), strict=True):
            if lens is not None:
                name = f"{what}_undistorted_from_{lens.name}"
                counts[name] = counts.get(name, 0) + 1
    return counts


def _remember(store: OrderedDict[int, Any], frame: int, value: object, capacity: int) -> None:
    store[frame] = value
    while len(store) > capacity:
        store.popitem(last=False)
