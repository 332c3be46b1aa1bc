"""A search for people who must have left nothing: their faces in any picture, their templates in any bytes.

What is searched is everything below a folder (database, objects, spool, temporary files, logs), as it lies there and,
where it is sealed, opened with the deployment's keys.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from cordon.evidence import service as evidence
from cordon.evidence.model import EvidenceObject, Holding
from cordon.platform.installation import Installation
from cordon.vision.images import ImageRefused, decode_image
from cordon.vision.packs import Pack
from cordon.watchlists.model import ReferenceImage, WatchlistEntry

PICTURE_STARTS = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP", re.S)
BASE64_RUN = re.compile(rb"[A-Za-z0-9+/_-]{600,}={0,2}")
NUMBER_LIST = re.compile(rb"\[\s*-?\d[\d.eE+\-,\s]{600,}\]")


@dataclass(frozen=True)
class Trace:
    where: str
    what: str
    cosine: float


def find_traces(
    folder: Path,
    installation: Installation,
    pack: Pack,
    people: NDArray[np.float32],
    *,
    cosine: float,
    except_below: Path,
) -> list[Trace]:
    """Everything below `folder` (but `except_below`) that holds a face or template of `people` (N, D) at `cosine` or
    nearer."""
    found: list[Trace] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_relative_to(except_below):
            found += traces_in(str(path.relative_to(folder)), path.read_bytes(), pack, people, cosine)
    for where, plain in opened(installation):
        found += traces_in(where, plain, pack, people, cosine)
    return found


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


def traces_in(where: str, data: bytes, pack: Pack, people: NDArray[np.float32], cosine: float) -> list[Trace]:
    found = [Trace(where, "template", score) for score in templates_near(data, people, cosine)]
    for match in BASE64_RUN.finditer(data):
        decoded = _base64(match.group())
        found += [Trace(where, "template in base64", score) for score in templates_near(decoded, people, cosine)]
        if PICTURE_STARTS.match(decoded):
            found += _faces(f"{where}, base64", decoded, pack, people, cosine)
    for match in NUMBER_LIST.finditer(data):
        row = _numbers(match.group())
        found += [Trace(where, "template in text", score) for score in templates_near(row, people, cosine)]
    for match in PICTURE_STARTS.finditer(data):
        found += _faces(where, data[match.start() :], pack, people, cosine)
    return found


def templates_near(data: bytes, people: NDArray[np.float32], cosine: float) -> list[float]:
    """Cosines of runs of float32 or float64, at any offset, whose length is that of a template and near to one of
    `people`. A template need not be normalised."""
    dimension, scores = people.shape[1], []
    for kind in (np.dtype("<f4"), np.dtype("<f8")):
        for offset in range(kind.itemsize):
            usable = (len(data) - offset) // kind.itemsize * kind.itemsize
            with np.errstate(invalid="ignore"):
                values = np.frombuffer(data[offset : offset + usable], kind).astype(np.float64)
            if len(values) < dimension:
                continue
            # A template's numbers are small: whatever is not would drown the sums.
            values = np.where(np.isfinite(values) & (np.abs(values) < 1e3), values, 0.0)
            squares = np.concatenate([[0.0], np.cumsum(values**2)])
            length = np.sqrt(np.maximum(squares[dimension:] - squares[:-dimension], 0))
            for person in people.astype(np.float64):
                dot = oaconvolve(values, person[::-1], "valid")
                with np.errstate(divide="ignore", invalid="ignore"):
                    near = np.where(length > 1e-3, dot / length, 0.0)
                if near.max(initial=0.0) >= cosine:
                    scores.append(float(near.max()))
    return scores


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
    try:
        return base64.b64decode(run.translate(bytes.maketrans(b"-_", b"+/")) + b"==")
    except (binascii.Error, ValueError):
        return b""


def _numbers(text: bytes) -> bytes:
    try:
        return np.asarray(json.loads(text), np.float32).tobytes()
    except (ValueError, TypeError):
        return b""
