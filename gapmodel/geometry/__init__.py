"""Geometry encoders by the name that a configuration gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gapdata.runtime.choices import check_choice
from gapmodel.geometry.base import GeometryEncoder
from gapmodel.geometry.tiny import TinyGeometryEncoder
from gapmodel.geometry.vggt import VGGT

ENCODERS: dict[str, type[GeometryEncoder]] = {
    "tiny": TinyGeometryEncoder,
    "vggt": VGGT,
}


def build_geometry_encoder(config: Mapping[str, Any]) -> GeometryEncoder:
    """Build the encoder that ``config["name"]`` names from the other fields; its ``config`` attribute keeps them.

    Raises:
        UsageError: no encoder has that name.
    """
    options = dict(config)
    name = options.pop("name", None)
    check_choice("geometry encoder", name, ENCODERS)
    encoder = ENCODERS[name](**options)
    encoder.config = dict(config)
    return encoder


__all__ = ["ENCODERS", "GeometryEncoder", "build_geometry_encoder"]
