"""Geometry encoders by the name that a configuration gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gapdata.runtime.choices import check_choice
from gapmodel.geometry.base import GeometryEncoder
from gapmodel.geometry.depth_anything import DepthAnything3, DepthAnything3Large, DepthAnything3Small
from gapmodel.geometry.tiny import TinyGeometryEncoder
from gapmodel.geometry.vggt import VGGT

ENCODERS: dict[str, type[GeometryEncoder]] = {
    "tiny": TinyGeometryEncoder,
    "vggt": VGGT,
    "depth-anything-3-small": DepthAnything3Small,
    "depth-anything-3-base": DepthAnything3,
    "depth-anything-3-large": DepthAnything3Large,
}


def build_geometry_encoder(config: Mapping[str, Any]) -> GeometryEncoder:
    """Build the encoder that ``config["name"]`` names from the other fields; its ``config`` attribute keeps them.

    The kept fields also say which licence the encoder's weights have, and where they come from: ``licence`` and
    ``source``, those of the class unless ``config`` has its own (for other weights of the same shape).

    Raises:
        UsageError: no encoder has that name.
    """
    options = dict(config)
    name = options.pop("name", None)
    check_choice("geometry encoder", name, ENCODERS)
    kind = ENCODERS[name]
    stated = {field: options.pop(field, getattr(kind, field)) for field in ("licence", "source")}
    encoder = kind(**options)
    encoder.config = {**config, **stated}
    return encoder


__all__ = ["ENCODERS", "GeometryEncoder", "build_geometry_encoder"]
