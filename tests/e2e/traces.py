"""A search for people who must have left nothing: their faces in any picture, their crops as bare pixels, their templates
in any bytes and most encodings.

What is searched is everything below the given folders (database and its write-ahead log, objects, spool, temporary files,
logs, home), as it lies there; where it is packed, unpacked; where it is sealed, opened with the deployment's keys; and
every value of every table, for a database may cut a value into pages.

A template is found as float16, float32 or float64 of either byte order, as eight-bit integers of any scale and zero
point, at any offset, bare or in base64, hexadecimal, gzip, zlib or zip, and as numbers in text. Not found: one that was
encrypted with a key that is not the deployment's, rotated by a secret matrix, or hashed.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.signal import oaconvolve
from sqlalchemy import MetaData, select

from cordon.evidence import service as evidence
from cordon.evidence.model import EvidenceObject, Holding
from cordon.platform.installation import Installation
from cordon.vision.images import ImageRefused, decode_image
from cordon.vision.packs import Pack
from cordon.watchlists.model import ReferenceImage, WatchlistEntry

PICTURE_STARTS = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP", re.S)
PACKED_STARTS = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]|PK\x03\x04", re.S)
BASE64_RUN = re.compile(rb"[A-Za-z0-9+/_-]{160,}={0,2}")
HEX_RUN = re.compile(rb"(?:[0-9a-fA-F]{2}){120,}")
NUMBERS = re.compile(rb"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|[-+]?\.\d+(?:[eE][-+]?\d+)?")
FLOATS = tuple(np.dtype(order + kind) for kind in ("f2", "f4", "f8") for order in "<>")
DEEPEST = 3
"""So many wrappings, one in another, are taken off."""
CROP = 112
SAME_CROP = 0.85
"""Correlation of a crop's pixels: another walk of the same photograph is above, somebody else's face below."""
EIGHT_BIT_COSINE = 0.75
"""Random bytes come to 0.55 here and there among millions of offsets; a template in eight bits keeps 0.99 of itself."""
TEMPLATE_COSINE = 0.6
"""At a matching threshold, bytes that only look like floats come near somebody among so many offsets; the template of
another view of the same walk is nearer than this."""
_WINDOWS_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class Trace:
    where: str
    what: str
    cosine: float


@dataclass(frozen=True)
class Sought:
    """Who must have left nothing. templates: (N, D); crops: aligned faces, (M, 112, 112, 3) uint8; cosine: how near a
    template or a face in a picture must come to count."""

    templates: NDArray[np.float32]
    cosine: float
    crops: NDArray[np.uint8] | None = None


def find_traces(
    folder: Path | Sequence[Path],
    installation: Installation,
    pack: Pack,
    people: NDArray[np.float32] | Sought,
    *,
    cosine: float = 0.6,
    except_below: Path,
) -> list[Trace]:
    """Everything below the folders (but `except_below`), in the database and in its sealed objects that holds somebody of
    `people` (N, D) at `cosine` or nearer."""
    sought = people if isinstance(people, Sought) else Sought(people, cosine)
    found: list[Trace] = []
    for root in [folder] if isinstance(folder, Path) else folder:
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.is_symlink() and not path.is_relative_to(except_below):
                found += traces_in(str(path), path.read_bytes(), pack, sought)
    for where, plain in (*opened(installation), *values(installation)):
        found += traces_in(where, plain, pack, sought)
    return found


def values(installation: Installation) -> Iterator[tuple[str, bytes]]:
    """Every value of every table that is long enough to hold a template."""
    schema = MetaData()
    schema.reflect(installation.database.engine)
    with installation.database.engine.connect() as connection:
        for table in schema.sorted_tables:
            for row in connection.execute(select(table)):
                for name, value in row._mapping.items():
                    plain = bytes(value) if isinstance(value, bytes | memoryview) else _as_text(value)
                    if len(plain) >= 100:
                        yield f"table {table.name}.{name}", plain


def _as_text(value: object) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value, default=str).encode()


def opened(installation: Installation) -> Iterator[tuple[str, bytes]]:
    """Every sealed object and template, as its key's owner could read it."""
    with installation.read() as work:
        for row in work.session.query(EvidenceObject):
            yield f"object {row.object_key}", evidence.fetch(work, row.deployment_id, row.id)
        for image, entry in work.session.query(ReferenceImage, WatchlistEntry).filter(
            ReferenceImage.entry_id == WatchlistEntry.id
        ):
            if image.sealed_template is not None:
                yield (
                    f"template {image.id}",
                    evidence.unseal_small(
                        work, entry.deployment_id, Holding.WATCHLIST, image.sealed_template, f"template:{image.id}"
                    ),
                )


