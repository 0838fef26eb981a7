"""Read the lens that a JSON calibration states, in the names and orders that calibration tools use.

The names of COLMAP, nerfstudio, ROS, Kalibr, RealSense and ORB-SLAM stand for one of OpenCV's two models; coefficients
are single fields (``k1``, ``p2``) or a list in OpenCV's order. A field about distortion that is not understood is
refused by its name: a lens that is dropped bends every point of a build.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gapdata.geometry.lens import Lens
from gapdata.runtime.counting import counted

ORDER = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6", "s1", "s2", "s3", "s4", "taux", "tauy")
"""OpenCV's order of the perspective model's coefficients."""
FISHEYE_ORDER = ("k1", "k2", "k3", "k4")
LARGEST = 1e9
"""All coefficients are smaller; an integer of a hostile file may be larger than any float."""
LENGTHS = (4, 5, 8, 12, 14)
PINHOLE = ("simplepinhole", "pinhole", "perspective")
PERSPECTIVE: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(PINHOLE, ORDER),
    **dict.fromkeys(("opencv", "opencv5", "brown", "brownconrady", "plumbbob", "radtan", "radialtangential"), ORDER),
    **dict.fromkeys(("fullopencv", "rationalpolynomial", "rational", "thinprism"), ORDER),
    "simpleradial": ("k1",),
    "radial": ("k1", "k2"),
}
"""Names of the perspective model, without case and punctuation, and the coefficients of each."""
FISHEYE: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("opencvfisheye", "fisheye", "equidistant", "equi"), FISHEYE_ORDER),
    **dict.fromkeys(("kannalabrandt", "kannalabrandt4", "kannalabrandt8", "kb4"), FISHEYE_ORDER),
    "radialfisheye": ("k1", "k2"),
    "simpleradialfisheye": ("k1",),
    "simplefisheye": (),
}
"""The same for the equidistant model. ORB-SLAM's KannalaBrandt8 counts the focal lengths and the centre among its 8."""
RATIONAL = ("fullopencv", "rationalpolynomial", "rational", "thinprism")
UNDISTORTED = ("", "none", "ideal", "undistorted", "rectified", "nodistortion")
MODEL_FIELDS = ("cameramodel", "distortionmodel", "cameratype", "projection", "projectionmodel", "model", "lensmodel")
MAY_NAME_A_DEVICE = ("model", "lensmodel")
NO_PINHOLE = re.compile(r".*(fisheye|equirect|panor|spher|omni|ortho|cylind).*")
LIST_FIELDS = re.compile(
    r"dist(ortion)?(coeff?(icient)?s?|params?|parameters?|vector)?|coeff(icient)?s|d|kc"
    r"|(cam(era)?|lens|colou?r|rgb)dist(ortion)?(coeff?s?)?"
)
RADIAL, TANGENTIAL = re.compile(r"radial(distortion)?s?"), re.compile(r"tangential(distortion)?s?")
SINGLE = {"k": "k1", **{name: name for name in ORDER}}
SUSPECT = re.compile(
    r".*(distort|fisheye|tangential|radial|prism|skew|shear|kappa|barrel|pincushion).*"
    r"|dist\d*|disto|[rtk]dist|(lens)?poly(nomial)?(coeffs?)?|[kps]\d+|kc\d*|xi|omega|lambda|division"
)
"""Other fields that may describe a lens."""
UNDISTORTED_FIELDS = re.compile(r"(is|are|images)?(undistorted|rectified)|distortionremoved")
CURE = "state camera_model (PINHOLE, OPENCV, FULL_OPENCV or OPENCV_FISHEYE) with k1, k2, p1, p2, k3 ..."


@dataclass(frozen=True, slots=True, kw_only=True)
class LensModel:
    """One of OpenCV's models, with the name and the coefficients that a tool gives it."""

    kind: Literal["perspective", "fisheye"]
    name: str
    known: tuple[str, ...]


def parse_lens(values: Mapping[str, Any], fx: float) -> Lens | None:
    """Return the lens of a calibration, ``None`` for a pinhole camera.

    Args:
        values: the fields of the JSON object.
        fx: focal length in pixels, by which a ``skew`` (``K[0, 1]``, pixels) is divided.

    Raises:
        ValueError: the model is unknown, coefficients are not numbers or do not belong to the model, or a field about
            a lens is not understood; the field is named.
    """
    stated = _Statements()
    for field, value in _flat(values):
        stated.take(field, value)
    bends = any(stated.coefficients.values()) or any(any(items) for _, items in stated.lists)
    model = _model(stated.models, bends)
    for field, items in stated.lists:
        stated.state(field, _named(field, items, model))
    for field, items in stated.parameters:
        if any(items[4 if model.known is ORDER else 3 :]):
            raise ValueError(f"{field} is COLMAP's list of parameters, {items!r:.60}, which is not read; {CURE}")
    if stated.done is not None and stated.done == (bends or model.kind == "fisheye"):
        told = "undistorted" if stated.done else "not undistorted"
        raise ValueError(f"says that the images are {told}, but its model or coefficients contradict that; {CURE}")
    return _lens(model, stated.coefficients, stated.skew / fx if fx else 0.0)


