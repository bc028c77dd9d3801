"""Help and mistakes on the command line answer at once: no heavy library is loaded for them."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("pandas", "pyarrow", "aiohttp", "numpy", "phonenumbers", "babel", "pydantic")
PROGRAM = f"""
import sys
from importer.cli import main
code = main(sys.argv[1:])
print("loaded:", *(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)
sys.exit(code)
"""


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
def test_no_heavy_library_is_loaded(arguments: tuple[str, ...]) -> None:
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False
    )
    assert outcome.stderr.splitlines()[-1] == "loaded:", outcome.stderr
    assert outcome.returncode == (0 if arguments[-1].startswith("--") else 2)


def test_a_check_does_without_pandas_and_without_what_only_odd_rows_need() -> None:
    root = Path(__file__).parents[2]
    arguments = ("check", str(root / "samples" / "orders.parquet"), "-m", str(root / "samples" / "orders.yaml"))
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False
    )
    assert "pandas" not in outcome.stderr.splitlines()[-1], outcome.stderr


NANOSECONDS = """
import sys
from importer.without_pandas import without_pandas
with without_pandas():
    import pyarrow as pa
    from importer.read import text_of
    times = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns"))
    assert "pandas" not in sys.modules
    print(text_of(pa.StructArray.from_arrays([times], ["at"]))[0][0])
"""


def test_nested_nanoseconds_are_whole_although_pythons_own_times_have_none() -> None:
    outcome = subprocess.run([sys.executable, "-c", NANOSECONDS], capture_output=True, text=True, check=True)
    assert outcome.stdout == '{"at":"2023-11-14 22:13:20.123456789"}\n'
