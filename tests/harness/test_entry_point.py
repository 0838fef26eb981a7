"""Where lmms-eval finds the model, and that nothing else knows lmms-eval: it holds without that package, too."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import tomllib
from itertools import pairwise

import pytest

from gapdata.export.lmms_eval import task_name
from gapmodel.harness import manifest
from tests.conftest import REPOSITORY
from tests.test_architecture import imports, modules

MODEL = REPOSITORY / "gapmodel" / "harness" / "lmms_model.py"


def test_the_entry_point_leads_to_a_function_that_names_the_classes() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    ((name, place),) = project["entry-points"]["lmms_eval.models"].items()
    module, _, function = place.partition(":")
    assert name == manifest.NAME
    assert callable(getattr(importlib.import_module(module), function))
    classes = {node.name: node for node in ast.parse(MODEL.read_text()).body if isinstance(node, ast.ClassDef)}
    assert {manifest.CHAT, manifest.SIMPLE} == {f"gapmodel.harness.lmms_model.{name}" for name in classes}
    asked = {"generate_until", "loglikelihood", "generate_until_multi_round"}
    assert asked <= {node.name for node in classes["GapMllm"].body if isinstance(node, ast.FunctionDef)}


def page_commands() -> list[list[str]]:
    page = (REPOSITORY / "gapmodel" / "README.md").read_text()
    return [shlex.split(line) for line in re.findall(r"^\$ python -m lmms_eval (.*)$", page, re.MULTILINE)]


def test_the_commands_of_the_page_name_the_model_its_arguments_and_tasks_that_exist() -> None:
    (model,) = (node for node in ast.parse(MODEL.read_text()).body if getattr(node, "name", "") == "GapMllm")
    assert isinstance(model, ast.ClassDef)
    (start,) = (node for node in model.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    accepted = {argument.arg for argument in start.args.args}
    found = []
    for words in page_commands():
        options = dict(pairwise(words))
        assert options["--model"] == manifest.NAME
        assert {part.partition("=")[0] for part in options["--model_args"].split(",")} <= accepted
        found += options["--tasks"].split(",")
    blind, seeing = (task_name("val", blind) for blind in (True, False))
    assert found == ["vsibench_multiimage", "sparbench", seeing, blind]
    tasks = pytest.importorskip("lmms_eval.tasks")
    assert set(found[:2]) <= set(tasks.TaskManager().all_tasks)


def test_only_the_model_that_lmms_eval_loads_imports_it() -> None:
    knowing = {path for path in modules("gapmodel") if any(name.startswith("lmms_eval") for name in imports(path))}
    assert knowing == {MODEL, MODEL.with_name("manifest.py")}
    assert not any(
        name.startswith("lmms_eval") for name in imports(MODEL.with_name("manifest.py"), top_level_only=True)
    )
    assert not any("lmms_model" in name for path in modules("gapmodel") for name in imports(path))
