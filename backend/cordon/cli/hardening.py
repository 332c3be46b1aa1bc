"""What the operating system must not do with this process's memory: write it into a core dump, or swap it out.

Only the standard library and nothing that opens a socket: `cordon serve` patches those before anything else loads.
"""

from __future__ import annotations

import ctypes
import resource
from pathlib import Path

_PR_SET_DUMPABLE = 4
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_CAP_IPC_LOCK = 14


def forbid_core_dumps() -> None:
    """The limit is inherited by every child; a kernel that pipes its dumps to a program passes the limit by, and asks
    whether the process may be dumped at all."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def lock_memory() -> bool:
    """Keep what this process touches out of swap. False where it is not allowed to lock all it may ever need: half locked,
    its next allocation would fail."""
    mlockall = getattr(ctypes.CDLL(None), "mlockall", None)
    if mlockall is None or not _may_lock_everything():
        return False
    return bool(mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0)


def _may_lock_everything() -> bool:
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    effective = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> _CAP_IPC_LOCK & 1)