def traces_in(
    where: str, data: bytes, pack: Pack, people: NDArray[np.float32] | Sought, cosine: float = 0.6, depth: int = 0
) -> list[Trace]:
    sought = people if isinstance(people, Sought) else Sought(people, cosine)
    floor = max(sought.cosine, TEMPLATE_COSINE)
    found = [Trace(where, "template", score) for score in templates_near(data, sought.templates, floor)]
    found += [Trace(where, "template in eight bits", score) for score in eight_bit_near(data, sought.templates)]
    found += [Trace(where, "pixels", score) for score in crops_near(data, sought.crops)]
    for row in _numbers(data, sought.templates.shape[1]):
        near = templates_near(row.astype("<f8").tobytes(), sought.templates, floor)
        found += [Trace(where, "template in text", score) for score in near]
        if len(row) and np.all(row == np.round(row)) and np.all((row > -129) & (row < 256)):
            found += [Trace(where, "template in text", score) for score in _correlations(row, sought.templates)]
    for match in PICTURE_STARTS.finditer(data):
        found += _faces(where, data[match.start() :], pack, sought.templates, sought.cosine)
    if depth < DEEPEST:
        for how, inner in unpacked(data):
            found += traces_in(f"{where}, {how}", inner, pack, sought, depth=depth + 1)
    return found


def unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What lies in these bytes in another encoding."""
    for match in HEX_RUN.finditer(data):
        yield "hexadecimal", bytes.fromhex(match.group().decode())
    for match in BASE64_RUN.finditer(data):
        # Whatever letters stand before it without a gap shift the groups of four.
        for shift in range(4):
            decoded = _base64(match.group()[shift:])
            if decoded:
                yield "base64", decoded
    for match in PACKED_STARTS.finditer(data):
        try:
            if match.group().startswith(b"PK"):
                with zipfile.ZipFile(io.BytesIO(data[match.start() :])) as archive:
                    for name in archive.namelist():
                        yield f"zip {name}", archive.read(name)
            else:
                # 47: gzip or zlib, told by the header.
                inner = zlib.decompressobj(47).decompress(data[match.start() :], 50_000_000)
                if len(inner) >= 100:
                    yield "packed", inner
        except (zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError):
            continue


def templates_near(data: bytes, people: NDArray[np.float32], cosine: float) -> list[float]:
    """Cosines of runs of floats, at any offset, whose length is that of a template and near to one of `people`. A
    template need not be normalised."""
    dimension, scores = people.shape[1], []
    unit = _unit(people)
    for kind in FLOATS:
        for offset in range(kind.itemsize):
            usable = (len(data) - offset) // kind.itemsize * kind.itemsize
            if usable < dimension * kind.itemsize:
                continue
            values = np.frombuffer(data[offset : offset + usable], kind)
            with np.errstate(invalid="ignore"):
                # A template's numbers are small: whatever is not, is none. Hardly any other bytes are so for a whole row.
                likely = np.isfinite(values) & (np.abs(values) < 1e3)
            for start, end in _runs(likely, dimension):
                scores += _cosines(values[start:end].astype(np.float64), unit, cosine)
    return scores


def eight_bit_near(data: bytes, people: NDArray[np.float32]) -> list[float]:
    """The same for templates scaled to signed or unsigned bytes."""
    raw = np.frombuffer(data, np.uint8)
    signed = np.frombuffer(data, np.int8)
    return [score for row in (raw, signed) for score in _correlations(row, people)]


def crops_near(data: bytes, crops: NDArray[np.uint8] | None) -> list[float]:
    """Correlations of bare pixels with crops: 112 × 112, grey, plane by plane or interleaved, bytes or floats."""
    if crops is None or len(data) < CROP * CROP:
        return []
    scores: list[float] = []
    rows = [np.frombuffer(data, np.uint8).astype(np.float32)]
    for kind in (np.dtype("<f4"), np.dtype("<f2")):
        for offset in range(kind.itemsize):
            usable = (len(data) - offset) // kind.itemsize * kind.itemsize
            values = np.frombuffer(data[offset : offset + usable], kind)
            with np.errstate(invalid="ignore"):
                likely = np.isfinite(values) & (np.abs(values) < 1e3)
            rows += [values[a:b].astype(np.float32) for a, b in _runs(likely, CROP * CROP)]
    grey = crops.astype(np.float32).mean(axis=3).reshape(len(crops), -1)
    for row in rows:
        for kernel in (*grey, *np.repeat(grey, 3, axis=1)):
            if len(row) >= len(kernel):
                scores += _correlated(row, kernel)
    return scores


def _correlated(row: NDArray[np.float32], kernel: NDArray[np.float32]) -> list[float]:
    shape = kernel - kernel.mean()
    shape /= np.linalg.norm(shape)
    width = len(kernel)
    sums = np.concatenate([[0.0], np.cumsum(row, dtype=np.float64)])
    squares = np.concatenate([[0.0], np.cumsum(row.astype(np.float64) ** 2)])
    spread = squares[width:] - squares[:-width] - (sums[width:] - sums[:-width]) ** 2 / width
    dot = oaconvolve(row, shape[::-1], "valid")
    near = np.where(spread > width, dot / np.sqrt(np.maximum(spread, 1.0)), 0.0)
    floats = np.where((spread > 1e-3 * width) & (spread <= width), dot / np.sqrt(np.maximum(spread, 1e-9)), 0.0)
    best = max(float(near.max(initial=0.0)), float(floats.max(initial=0.0)))
    return [best] if best >= SAME_CROP else []


def _runs(likely: NDArray[np.bool_], least: int) -> list[tuple[int, int]]:
    """Stretches of True of at least this length."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], likely.view(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= least]