def refuse_unread_lens(values: Mapping[str, Any]) -> None:
    """Refuse a calibration that states a lens in a format from which lenses are not read.

    Raises:
        ValueError: a field states a lens; it is named.
    """
    for field, value in values.items():
        if _may_describe_a_lens(field, _listed(value)):
            raise ValueError(f"{field} is {value!r:.60}, which is not read here; undistort the images, or {CURE}")


class _Statements:
    """The statements of the fields about the lens, before its model is known."""

    def __init__(self) -> None:
        self.coefficients: dict[str, float] = {}
        self.lists: list[tuple[str, list[float]]] = []
        self.parameters: list[tuple[str, list[float]]] = []
        """COLMAP's, with focal lengths and principal point before the coefficients."""
        self.models: dict[str, str] = {}
        self.skew = 0.0  # pixels
        self.done: bool | None = None  # whether a field says that the images are undistorted

    def take(self, field: str, value: Any) -> None:
        """Note what one field says."""
        plain, value = _plain(field), _listed(value)
        is_list = isinstance(value, list)
        if plain in MODEL_FIELDS:
            if value is not None and not isinstance(value, str):
                raise ValueError(f"{field} is {value!r:.60}, expected a name; {CURE}")
            self.models[field] = value or ""
        elif plain in SINGLE and not is_list:
            self.state(field, {SINGLE[plain]: _number(field, value)})
        elif plain == "skew" and not is_list:
            self.skew = _number(field, value)
        elif is_list and LIST_FIELDS.fullmatch(plain):
            self.lists.append((field, [_number(field, item) for item in value]))
        elif is_list and plain in ("params", "parameters"):
            self.parameters.append((field, [_number(field, item) for item in value]))
        elif is_list and (RADIAL.fullmatch(plain) or TANGENTIAL.fullmatch(plain)):
            order = ("k1", "k2", "k3") if RADIAL.fullmatch(plain) else ("p1", "p2")
            self.state(field, dict(zip(order, [_number(field, item) for item in value[: len(order)]], strict=False)))
            if not _says_nothing(value[len(order) :]):
                raise ValueError(f"{field} has {counted(len(value), 'coefficient')}, expected {len(order)}; {CURE}")
        elif UNDISTORTED_FIELDS.fullmatch(plain):
            self.done = bool(value)
        elif SUSPECT.fullmatch(plain) and not _says_nothing(value):
            raise ValueError(f"{field} is {value!r:.60}, which may describe a lens and is not understood; {CURE}")

    def state(self, field: str, given: Mapping[str, float]) -> None:
        """Note coefficients by name."""
        for name, value in given.items():
            if self.coefficients.setdefault(name, value) != value:
                other = self.coefficients[name]
                raise ValueError(
                    f"{name} is stated twice, as {other:g} and as {value:g} (in {field}); keep one of them"
                )


def _model(names: Mapping[str, str], bends: bool) -> LensModel:
    """Return the named model.

    A calibration may have both a camera model (``pinhole``) and a distortion model (``equidistant``): the one that
    says more counts.
    """
    found: LensModel | None = None
    unknown = []
    for field, name in names.items():
        plain = _plain(name)
        tidy = re.sub(r"[^A-Z0-9]+", "_", name.upper())
        if plain in FISHEYE:
            found = LensModel(kind="fisheye", name=tidy, known=FISHEYE[plain])
        elif plain in PERSPECTIVE and (found is None or found.name == "OPENCV"):
            found = LensModel(kind="perspective", name="OPENCV" if plain in PINHOLE else tidy, known=PERSPECTIVE[plain])
        elif plain not in (*PERSPECTIVE, *UNDISTORTED):
            unknown.append((field, name))
    for field, name in unknown:
        plain = _plain(name)
        device = _plain(field) in MAY_NAME_A_DEVICE and not NO_PINHOLE.fullmatch(plain)
        # RealSense calls its cameras Inverse Brown Conrady, and gives most of them five zeros.
        harmless = not bends and (device or plain.endswith("brownconrady"))
        if not (harmless or (device and found is not None)):
            raise ValueError(f"{field} is {name!r:.60}, a lens that cannot be undone; undistort the images, or {CURE}")
    return found or LensModel(kind="perspective", name="OPENCV", known=ORDER)


