"""Memory that processes share and no file system holds: templates must not lie on a disk, where they could outlive their
deployment.

A block is a Linux `memfd`: it has no name, vanishes with the last process that holds it, and is sealed once written, so
that nobody who shares it can change it. Whoever attaches checks its SHA-256 first.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import mmap
import os
import resource
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALIGNED = 64
_CHUNK = 1 << 24


class CorruptMemory(Exception):
    """What a block holds is not what was sealed."""


@dataclass(frozen=True)
class Block:
    """A sealed block: the descriptor that holds it in this process, its size in bytes and the SHA-256 of its content. The
    descriptor of a block that this process sealed is closed with the last reference to it."""

    descriptor: int
    size: int
    sha256: str

    @property
    def path(self) -> str:
        """Under which this process, and one that inherited the descriptor, can open it."""
        return f"/proc/self/fd/{self.descriptor}"


def can_share() -> bool:
    return hasattr(os, "memfd_create")


def empty_block(name: str) -> int:
    """The descriptor of a new block, for somebody to write; `seal` it afterwards."""
    return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def seal(descriptor: int) -> Block:
    """From now on nobody can write, shrink or grow the block. Raises OSError while somebody has it mapped for writing."""
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    block = Block(descriptor, os.fstat(descriptor).st_size, _digest(descriptor))
    weakref.finalize(block, os.close, descriptor)
    return block


def write_arrays(name: str, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Block:
    """A sealed block that holds a JSON header and arrays."""
    described: dict[str, dict[str, Any]] = {}
    offset = 0
    for key, array in arrays.items():
        described[key] = {"dtype": array.dtype.str, "shape": array.shape, "offset": offset}
        offset += -(-array.nbytes // _ALIGNED) * _ALIGNED
    head = json.dumps({"header": dict(header), "arrays": described}).encode()
    start = -(-(8 + len(head)) // _ALIGNED) * _ALIGNED
    descriptor = empty_block(name)
    os.truncate(descriptor, start + offset)
    _write(descriptor, len(head).to_bytes(8, "little") + head, 0)
    for key, array in arrays.items():
        _write(descriptor, np.ascontiguousarray(array).data.cast("B"), start + described[key]["offset"])
    return seal(descriptor)


def read_arrays(block: Block) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The header and the arrays, mapped read-only, not copied. Raises CorruptMemory."""
    check(block)
    view = mmap.mmap(block.descriptor, block.size, prot=mmap.PROT_READ)
    try:
        length = int.from_bytes(view[:8], "little")
        head = json.loads(view[8 : 8 + length])
        start = -(-(8 + length) // _ALIGNED) * _ALIGNED
        arrays = {
            key: np.frombuffer(
                view, one["dtype"], int(np.prod(one["shape"], dtype=np.int64)), start + one["offset"]
            ).reshape(one["shape"])
            for key, one in head["arrays"].items()
        }
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptMemory("A block of the index cannot be read.") from error
    return head["header"], arrays


def check(block: Block) -> None:
    """Raises CorruptMemory unless the block holds what was sealed."""
    if os.fstat(block.descriptor).st_size != block.size or _digest(block.descriptor) != block.sha256:
        raise CorruptMemory("A block of the index does not have the checksum that it was sealed with.")


def forbid_core_dumps() -> None:
    """A crash must not write the faces in memory to disk; children inherit it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _write(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    view = memoryview(data)
    while view.nbytes:
        written = os.pwrite(descriptor, view[:_CHUNK], offset)
        view, offset = view[written:], offset + written


def _digest(descriptor: int) -> str:
    digest, offset = hashlib.sha256(), 0
    while part := os.pread(descriptor, _CHUNK, offset):
        digest.update(part)
        offset += len(part)
    return digest.hexdigest()
