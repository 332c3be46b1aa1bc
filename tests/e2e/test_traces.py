"""The search for traces finds a template in whatever it is put, and nothing where there is none."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from traces import EIGHT_BIT_COSINE, SAME_CROP, crops_near, eight_bit_near, traces_in

Row = NDArray[np.float32]
RANDOM = np.random.default_rng(4)
PEOPLE = RANDOM.standard_normal((6, 128)).astype(np.float32)
PEOPLE /= np.linalg.norm(PEOPLE, axis=1, keepdims=True)


def zipped(data: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner", data)
    return target.getvalue()


def eight_bits(row: Row) -> bytes:
    return np.round(row / np.abs(row).max() * 127).astype(np.int8).tobytes()


HIDDEN: dict[str, Callable[[Row], bytes]] = {
    "float16": lambda row: row.astype("<f2").tobytes(),
    "float16, big-endian": lambda row: row.astype(">f2").tobytes(),
    "float32": lambda row: row.tobytes(),
    "float32, big-endian": lambda row: row.astype(">f4").tobytes(),
    "float64": lambda row: row.astype("<f8").tobytes(),
    "float64, big-endian": lambda row: row.astype(">f8").tobytes(),
    "not normalised": lambda row: (row * 37).tobytes(),
    "signed bytes": eight_bits,
    "unsigned bytes with a zero point": lambda row: np.round(row * 300 + 121).clip(0, 255).astype(np.uint8).tobytes(),
    "base64": lambda row: base64.b64encode(row.tobytes()),
    "base64 after letters": lambda row: b"key/" + b"ab" + base64.b64encode(row.tobytes()),
    "base64 for addresses": lambda row: base64.urlsafe_b64encode(row.tobytes()).rstrip(b"="),
    "base64 of bytes": lambda row: base64.b64encode(eight_bits(row)),
    "hexadecimal": lambda row: row.tobytes().hex().encode(),
    "hexadecimal of bytes": lambda row: eight_bits(row).hex().upper().encode(),
    "JSON": lambda row: json.dumps([round(float(value), 4) for value in row]).encode(),
    "CSV": lambda row: ";".join(f"{value:.4e}" for value in row).encode(),
    "NumPy's print": lambda row: str(row.tolist()).encode(),
    "integers in text": lambda row: " ".join(str(value) for value in np.frombuffer(eight_bits(row), np.int8)).encode(),
    "gzip": lambda row: gzip.compress(row.tobytes()),
    "zlib": lambda row: zlib.compress(row.tobytes()),
    "zip": lambda row: zipped(row.tobytes()),
    "gzip in base64": lambda row: base64.b64encode(gzip.compress(row.astype("<f2").tobytes())),
}


@pytest.mark.parametrize("how", HIDDEN)
@pytest.mark.parametrize("before", [b"", b"some line\n", bytes(range(1, 200))[:131]])
def test_a_template_is_found_however_it_is_written(how: str, before: bytes) -> None:
    noisy = PEOPLE[2] + RANDOM.standard_normal(128).astype(np.float32) * 0.03
    data = before + b"\n" + HIDDEN[how](noisy / np.linalg.norm(noisy)) + b"\nthe end"
    assert traces_in("here", data, None, PEOPLE, 0.6)  # type: ignore[arg-type]


def test_nothing_is_found_in_noise_text_and_other_peoples_templates() -> None:
    others = RANDOM.standard_normal((400, 128)).astype(np.float32)
    innocent = [
        RANDOM.bytes(600_000),
        others.tobytes(),
        b"".join(eight_bits(row) for row in others),
        json.dumps([{"at": n, "score": n / 7} for n in range(3_000)]).encode(),
        bytes(200_000),
    ]
    for data in innocent:
        assert not traces_in("here", data, None, PEOPLE, 0.6)  # type: ignore[arg-type]
    assert max(eight_bit_near(innocent[0], PEOPLE), default=0.0) < EIGHT_BIT_COSINE


def smooth(seed: int) -> NDArray[np.uint8]:
    """Not a face, but as smooth as one."""
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 8, 3)).astype(np.float32)
    return np.clip(np.kron(coarse, np.ones((14, 14, 1), np.float32)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "as_bytes",
    [
        lambda crop: crop.tobytes(),
        lambda crop: crop[:, :, ::-1].tobytes(),
        lambda crop: crop.transpose(2, 0, 1).tobytes(),
        lambda crop: crop.mean(axis=2).astype(np.uint8).tobytes(),
        lambda crop: (crop.astype(np.float32) / 127.5 - 1).tobytes(),
        lambda crop: (crop.transpose(2, 0, 1).astype("<f2") / 255).tobytes(),
    ],
    ids=["BGR", "RGB", "planes", "grey", "floats", "halves"],
)
def test_a_crops_pixels_are_found(as_bytes: Callable[[NDArray[np.uint8]], bytes]) -> None:
    grey = np.repeat(smooth(1).mean(axis=2, keepdims=True), 3, axis=2)
    # As skin is: three channels that go together.
    crop = np.clip(grey * [0.8, 0.9, 1.0] + RANDOM.normal(0, 4, grey.shape), 0, 255).astype(np.uint8)
    assert crops_near(b"abc" + as_bytes(crop) + b"end", crop[None])
    assert max(crops_near(as_bytes(smooth(2)), crop[None]), default=0.0) < SAME_CROP
