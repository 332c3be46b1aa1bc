"""No process of Cordon leaves its memory in a core dump, however the kernel writes one."""

from __future__ import annotations

import subprocess
import sys

SEEN = """
import contextlib, ctypes, io, resource
from cordon.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    main(["openapi"], standalone_mode=False)
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


def test_every_command_forbids_core_dumps_before_it_does_anything() -> None:
    seen = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, text=True, check=True).stdout
    assert seen.splitlines()[-1] == "(0, 0) 0"
