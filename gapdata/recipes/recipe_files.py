"""Find recipes by their name, and the folder that holds recipes and category lists.

``gapdata/manifests`` is a link to ``manifests/`` in a checkout and a folder in an installed wheel, so that a recipe of
this package has the same name in both: ``--recipe scannet-pretrain``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from gapdata.errors import UsageError
from gapdata.runtime.choices import did_you_mean


@lru_cache(maxsize=1)
def manifests_folder() -> Path:
    """Return the folder that holds recipes and category lists.

    Raises:
        UsageError: the package was copied without it.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "manifests", package.parent / "manifests"):
        if (folder / "categories").is_dir():
            return folder
    raise UsageError("lacks manifests/categories", path=package, cure="install gapmllm again, or run from its checkout")


def recipe_names() -> tuple[str, ...]:
    """Return the names of this package's recipes, sorted."""
    return tuple(sorted(path.stem for path in manifests_folder().glob("*.toml")))


def recipe_file(recipe: Path | None) -> Path | None:
    """Return the file of a recipe, which is given by its path or by the name of one of this package's recipes.

    A file in the current directory counts before a recipe of the same name. ``None``, the defaults, stays ``None``.

    Raises:
        UsageError: the file does not exist, and the name is unknown.
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
        cure=f"{did_you_mean(recipe.stem, known)}name a TOML file, or a recipe of this package: {', '.join(known)}",
    )
