"""A deployment tells nobody outside anything: onnxruntime's wheels report their use to their maker unless forbidden."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

USE_A_MODEL = """
import numpy as np
{first}
import onnxruntime
from cordon.index.exact import ExactSearch
ExactSearch(np.eye(300, dtype=np.float32), scan=True)
"""


def used(folder: Path, first: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name not in {"ORT_DISABLE_TELEMETRY", "CI"}}
    environment |= {"TMPDIR": str(folder), "HOME": str(folder)}
    subprocess.run([sys.executable, "-c", USE_A_MODEL.format(first=first)], env=environment, check=True, timeout=60)
    return [path.name for path in folder.rglob("*")]


def test_using_a_model_opens_no_telemetry_session(tmp_path: Path) -> None:
    assert used(tmp_path, "import cordon") == []
