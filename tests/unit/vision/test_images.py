"""Pictures that people and cameras send: each opens right, or is refused in a sentence."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cordon.vision.align import similarity_transform
from cordon.vision.embedders import normalised
from cordon.vision.images import ImageRefused, decode_image, encode_jpeg
from cordon.vision.redact import pixelate_bystanders


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def half_red() -> Image.Image:
    """Red above, blue below, 40 wide and 60 high."""
    picture = Image.new("RGB", (40, 60), (255, 0, 0))
    picture.paste((0, 0, 255), (0, 30, 40, 60))
    return picture


def test_a_picture_comes_as_blue_green_red_bytes() -> None:
    image = decode_image(encoded(half_red(), "PNG"))
    assert (image.shape, image.dtype) == ((60, 40, 3), np.uint8)
    assert image[0, 0].tolist() == [0, 0, 255]


def test_a_phones_turned_picture_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = decode_image(encoded(half_red().rotate(90, expand=True), "JPEG", exif=exif, quality=95))
    assert image.shape[:2] == (60, 40)
    assert image[5, 20, 2] > 200
    assert image[55, 20, 0] > 200


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "1"])
def test_other_colour_modes_become_three_channels(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert decode_image(encoded(half_red().convert(mode), kind)).shape == (60, 40, 3)


def test_sixteen_bits_keep_their_shades() -> None:
    ramp = np.linspace(0, 65_535, 64, dtype=np.uint16).reshape(1, 64).repeat(8, axis=0)
    image = decode_image(encoded(Image.fromarray(ramp), "PNG"))
    assert image[0, 0, 0] < 5
    assert 120 < image[0, 32, 0] < 136
    assert image[0, 63, 0] > 250


@pytest.mark.parametrize("data", [b"", b"no picture", b"\xff\xd8\xff" + b"x" * 50, b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ImageRefused) as refused:
        decode_image(data)
    assert refused.value.sentence.endswith(".")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_a_picture_cut_short_is_refused(kind: str) -> None:
    whole = encoded(Image.effect_noise((400, 600), 60).convert("RGB"), kind)
    with pytest.raises(ImageRefused) as refused:
        decode_image(whole[: len(whole) // 2])
    assert (refused.value.code, refused.value.sentence) in {
        ("broken", "The picture is broken or cut short."),
        ("not_an_image", "This file is not a picture that can be read."),
    }


def test_a_printers_jpeg_keeps_its_colours() -> None:
    image = decode_image(encoded(half_red().convert("CMYK"), "JPEG", quality=95))
    assert image.shape == (60, 40, 3)
    assert image[5, 20, 2] > 200 > 60 > image[5, 20, 0]
    assert image[55, 20, 0] > 200 > 60 > image[55, 20, 2]


def test_sixteen_bits_of_each_colour_become_eight() -> None:
    deep = np.zeros((8, 64, 3), np.uint16)
    deep[..., 2] = np.linspace(0, 65_535, 64)
    image = decode_image(cv2.imencode(".png", deep)[1].tobytes())
    assert image[0, 0, 2] < 5
    assert 120 < image[0, 32, 2] < 136
    assert image[0, 63].tolist() == [0, 0, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_way_to_hold_a_phone_gives_the_same_picture(orientation: int) -> None:
    stored = {
        1: lambda p: p,
        2: lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda p: p.transpose(Image.Transpose.ROTATE_180),
        4: lambda p: p.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda p: p.transpose(Image.Transpose.TRANSPOSE),
        6: lambda p: p.transpose(Image.Transpose.ROTATE_90),
        7: lambda p: p.transpose(Image.Transpose.TRANSVERSE),
        8: lambda p: p.transpose(Image.Transpose.ROTATE_270),
    }
    upright = Image.fromarray(np.random.default_rng(8).integers(0, 256, (30, 20, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode_image(encoded(stored[orientation](upright), "PNG", exif=exif))
    assert np.array_equal(image[..., ::-1], np.asarray(upright))


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"hevc"])
def test_an_iphones_own_format_is_refused_with_what_to_do(brand: bytes) -> None:
    data = struct.pack(">I", 24) + b"ftyp" + brand + b"\0\0\0\0mif1heic" + b"\0" * 200
    with pytest.raises(ImageRefused, match="HEIC pictures cannot be read: save the picture as JPEG"):
        decode_image(data)


def test_a_bomb_is_refused_by_its_header_before_it_unfolds() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(ImageRefused) as refused:
        decode_image(bomb)
    assert refused.value.code == "too_large"


def test_sixty_megapixels_are_too_many() -> None:
    with pytest.raises(ImageRefused, match="60 megapixels"):
        decode_image(encoded(Image.new("1", (10_000, 6_000)), "PNG"))


@pytest.mark.parametrize(
    "header",
    [
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 200, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
        b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, 60_000, 60_000, 3) + b"\1\x11\0\2\x11\1\3\x11\1",
        b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b"\x2c" + struct.pack("<HHHHBB", 0, 0, 9, 9, 0, 2),
    ],
    ids=["BMP", "JPEG", "GIF"],
)
def test_a_tiny_file_that_claims_to_be_huge_is_refused_at_once(header: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(ImageRefused):
        decode_image(header + b"\0" * 200)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_moving_pictures_are_refused() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    with pytest.raises(ImageRefused, match="several pictures"):
        decode_image(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    with pytest.raises(ImageRefused, match="GIF"):
        decode_image(encoded(frames[0], "GIF"))
    with pytest.raises(ImageRefused, match="GIF"):
        decode_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    with pytest.raises(ImageRefused, match="several pictures"):
        decode_image(encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_decoder(data: bytes) -> None:
    for start in (b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x00\x00\x00\x00WEBP", b"II*\x00", b"BM"):
        try:
            assert decode_image(start + data).ndim == 3
        except ImageRefused as refused:
            assert refused.sentence


@pytest.mark.parametrize(
    "subject", [(-60, -60, -20, -20), (-30, 20, 10, 70), (190, 190, 260, 260), (400, 400, 450, 450)]
)
def test_a_subject_at_or_beyond_the_pictures_edge_uncovers_nobody(subject: tuple[int, int, int, int]) -> None:
    scene = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)
    bystander = np.array([[80, 60, 140, 140]], np.float32)
    redacted = pixelate_bystanders(scene, np.array(subject, np.float32), bystander)
    assert len(np.unique(redacted[60:140, 80:140].reshape(-1, 3), axis=0)) <= 36
    assert (redacted[180:, 180:] == scene[180:, 180:]).all()


def test_what_leaves_carries_no_metadata_and_is_no_larger_than_asked() -> None:
    jpeg = encode_jpeg(np.full((600, 300, 3), 90, np.uint8), longest_side=100)
    assert Image.open(io.BytesIO(jpeg)).size == (50, 100)
    assert b"Exif" not in jpeg


@settings(deadline=None)
@given(st.floats(-3.1, 3.1), st.floats(0.2, 5), st.floats(-200, 200), st.floats(-200, 200))
def test_alignment_finds_the_turn_scale_and_shift_that_were_made(
    angle: float, scale: float, x: float, y: float
) -> None:
    source = np.array([[30, 50], [80, 52], [55, 75], [35, 95], [72, 96]], np.float32)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = similarity_transform(source, (source @ turn.T + [x, y]).astype(np.float32))
    assert np.allclose(matrix[:, :2], turn, atol=1e-3)
    assert np.allclose(matrix[:, 2], [x, y], atol=0.1)


def test_an_embedding_that_is_no_number_or_nothing_becomes_one_that_matches_nobody() -> None:
    rows = normalised(np.array([[3, 4], [0, 0], [np.nan, 1], [np.inf, 1]], np.float32))
    assert rows[0].tolist() == pytest.approx([0.6, 0.8])
    assert not (rows[1:] @ rows[0] >= -1).any()
