"""Geometry encoders by the name that a configuration gives them."""

from __future__ import annotations

import inspect
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
        UsageError: no encoder has that name, or it does not have one of the options.
    """
    options = dict(config)
    name = options.pop("name", None)
    check_choice("geometry encoder", name, ENCODERS)
    kind = ENCODERS[name]
    stated = {field: options.pop(field, getattr(kind, field)) for field in ("licence", "source")}
    for option in options:
        check_choice(f"option of geometry encoder {name}", option, _options(kind))
    encoder = kind(**options)
    encoder.config = {**config, **stated}
    return encoder


def _options(kind: type[GeometryEncoder]) -> list[str]:
    """Return the options of an encoder: those of its constructor, or of the base's to which that hands them on."""
    for part in kind.__mro__:
        parameters = inspect.signature(part).parameters.values() if "__init__" in vars(part) else ()
        if parameters and all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            return [parameter.name for parameter in parameters]
    return []


__all__ = ["ENCODERS", "GeometryEncoder", "build_geometry_encoder"]
