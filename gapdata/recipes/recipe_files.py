"""Where recipes and category lists lie, and recipes by their name.

``gapdata/manifests`` is a link to ``manifests/`` in a checkout and a folder of its own in an installed wheel, so a
recipe that comes along has the same name in both: ``--recipe scannet-pretrain``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from gapdata.errors import UsageError
from gapdata.runtime.choices import did_you_mean


@lru_cache(maxsize=1)
def manifests_folder() -> Path:
    """Where recipes and category lists lie.

    Raises:
        UsageError: nowhere; the package was copied without its data.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "manifests", package.parent / "manifests"):
        if (folder / "categories").is_dir():
            return folder
    raise UsageError(
        "has no manifests/categories", path=package, cure="install gapmllm again, or run from its checkout"
    )


def recipe_names() -> tuple[str, ...]:
    """The recipes that come along, sorted."""
    return tuple(sorted(path.stem for path in manifests_folder().glob("*.toml")))


def recipe_file(recipe: Path | None) -> Path | None:
    """The file that ``recipe`` is or names: a file counts before a recipe that comes along under that name.

    ``None``, the defaults, stays ``None``.

    Raises:
        UsageError: there is neither.
    """
    if recipe is None or recipe.exists():
        return recipe
    known = recipe_names()
    alone = recipe.parent == Path() or recipe.parent == Path("manifests")
    if alone and recipe.name.removesuffix(".toml") in known:
        return manifests_folder() / f"{recipe.name.removesuffix('.toml')}.toml"
    raise UsageError(
        "recipe does not exist",
        path=recipe,
        cure=f"{did_you_mean(recipe.stem, known)}name a TOML file, or one that comes along: {', '.join(known)}",
    )
