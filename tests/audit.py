"""Known vulnerabilities among the pinned dependencies: ``python -m tests.audit``, part of ``make lint``.

Fails if the database knows one. Where the database cannot be reached, or does not know a package, that is printed and
nothing more: a machine without it can still build.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).parents[1] / ".ci" / "constraints.txt"


def main() -> int:
    """The exit code: 1 for a known vulnerability."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(PINS), "--disable-pip", "--require-hashes"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        print(f"audit: the database could not be asked: {done.stderr.strip().splitlines()[-1:]}")  # noqa: T201  # its output
        return 0
    known = [one for one in packages if "vulns" in one]
    for package in known:
        for found in package["vulns"]:
            fixed = ", ".join(found["fix_versions"]) or "no version"
            print(f"audit: {package['name']} {package['version']}: {found['id']}, fixed in {fixed}")  # noqa: T201
    print(f"audit: {len(known)} of {len(packages)} packages are known to the database")  # noqa: T201
    return int(any(package["vulns"] for package in known))


if __name__ == "__main__":
    sys.exit(main())
