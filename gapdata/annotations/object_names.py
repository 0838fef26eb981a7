"""Tell whether the name of an object could also mean another object.

A question that says "the chair" is about one object only if nothing else in the scene could be called a chair. Two
names count as alike if one contains the other word by word ("office chair", "chair"), if a compound ends with the
other ("armchair", "chair"), or if they do so after words of one meaning ("couch", "sofa") and plurals are made one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from gapdata.annotations.categories import background, normalised

VAGUE = frozenset(
    (
        *("others", "otherprop", "otherstructure", "otherfurniture", "object", "objects", "remove", "unknown"),
        *("structure", "furniture", "item", "misc", "stuff", "decoration", "none", "unlabeled", "unannotated"),
    )
)
"""Labels that say nothing about what an object is: they are not names, and two objects that share one are not alike."""
ONE_MEANING = (
    ("couch", "sofa", "settee", "loveseat"),
    ("tv", "television", "monitor", "screen", "display"),
    ("trash", "garbage", "rubbish", "waste", "recycling"),
    ("bin", "can", "trashcan", "wastebasket", "dustbin"),
    ("rug", "carpet", "mat"),
    ("lamp", "light"),
    ("picture", "painting", "poster", "photo", "photograph", "artwork"),
    ("cabinet", "cupboard"),
    ("closet", "wardrobe", "armoire"),
    ("refrigerator", "fridge", "refridgerator"),
    ("pillow", "cushion"),
    ("bag", "backpack", "handbag", "purse"),
    ("stool", "ottoman", "footstool"),
    ("chair", "seat"),
    ("curtain", "drape", "blind"),
    ("shelf", "bookcase"),
    ("sink", "basin", "washbasin"),
    ("stove", "cooker", "hob"),
    ("phone", "telephone"),
    ("nightstand", "night stand", "bedside table"),
)
"""Words that people use for one thing."""
COMPOUND = 3
"""Letters of the shortest word that a compound may end with."""
READABLE = re.compile(r"[^\W_][\w '&()+./-]{0,59}")
"""Names that can stand in a sentence and in a list with commas."""
_MEANING = {word: group[0] for group in ONE_MEANING for word in group if " " not in word}
_PHRASES = {phrase: group[0] for group in ONE_MEANING for phrase in group if " " in phrase}
_IRREGULAR = {"knives": "knife", "people": "person", "clothes": "clothes"}


def is_name(name: str) -> bool:
    """Return whether questions can use a normalised label as a name: it is readable and says what the object is."""
    return name not in background() | VAGUE and READABLE.fullmatch(name) is not None


def is_plural(name: str) -> bool:
    """Return whether a name is of several things or of a mass: its objects are heaps, which cannot be counted."""
    last = name.split()[-1] if name else ""
    return last in _IRREGULAR or _singular(last) != last


@lru_cache(maxsize=65536)
def could_mean(one: str, other: str) -> bool:
    """Return whether two normalised names are alike, so that one could mean an object with the other."""
    if not other or other in VAGUE:
        return False
    a, b = _meaning(one), _meaning(other)
    return _within(a, b) or _within(b, a)


def share_a_name(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return whether two objects, with their labels by taxonomy, have the same name in one of the taxonomies."""
    return any(
        (name := normalised(label)) == normalised(other.get(taxonomy, "")) and name not in VAGUE
        for taxonomy, label in one.items()
    )


def _within(a: str, b: str) -> bool:
    """Return whether words are among others, or are the end of the last of these."""
    return f" {a} " in f" {b} " or (len(a) >= COMPOUND and b.endswith(a))


@lru_cache(maxsize=65536)
def _meaning(name: str) -> str:
    words = " ".join(_singular(word) for word in name.replace("-", " ").replace("/", " ").split())
    for phrase, meaning in _PHRASES.items():
        words = f" {words} ".replace(f" {phrase} ", f" {meaning} ").strip()
    return " ".join(_MEANING.get(word, word) for word in words.split())


def _singular(word: str) -> str:
    """Return a word without the ending of a plural."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("lves"):  # shelves, bookshelves
        return f"{word[:-3]}f"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if len(word) > COMPOUND and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
