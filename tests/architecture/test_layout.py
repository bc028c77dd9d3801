"""Every file can be read in one sitting: limits on length and parameters, and a docstring that says what it owns."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "importer").rglob("*.py"))
FILE_LINES = 300
FUNCTION_LINES = 50
PARAMETERS = 6


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    given = function.args
    everything = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    names = [argument.arg for argument in everything if argument is not None]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


@pytest.fixture(params=MODULES, ids=[str(path.relative_to(ROOT)) for path in MODULES])
def module(request: pytest.FixtureRequest) -> tuple[str, ast.Module]:
    text = request.param.read_text(encoding="utf-8")
    return text, ast.parse(text)


def test_a_module_opens_by_saying_what_it_owns(module: tuple[str, ast.Module]) -> None:
    assert ast.get_docstring(module[1]), "give it a docstring: what it owns, and what it leaves to others"


def test_a_module_has_at_most_300_lines(module: tuple[str, ast.Module]) -> None:
    assert len(module[0].splitlines()) <= FILE_LINES, "split the room into a package"


def test_a_function_has_at_most_50_lines(module: tuple[str, ast.Module]) -> None:
    lengths = {f.name: (f.end_lineno or f.lineno) - f.lineno + 1 for f in functions(module[1])}
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}


def test_a_function_has_at_most_6_parameters(module: tuple[str, ast.Module]) -> None:
    counts = {f.name: len(parameters(f)) for f in functions(module[1])}
    assert {name: count for name, count in counts.items() if count > PARAMETERS} == {}, "pass one frozen object"
