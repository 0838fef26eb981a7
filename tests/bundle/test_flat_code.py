"""The flat files of a bundle are our modules, and nothing that a stranger does not have."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from gapdata.errors import GapDataError
from gapmodel.bundle.flat_code import NEEDED, flat_files, flat_name
from gapmodel.bundle.write import MODEL_CODE, PROCESSOR_CODE, auto_classes
from gapmodel.geometry import ENCODERS


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return flat_files([MODEL_CODE, PROCESSOR_CODE])


def test_every_import_is_of_a_file_beside_it_or_of_a_package_that_strangers_have(files: dict[str, str]) -> None:
    for name, text in files.items():
        for node in ast.walk(ast.parse(text, name)):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1
                assert f"{node.module}.py" in files, name
            elif isinstance(node, ast.ImportFrom | ast.Import):
                modules = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                heads = {str(module).split(".")[0] for module in modules}
                assert heads <= NEEDED.keys() | sys.stdlib_module_names, name


def test_a_file_has_the_lines_of_its_module(files: dict[str, str]) -> None:
    source = sys.modules["gapmodel.geometry.vggt"].__file__
    ours = Path(str(source)).read_text().rstrip("\n").split("\n")
    theirs = files["geometry_vggt.py"].rstrip("\n").split("\n")[2:]
    changed = [(one, two) for one, two in zip(ours, theirs, strict=True) if one != two]
    assert changed
    assert all(one.startswith("from gap") and two.startswith("from .") for one, two in changed)


def test_a_bundle_registers_nothing_for_other_bundles(files: dict[str, str]) -> None:
    assert ".register(" not in files["modeling.py"]
    known = {f"{name.removesuffix('.py')}.{node.name}" for name, text in files.items() for node in classes(text)}
    assert set(auto_classes().values()) <= known


def classes(text: str) -> list[ast.ClassDef]:
    return [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]


def test_every_geometry_encoder_comes_along(files: dict[str, str]) -> None:
    assert {f"{flat_name(encoder.__module__)}.py" for encoder in ENCODERS.values()} <= files.keys()


@pytest.mark.parametrize("module", ["gapmodel.training.loop", "gapdata.engine.recipe"])
def test_modules_that_need_more_than_a_model_are_refused(module: str) -> None:
    with pytest.raises(GapDataError, match=r"line \d+: imports"):
        flat_files([module])
