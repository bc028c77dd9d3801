"""Help and mistakes on the command line answer at once: no heavy library is loaded for them."""

import subprocess
import sys

import pytest

HEAVY = ("pandas", "pyarrow", "aiohttp", "numpy", "phonenumbers", "babel", "pydantic", "msgspec")
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
