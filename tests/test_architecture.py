"""Data flows one way: a package imports only from packages above it, and gapdata never needs torch."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

ORDER = [
    "errors",
    "seeding",
    "runtime",
    "files",
    "recipe_files",
    "toml_fields",
    "json_shape",
    "npy",
    "object_store",
    "storage",
    "atomic",
    "geometry",
    "annotations",
    "argument_types",
    "sources",
    "source_options",
    "frames",
    "prompts",
    "records",
    "tasks",
    "shards",
    "engine",
    "export",
    "inspection",
    "view",
    "report",
    "completion",
    "cli",
]
"""Rooms of gapdata from the top of the house to its bottom."""
MODEL = {"geometry", "fusion", "modeling", "presets", "checkpoints", "frozen"}
INPUT = {"field_of_view", "tokenizer", "packing", "processing"}
USE = {"model_directory", "generate", "inspection", "cli"}
GAPMODEL = [MODEL, INPUT, USE, {"train", "data", "training"}, {"evaluation"}, {"miniature"}]
"""Rooms of gapmodel, likewise."""
MODEL_LINES = 1700
"""Lines of code that a reader of the model has before them at most: MODEL, INPUT and USE."""
TRAINING_ONLY = {"torch", "transformers", "gapmodel", "tokenizers", "safetensors"}
HEAVY = {"open3d", "cv2", "ray", "webdataset", "trimesh", "pyarrow", "tqdm"}


def modules(package: str) -> list[Path]:
    return sorted((REPOSITORY / package).rglob("*.py"))


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(path: Path) -> str:
    return path.relative_to(REPOSITORY).parts[1].removesuffix(".py")


@pytest.mark.parametrize("path", modules("gapdata"), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_module_of_gapdata_imports_only_from_rooms_above_it(path: Path) -> None:
    if room(path) in ("__init__", "__main__"):
        return
    here = ORDER.index(room(path))
    rooms = {name.split(".")[1] for name in imports(path) if name.startswith("gapdata.")}
    assert {name for name in rooms & set(ORDER) if ORDER.index(name) > here} == set()


@pytest.mark.parametrize("path", modules("gapmodel"), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_model_needs_no_training_and_training_no_evaluation(path: Path) -> None:
    if room(path) in ("__init__", "__main__"):
        return
    (here,) = (index for index, names in enumerate(GAPMODEL) if room(path) in names)
    rooms = {name.split(".")[1] for name in imports(path) if name.startswith("gapmodel.")}
    below = set().union(*GAPMODEL[here + 1 :])
    assert rooms & below == set()


def test_gapdata_never_imports_what_only_training_needs() -> None:
    for path in modules("gapdata"):
        assert {name.split(".")[0] for name in imports(path)} & TRAINING_ONLY == set(), path


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    for path in modules("gapdata"):
        assert {name.split(".")[0] for name in imports(path, top_level_only=True)} & HEAVY == set(), path


def test_files_stay_small_enough_to_read() -> None:
    lengths = {
        path: len(path.read_text().splitlines())
        for name in ("gapdata", "gapmodel", "pipelines")
        for path in modules(name)
    }
    limits = {path: 350 if path.is_relative_to(REPOSITORY / "gapmodel") else 400 for path in lengths}
    assert {str(path): count for path, count in lengths.items() if count > limits[path]} == {}


def code_lines(path: Path) -> int:
    """Lines with code on them: neither blank nor only a comment, and no docstrings."""
    text = path.read_text()
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        for item in body if isinstance(body, list) else []:
            if (
                isinstance(item, ast.Expr)
                and isinstance(item.value, ast.Constant)
                and isinstance(item.value.value, str)
            ):
                told |= set(range(item.lineno, item.end_lineno + 1))
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in silent]
    return len({line for token in tokens for line in range(token.start[0], token.end[0] + 1)} - told)


def test_the_model_reads_as_small_as_it_is() -> None:
    rooms = MODEL | INPUT | USE | {"__init__", "__main__"}
    lines = {path: code_lines(path) for path in modules("gapmodel") if room(path) in rooms}
    assert sum(lines.values()) <= MODEL_LINES, lines


def test_lines_of_code_leave_out_what_explains_them(tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text('"""Why.\n\nMore."""\n\n# a comment\nA = (1,\n     2)  # two lines\n"""A."""\n')
    assert code_lines(tmp_path / "some.py") == 2


def test_the_help_of_the_command_line_imports_nothing_heavy() -> None:
    code = (
        "import sys, gapdata.commands.main\n"
        "try: gapdata.commands.main.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(result.stderr))
    assert loaded & (HEAVY | TRAINING_ONLY | {"numpy"}) == set()
    assert "build-shards" in result.stdout


@pytest.mark.parametrize("package", ["gapdata", "gapmodel"])
def test_what_a_docstring_refers_to_exists(package: str) -> None:
    missing = {
        f"{path.relative_to(REPOSITORY)}: {name}"
        for path in modules(package)
        for name in re.findall(r":\w+:`~?((?:gapdata|gapmodel)[\w.]*)`", path.read_text())
        if not refers(name.split("."))
    }
    assert missing == set()


def refers(parts: list[str]) -> bool:
    """Whether a dotted name is a module, or one whose names occur in the module that it begins with."""
    for count in range(len(parts), 0, -1):
        module = REPOSITORY.joinpath(*parts[:count])
        for path in (module.with_suffix(".py"), module / "__init__.py"):
            if path.is_file():
                return all(re.search(rf"\b{name}\b", path.read_text()) for name in parts[count:])
    return False
