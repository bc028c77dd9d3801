"""A command answers at once: no library is loaded that it does not need."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("pandas", "pyarrow", "aiohttp", "numpy", "phonenumbers", "babel", "pydantic", "msgspec")
BEYOND_THE_LIST = ("json", "decimal", "pathlib", "shlex", "difflib", "importer.cli.console", "importer.cli.run")
BEYOND_A_CHECK = (
    "pandas", "aiohttp", "jinja2", "phonenumbers", "babel", "openpyxl", "fsspec", "distributed", "asyncio", "filelock",
    "platformdirs", "adbc_driver_manager", "importer.ledger.ledger", "importer.group",
    "importer.deliver.delivery", "importer.sandbox", "importer.suggest", "importer.report.page",
    "importer.report.accounts", "importer.pipeline.cluster", "importer.transform",
    "importer.mapping.accounts",
)  # fmt: skip
MAPPING = """
version: 1
subscriber: {email: Email}
type: {const: purchase}
value: Total
value_currency: {const: EUR}
key: Order
properties: {ordered_at: {column: Date, as: datetime}}
"""
ROWS = "Order,Email,Total,Date\n1,ada@example.com,12.50,2024-01-31 10:00:00\n2,bob@example.com,7,2024-02-01 10:00:00\n"
TRANSFORM = """
import pandas as pd
import pyarrow as pa

assert pa.array(pd.Series(["a"], dtype="category")).type == pa.dictionary(pa.int8(), pa.large_string())


def double(df):
    df["Total"] = df["Total"].astype("Float64") * 2
    df["Date"] = pd.to_datetime(df["Date"])
    return df
"""


def run(watched: tuple[str, ...], *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, whose last line on stderr names those of the modules that it has loaded.

    ``before``: a program to run first.
    """
    program = (
        f"{before}\nimport sys\nfrom importer.cli import main\ncode = main(sys.argv[1:])\n"
        f"print('loaded:', *(name for name in {watched} if name in sys.modules), file=sys.stderr)\nsys.exit(code)"
    )
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("run", "--help"),
        ("check", "--help"),
        ("presets", "--help"),
        ("run",),
        ("nonsense",),
    ],
)
def test_help_and_mistakes_load_no_heavy_library(arguments: tuple[str, ...]) -> None:
    outcome = run(HEAVY, *arguments)
    assert outcome.stderr.splitlines()[-1] == "loaded:", outcome.stderr
    assert outcome.returncode == (0 if arguments[-1].startswith("--") else 2)


def test_the_list_of_commands_loads_little_more_than_click() -> None:
    outcome = run(BEYOND_THE_LIST, "--help")
    assert outcome.stderr.splitlines()[-1] == "loaded:", outcome.stderr


@pytest.fixture
def sources(tmp_path: Path) -> tuple[str, ...]:
    """The arguments that check two rows without a phone."""
    (tmp_path / "orders.csv").write_text(ROWS)
    (tmp_path / "orders.yaml").write_text(MAPPING)
    (tmp_path / "double.py").write_text(TRANSFORM)
    return str(tmp_path / "orders.csv"), "-m", str(tmp_path / "orders.yaml")


def test_a_check_loads_no_library_that_it_does_not_need(sources: tuple[str, ...]) -> None:
    outcome = run(BEYOND_A_CHECK, "check", *sources)
    assert outcome.stderr.splitlines()[-1] == "loaded:", outcome.stderr
    assert outcome.returncode == 0


def test_a_function_gets_whole_data_frames_though_pandas_is_loaded_late(
    sources: tuple[str, ...], tmp_path: Path
) -> None:
    arguments = "check", *sources, "--preview", "2", "--transform", f"{tmp_path / 'double.py'}:double"
    outcome = run(("pandas",), *arguments, before="from importer.pipeline import load_arrow; load_arrow()")
    assert outcome.stderr.splitlines()[-1] == "loaded: pandas", outcome.stderr
    assert [line.partition('"value":')[2] for line in outcome.stdout.splitlines()] == [
        '25,"value_currency":"EUR","properties":{"ordered_at":"2024-01-31T10:00:00"}}',
        '14,"value_currency":"EUR","properties":{"ordered_at":"2024-02-01T10:00:00"}}',
    ]
