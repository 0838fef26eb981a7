"""Data flows one way: a package imports only from packages above it, and gapdata builds and reads without torch."""

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

DATA_FLOORS = (
    {"errors", "seeding"},
    {"runtime"},
    {"files", "geometry"},
    {"recipes", "frames"},
    {"annotations"},
    {"sources"},
    {"prompts", "synthetic"},
    {"records"},
    {"shards"},
    {"tasks"},
    {"engine", "export"},
    {"audit", "show"},
    {"report"},
    {"commands"},
)
"""Rooms of gapdata, the lowest floor first: a room imports only from floors below its own."""
MODEL_FLOORS = (
    {"geometry"},
    {"model"},
    {"inspection", "questions"},
    {"training", "evaluation"},
    {"audit", "harness"},
    {"experiments", "bundle"},
    {"commands"},
)
"""Rooms of gapmodel, likewise; ``model`` is every file that lies beside them. All of them lie above gapdata's."""
MODEL_LINES = 1700
"""Lines of code that a reader of the model has before them at most: rooms ``geometry`` and ``model``."""
OTHER_ENCODERS = {"depth_anything.py"}
"""Files of encoders that take VGGT's place: a reader of the model needs one encoder."""
TRAINING_ONLY = {"torch", "transformers", "gapmodel", "tokenizers", "safetensors"}
TORCH_FILE = REPOSITORY / "gapdata" / "shards" / "torch_dataset.py"
"""The one file of gapdata that imports torch: inside its functions."""
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


def dotted(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """Return the room of a module as ``package.room``."""
    package, *rest = module.split(".")
    if package == "gapmodel" and rest and not (REPOSITORY / package / rest[0]).is_dir():
        return f"{package}.model"
    return ".".join((package, *rest[:1]))


def graph() -> dict[str, set[str]]:
    """Return which modules of the two packages each of them imports, anywhere in the file.

    Their own doors, ``__init__`` and ``__main__``, are left out: they lead everywhere, and no room goes through them.
    """
    paths = {dotted(path): path for package in ("gapdata", "gapmodel") for path in modules(package)}
    inside = {name: path for name, path in paths.items() if name.split(".")[1:] not in ([], ["__main__"])}
    return {name: {other for other in imports(path) if other in inside} - {name} for name, path in inside.items()}


def circles(arrows: dict[str, set[str]]) -> set[frozenset[str]]:
    """Return the sets of nodes that reach each other."""
    reached: dict[str, set[str]] = {}
    for start in arrows:
        ahead, seen = [start], set[str]()
        while ahead:
            more = arrows[ahead.pop()] - seen
            seen |= more
            ahead += more
        reached[start] = seen
    return {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in arrows
        if name in reached[name]
    }


def between_rooms(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {room(name): set() for name in arrows}
    for name, others in arrows.items():
        found[room(name)] |= {room(other) for other in others} - {room(name)}
    return found


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles(graph()) == set()


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for path in (path for package in ("gapdata", "gapmodel", "pipelines") for path in modules(package)):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(REPOSITORY)))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_no_rooms_import_each_other_in_a_circle() -> None:
    assert circles(between_rooms(graph())) == set()


def test_a_circle_is_found_wherever_it_is() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == {frozenset("bc")}


def test_data_flows_one_way() -> None:
    floors = [{f"gapdata.{name}" for name in names} for names in DATA_FLOORS]
    floors += [{f"gapmodel.{name}" for name in names} for names in MODEL_FLOORS]
    height = {name: floor for floor, names in enumerate(floors) for name in names}
    arrows = between_rooms(graph())
    assert set(arrows) <= set(height), "a new room needs a floor"
    upwards = {(name, other) for name, others in arrows.items() for other in others if height[other] >= height[name]}
    assert upwards == set()


def test_gapdata_imports_what_only_training_needs_in_one_file_and_never_at_its_top() -> None:
    for path in modules("gapdata"):
        allowed = {"torch"} if path == TORCH_FILE else set()
        assert {name.split(".")[0] for name in imports(path)} & TRAINING_ONLY <= allowed, path
        assert {name.split(".")[0] for name in imports(path, top_level_only=True)} & TRAINING_ONLY == set(), path


def test_the_model_never_imports_the_engine() -> None:
    for path in modules("gapmodel"):
        assert not {name for name in imports(path) if name.split(".")[:2] == ["gapdata", "engine"]}, path


def test_the_data_engine_knows_no_chat_text() -> None:
    arrows = graph()
    engine = {name for name in arrows if room(name) == "gapdata.engine"}
    assert not {other for name in engine for other in arrows[name] if room(other) == "gapdata.tasks"}


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
                told |= set(range(item.lineno, (item.end_lineno or item.lineno) + 1))
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in silent]
    return len({line for token in tokens for line in range(token.start[0], token.end[0] + 1)} - told)


def test_the_model_reads_as_small_as_it_is() -> None:
    rooms = {"gapmodel", "gapmodel.geometry", "gapmodel.model"}
    read = [path for path in modules("gapmodel") if room(dotted(path)) in rooms and path.name not in OTHER_ENCODERS]
    lines = {path: code_lines(path) for path in read}
    assert sum(lines.values()) <= MODEL_LINES, lines


def test_lines_of_code_leave_out_what_explains_them(tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text('"""Why.\n\nMore."""\n\n# a comment\nA = (1,\n     2)  # two lines\n"""A."""\n')
    assert code_lines(tmp_path / "some.py") == 2


@pytest.mark.parametrize(("program", "command"), [("gapdata", "build-shards"), ("gapmodel", "evaluate")])
def test_the_help_of_the_command_line_imports_nothing_heavy(program: str, command: str) -> None:
    code = (
        f"import sys, {program}.commands.main as command\n"
        "try: command.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(result.stderr))
    assert loaded & (HEAVY | TRAINING_ONLY | {"numpy"}) <= {"gapmodel"}
    assert command in result.stdout


@pytest.mark.parametrize("package", ["gapdata", "gapmodel"])
def test_what_a_docstring_refers_to_exists(package: str) -> None:
    missing = {
        f"{path.relative_to(REPOSITORY)}: {name}"
        for path in modules(package)
        for name in re.findall(r":\w+:`~?((?:gapdata|gapmodel)[\w.]*)`", path.read_text())
        if not refers(name.split("."))
    }
    assert missing == set()


PAGE = (REPOSITORY / "ARCHITECTURE.md").read_text()


def test_the_page_draws_the_floors_that_are_enforced() -> None:
    drawing = PAGE.split("```")[1]
    for package, floors in (("gapdata", DATA_FLOORS), ("gapmodel", MODEL_FLOORS)):
        lines = drawing.split(f"\n{package}\n")[1].split("\n\n")[0].splitlines()
        named = [set(re.split(r" {3,}", line.strip())[0].split()) for line in lines if line.startswith("  ")]
        assert named[::-1] == [set(names) for names in floors]


def test_every_name_of_the_page_exists() -> None:
    names = re.findall(r"`((?:gapdata|gapmodel)(?:\.\w+)+)`", PAGE)
    assert len(names) > 30
    assert [name for name in names if not refers(name.split("."), r"(?:def|class) {}\b")] == []


def refers(parts: list[str], form: str = r"\b{}\b") -> bool:
    """Whether a dotted name is a module, or begins with one in which its further names occur in that ``form``."""
    for count in range(len(parts), 0, -1):
        module = REPOSITORY.joinpath(*parts[:count])
        for path in (module.with_suffix(".py"), module / "__init__.py"):
            if path.is_file():
                return all(re.search(form.format(name), path.read_text()) for name in parts[count:])
    return False
