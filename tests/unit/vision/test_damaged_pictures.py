"""Files damaged in a few bytes: each is taken or refused in a sentence."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image

from cordon.vision.images import ImageRefused, decode_image


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_damaged_file_raises_anything_but_a_refusal() -> None:
    random_bytes = random.Random(7)
    exif = Image.Exif()
    exif[274], exif[306] = 6, "2026:01:01 00:00:00"
    noise = Image.effect_noise((60, 60), 60).convert("RGB")
    seeds = [encoded(noise, "JPEG", exif=exif), encoded(noise, "PNG", exif=exif), encoded(noise, "TIFF")]
    outcomes = {"taken": 0, "refused": 0}
    for _ in range(3_000):
        data = bytearray(random_bytes.choice(seeds))
        for _ in range(random_bytes.randint(1, 5)):
            data[random_bytes.randrange(min(len(data), random_bytes.choice([60, 250, 10**9])))] = (
                random_bytes.randrange(256)
            )
        try:
            decode_image(bytes(data))
            outcomes["taken"] += 1
        except ImageRefused:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 100