def _lens(model: LensModel, coefficients: Mapping[str, float], skew: float) -> Lens | None:
    given = {key: value for key, value in coefficients.items() if value}
    foreign = next((key for key in given if key not in model.known), None)
    if foreign is not None:
        has = ", ".join(model.known) or "no coefficients"
        raise ValueError(f"{foreign} is {given[foreign]:g}, but camera model {model.name} has only {has}; {CURE}")
    if model.kind == "fisheye":
        stored = tuple(given.get(key, 0.0) for key in FISHEYE_ORDER)
        return Lens(name=model.name, model="fisheye", coefficients=stored, skew=skew)
    if "k4" in given and not {"k5", "k6"} & coefficients.keys() and _plain(model.name) not in RATIONAL:
        raise ValueError(
            f"k4 is {given['k4']:g} without k5 and k6, so that the lens may be a fisheye or a rational model; {CURE}"
        )
    if not given:
        return Lens(name="SKEW", skew=skew) if skew else None
    last = max(ORDER.index(key) for key in given)
    count = next(length for length in LENGTHS if length > last)
    return Lens(name=model.name, coefficients=tuple(given.get(key, 0.0) for key in ORDER[:count]), skew=skew)


def _named(field: str, items: list[float], model: LensModel) -> dict[str, float]:
    """Return the coefficients of a list by name; trailing zeros of a list that is too long do not matter."""
    if not any(items):
        return {}
    short = model.kind == "fisheye" or len(model.known) <= 2
    order = model.known if short else ORDER
    if not short and len(items) not in LENGTHS:
        lengths = ", ".join(map(str, LENGTHS))
        raise ValueError(
            f"{field} has {counted(len(items), 'coefficient')}, expected {lengths} in OpenCV's order; {CURE}"
        )
    if any(items[len(order) :]):
        raise ValueError(f"{field} has {counted(len(items), 'coefficient')}, but {model.name} has {len(order)}; {CURE}")
    return dict(zip(order, items, strict=False))


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields, and the fields inside an object about a lens, as in ``{"dist_coeffs": {"data": [...]}}``.

    Raises:
        ValueError: a lens is stated inside something else, such as another camera.
    """
    for field, value in values.items():
        if not isinstance(value, dict):
            yield field, value
        elif _plain(field) == "lens" or LIST_FIELDS.fullmatch(_plain(field)) or SUSPECT.fullmatch(_plain(field)):
            for inner, item in value.items():
                plain = _plain(inner)
                if plain in ("data", "values", "params", "parameters"):
                    yield field, item
                elif plain not in ("rows", "cols", "dt", "typeid"):
                    yield ("distortion_model" if plain in ("type", "name") else inner), item
        else:
            for inner, item in _inside(value):
                if _may_describe_a_lens(inner, item):
                    raise ValueError(f"{field}.{inner} is {item!r:.60}, but a lens is not read inside {field}; {CURE}")


def _listed(value: Any) -> Any:
    """Return a matrix of one row, or a text of several numbers, as a list; other values as they are."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        return value[0]
    words = re.split(r"[\s,;]+", value.strip(" \t[]()")) if isinstance(value, str) else []
    try:
        return [float(word) for word in words] if len(words) > 1 else value
    except ValueError:
        return value


def _inside(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for inner, item in value.items():
        yield inner, item
        if isinstance(item, dict):
            yield from _inside(item)


def _may_describe_a_lens(field: str, value: Any) -> bool:
    plain = _plain(field)
    listed = isinstance(value, list) and LIST_FIELDS.fullmatch(plain) is not None
    return (listed or SUSPECT.fullmatch(plain) is not None) and not _says_nothing(value)


def _number(field: str, value: Any) -> float:
    if value is None:
        return 0.0
    if isinstance(value, list) and len(value) == 1:  # a column of a matrix
        return _number(field, value[0])
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < LARGEST:
        raise ValueError(f"{field} is {value!r:.60}, expected a number; {CURE}")
    return float(value)


def _says_nothing(value: Any) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return all(_says_nothing(item) for item in value)
    return not value or (isinstance(value, str) and _plain(value) in (*UNDISTORTED, "0", "00"))


def _plain(text: str) -> str:
    """Return a name without case and punctuation: ``OpenCV_Fisheye`` and ``opencv fisheye`` are one name."""
    return re.sub(r"[^a-z0-9]", "", text.lower())