def _cosines(row: NDArray[np.float64], unit: NDArray[np.float64], cosine: float) -> list[float]:
    scores: list[float] = []
    windows = sliding_window_view(row, unit.shape[1])
    for start in range(0, len(windows), _WINDOWS_AT_ONCE):
        part = windows[start : start + _WINDOWS_AT_ONCE]
        length = np.sqrt(np.einsum("ij,ij->i", part, part))
        best = (part @ unit.T) / np.maximum(length, 1e-9)[:, None]
        best[length <= 1e-3] = 0.0
        scores += [float(score) for score in best.max(axis=0) if score >= cosine]
    return scores


def _correlations(row: NDArray[np.generic], people: NDArray[np.float32]) -> list[float]:
    """Pearson's: whatever scale and zero point made bytes of a template, it comes to the same."""
    dimension, scores = people.shape[1], []
    if len(row) < dimension:
        return []
    centred = _unit(people - people.mean(axis=1, keepdims=True)).astype(np.float32)
    windows = sliding_window_view(row, dimension)
    for start in range(0, len(windows), _WINDOWS_AT_ONCE):
        part = windows[start : start + _WINDOWS_AT_ONCE].astype(np.float32)
        part -= part.mean(axis=1, keepdims=True)
        length = np.sqrt(np.einsum("ij,ij->i", part, part))
        best = (part @ centred.T) / np.maximum(length, 1.0)[:, None]
        scores += [float(score) for score in best.max(axis=0) if score >= EIGHT_BIT_COSINE]
    return scores


def _unit(people: NDArray[np.float32]) -> NDArray[np.float64]:
    rows = people.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _faces(where: str, data: bytes, pack: Pack, people: NDArray[np.float32], cosine: float) -> list[Trace]:
    try:
        image = decode_image(data)
    except ImageRefused:
        return []
    faces = pack.detector.accepting(smallest_face_px=20, score=0.4).detect(image)
    if not len(faces):
        return []
    templates = pack.embedder.embed_crops(pack.embedder.align(image, faces.landmarks))
    near = np.nan_to_num(templates @ people.T, nan=-1.0).max(axis=1)
    return [Trace(where, "face", float(score)) for score in near if score >= cosine]


def _base64(run: bytes) -> bytes:
    run = run.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(run[: len(run) // 4 * 4 + (len(run) % 4 if len(run) % 4 > 1 else 0)] + b"==")
    except (binascii.Error, ValueError):
        return b""


def _numbers(data: bytes, least: int) -> Iterator[NDArray[np.float64]]:
    """Rows of numbers in text, whatever separates them (a few signs, no words)."""
    row: list[float] = []
    end = None
    for match in NUMBERS.finditer(data):
        between = b"" if end is None else data[end : match.start()]
        if end is not None and (not between or len(between) > 8 or re.search(rb"[A-Za-z0-9\x80-\xff\x00]", between)):
            if len(row) >= least:
                yield np.clip(np.asarray(row), -1e300, 1e300)
            row = []
        row.append(float(match.group()) if len(match.group()) < 40 else 0.0)
        end = match.end()
    if len(row) >= least:
        yield np.clip(np.asarray(row), -1e300, 1e300)
