"""Each dependency is used, justified and pinned."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMPORT_NAMES = {
    "adbc-driver-manager": "adbc_driver_manager",
    "adbc-driver-sqlite": "adbc_driver_sqlite",
    "backports.zstd": "backports",
    "prometheus-client": "prometheus_client",
    "python-dotenv": "dotenv",
    "ruamel.yaml": "ruamel",
}
DATA_ONLY = {"tzdata"}
"""Found by the standard library's zoneinfo, never imported by name."""


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower() for requirement in requirements}


def imported() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "importer").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found


def test_every_dependency_is_justified_in_one_line() -> None:
    table = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| ([a-z0-9.-]+) \|", table, re.MULTILINE)) - {"library"} == names(PROJECT["dependencies"])
    for tool in names(PROJECT["optional-dependencies"]["dev"]):
        assert tool in table, f"say in docs/dependencies.md what {tool} is for"


def test_every_dependency_is_imported() -> None:
    wanted = {IMPORT_NAMES.get(name, name) for name in names(PROJECT["dependencies"]) - DATA_ONLY}
    assert wanted - imported() == set()


def test_every_dependency_is_pinned_and_the_lock_names_no_place_on_the_network() -> None:
    lock = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8")
    pins = {line.split("==")[0].replace("-", ".") for line in lock.splitlines() if "==" in line}
    wanted = names(PROJECT["dependencies"]) | names(PROJECT["optional-dependencies"]["dev"])
    assert {name.replace("-", ".") for name in wanted} - pins == set()
    assert "://" not in lock
