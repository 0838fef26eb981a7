"""Our modules as flat files beside the weights, which transformers loads where this package is not installed.

With ``trust_remote_code=True`` transformers imports a class from a file of the model's directory. It finds the files
that this one needs by lines such as ``from .fusion import FusionLevel``, all in the same directory, and refuses the
directory if any other package that they import, anywhere in the file, is missing. So each module that the model and
its processor need is copied under a flat name, with its imports of our packages rewritten and nothing else changed:
there is one source of the code, and a bundle's line numbers are this package's own, plus those of the header.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from gapdata.errors import GapDataError

OURS = ("gapdata", "gapmodel")
NEEDED: Mapping[str, str] = {
    "torch": "torch",
    "transformers": "transformers",
    "numpy": "numpy",
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "safetensors": "safetensors",
    "tokenizers": "tokenizers",
    "huggingface_hub": "huggingface-hub",
}
"""Packages that a bundle's code may import, by the name of what it imports, and what pip calls them."""
REFUSED = "gapdata.engine", "gapdata.files", "gapdata.sources", "gapmodel.training", "gapmodel.evaluation"
"""Rooms that a model does not need: reaching one means that an import was added in the wrong place."""
HEADER = (
    "# SPDX-License-Identifier: Apache-2.0\n"
    "# Written by `gapmodel bundle` from {module}, which is the place to change it.\n"
)


def flat_name(module: str) -> str:
    """Return the flat name of a module: ``geometry_vggt`` for ``gapmodel.geometry.vggt``, ``gapdata_errors``."""
    return module.removeprefix("gapmodel.").replace(".", "_")


def flat_files(roots: Sequence[str]) -> dict[str, str]:
    """Return the files of some modules and of all that they import from our packages, by file name.

    Raises:
        GapDataError: a module imports something that a bundle cannot hold.
    """
    found: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        name = f"{flat_name(module)}.py"
        if name not in found:
            found[name], needs = _flattened(module, _source(module))
            waiting += needs
    return dict(sorted(found.items()))


def _source(module: str) -> Path:
    found = find_spec(module)
    if found is None or found.origin is None:
        raise GapDataError(f"the module {module} is not installed as a file", cure="install this package from a wheel")
    return Path(found.origin)


def _flattened(module: str, path: Path) -> tuple[str, list[str]]:
    """Return the text of one flat file, and the modules of ours that it imports."""
    text = path.read_text(encoding="utf-8")
    lines, tree = text.split("\n"), ast.parse(text)
    needs = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                _check_foreign(alias.name, module, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level or source.split(".")[0] not in OURS:
                _check_foreign("." if node.level else source, module, node.lineno)
                continue
            _check_names(source, node, module)
            needs.append(source)
            line = lines[node.lineno - 1]
            lines[node.lineno - 1] = re.sub(
                rf"\bfrom {re.escape(source)} import\b", f"from .{flat_name(source)} import", line, count=1
            )
            if lines[node.lineno - 1] == line:
                raise _refusal(module, node.lineno, f"imports {source} in an unusual form")
    for node in tree.body:
        # Otherwise a second bundle in the same process would be loaded with the classes of the first.
        if _registers(node):
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or node.lineno) - node.lineno + 1)
    return HEADER.format(module=module) + "\n".join(lines).rstrip() + "\n", needs


def _registers(node: ast.stmt) -> bool:
    """Return whether a statement is ``AutoModel.register(...)`` or that of another of transformers' Auto classes."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "register"
        and isinstance(node.value.func.value, ast.Name)
        and node.value.func.value.id.startswith("Auto")
    )


def _check_foreign(name: str, module: str, line: int) -> None:
    head = name.split(".")[0]
    if head not in NEEDED and head not in sys.stdlib_module_names:
        raise _refusal(module, line, f"imports {name!r}, which is not among {', '.join(NEEDED)}")


def _check_names(source: str, node: ast.ImportFrom, module: str) -> None:
    if any(source == room or source.startswith(f"{room}.") for room in REFUSED):
        raise _refusal(module, node.lineno, f"imports {source}, which a model does not need")
    for alias in node.names:
        # A flat file has no modules as its attributes; and an import of all names hides which ones.
        if alias.name == "*" or _is_module(f"{source}.{alias.name}"):
            raise _refusal(module, node.lineno, f"imports {alias.name} from {source}, not a name of that file")


def _is_module(name: str) -> bool:
    package, _, last = name.rpartition(".")
    folder = Path(_source(package))
    return folder.name == "__init__.py" and any(
        (folder.parent / place).is_file() for place in (f"{last}.py", f"{last}/__init__.py")
    )


def _refusal(module: str, line: int, problem: str) -> GapDataError:
    return GapDataError(f"{module}, line {line}: {problem}", cure="a bundle's code is found by names in flat files")
