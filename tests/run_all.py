"""Every check of the house, one after the other; ends with a plain line `N passed, N failed`.

A check that is not a test (lint, types, import rules, the web app's own checks) counts as one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
BIN = Path(sys.executable).parent

CHECKS: list[tuple[str, list[str], Path]] = [
    ("ruff", [str(BIN / "ruff"), "check", "--no-cache", "backend", "tests"], ROOT),
    ("mypy --strict", [str(BIN / "mypy"), "-p", "cordon"], ROOT),
    ("import rules", [str(BIN / "lint-imports")], ROOT),
    ("one OpenCV, without a display", [sys.executable, "tests/one_opencv.py"], ROOT),
    ("svelte-check", ["npm", "run", "--silent", "check"], ROOT / "webapp"),
]


def main() -> int:
    BUILD.mkdir(exist_ok=True)
    passed = failed = skipped = 0
    for name, command, folder in CHECKS:
        ok = ran(name, command, folder)
        passed, failed = passed + ok, failed + (not ok)
    suites = [
        (
            "vitest",
            ["npx", "vitest", "run", "--reporter=default", "--reporter=junit", f"--outputFile={BUILD}/vitest.xml"],
            ROOT / "webapp",
            BUILD / "vitest.xml",
        ),
        (
            "pytest",
            [sys.executable, "-m", "pytest", "-q", f"--junitxml={BUILD}/pytest.xml"],
            ROOT,
            BUILD / "pytest.xml",
        ),
    ]
    for name, command, folder, report in suites:
        report.unlink(missing_ok=True)
        ok = ran(name, command, folder)
        counts = counted(report)
        if not ok and counts[1] == 0:
            counts = (counts[0], 1, counts[2])
        if counts[0] + counts[1] == 0:
            print(f"{name}: no test ran")
            counts = (0, 1, counts[2])
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
    print(f"\n{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    return 1 if failed else 0


def ran(name: str, command: list[str], folder: Path) -> bool:
    began = time.monotonic()
    print(f"\n== {name}", flush=True)
    done = subprocess.run(command, cwd=folder, env=os.environ, check=False)
    print(f"== {name}: {'ok' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s", flush=True)
    return done.returncode == 0


def counted(report: Path) -> tuple[int, int, int]:
    """Passed, failed and skipped tests of a JUnit report."""
    if not report.is_file():
        return 0, 0, 0
    suites = [suite for suite in ElementTree.parse(report).getroot().iter("testsuite")]
    total = {key: sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "failures", "errors", "skipped")}
    bad = total["failures"] + total["errors"]
    return total["tests"] - bad - total["skipped"], bad, total["skipped"]


if __name__ == "__main__":
    sys.exit(main())
