"""The page on schedulers: what it shows parses, and its commands are commands."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.program import importer

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "orchestrators.md").read_text(encoding="utf-8")
RECIPE = (ROOT / "samples" / "docker" / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = {"FROM", "COPY", "RUN", "ENV", "VOLUME", "WORKDIR", "USER", "STOPSIGNAL", "ENTRYPOINT", "CMD"}


@pytest.mark.parametrize("code", re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
def test_the_python_parses_and_runs_a_known_command(code: str) -> None:
    tree = ast.parse(code)
    commands = [shlex.split(line)[1] for line in re.findall(r"importer run [^\"]*", code)]
    lists = [node for node in ast.walk(tree) if isinstance(node, ast.List)]
    commands += [str(node.elts[1].value) for node in lists if isinstance(node.elts[1], ast.Constant)]
    assert set(commands) == {"run"}


def test_the_kubernetes_job_gives_the_command_that_works_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [text] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    job: Any = YAML(typ="safe").load(text)
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    monkeypatch.chdir(tmp_path)
    (tmp_path / "o.csv").write_text("email\na@example.com\n")
    (tmp_path / "m.yaml").write_text("version: 1\nsubscriber: {email: email}\ntype: {const: t}\n")
    here = {"/drops": "o.csv", "/etc/importer/purchases.yaml": "m.yaml"}
    arguments = [here.get(word, word) for word in container["args"]]
    assert importer(*arguments, "--sandbox", "--ledger", "l.db", "--out", "out").exit_code == 0


def test_the_image_recipe_is_sound() -> None:
    """What a linter of such recipes asks for: known instructions, no root, no cache, a list as the command."""
    lines = RECIPE.replace("\\\n", " ").splitlines()
    steps = [line.partition(" ") for line in lines if line.strip() and not line.startswith("#")]
    words = [word for word, _, _ in steps]
    rest = {word: text for word, _, text in steps}
    assert set(words) <= INSTRUCTIONS
    assert words[0] == "FROM"
    assert ":" in rest["FROM"], "the base has a tag"
    assert not rest["FROM"].endswith(":latest")
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert rest["USER"] not in ("root", "0")
    assert all("--no-cache-dir" in text for _, _, text in steps if "pip install" in text)
    assert "--require-hashes" in RECIPE
    assert rest["ENTRYPOINT"] == '["importer"]'
    assert "/state" in rest["VOLUME"]
    assert (ROOT / ".ci" / "constraints.txt").exists()
