"""What is installed is the package with its types and its schemas, and nothing else."""

import zipfile
from pathlib import Path

import pytest
from hatchling.build import build_wheel

ROOT = Path(__file__).parents[2]


def test_the_wheel_holds_the_package_its_types_and_its_schemas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    name = build_wheel(str(tmp_path))
    with zipfile.ZipFile(tmp_path / name) as wheel:
        files = {path for path in wheel.namelist() if ".dist-info/" not in path}
        metadata = next(path for path in wheel.namelist() if path.endswith("entry_points.txt"))
        assert "importer = importer.cli:main" in wheel.read(metadata).decode()
    assert {path.name for path in (ROOT / "schemas").glob("*.json")} == {
        path.removeprefix("importer/schemas/") for path in files if path.startswith("importer/schemas/")
    }
    data = {str(path.relative_to(ROOT)) for kind in ("yaml", "toml") for path in (ROOT / "importer").rglob(f"*.{kind}")}
    assert data == {path for path in files if path.endswith((".yaml", ".toml"))}
    assert {"importer/suggest/vocabulary.yaml", "importer/reasons.toml"} <= data
    assert "importer/py.typed" in files
    assert all(path.startswith("importer/") for path in files)
