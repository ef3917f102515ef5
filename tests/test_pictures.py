"""Every picture file is opened by `foundation.pictures`: right values for each kind, one reason for each bad file."""

import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dartsminus_tf.foundation.pictures import reading as pictures
from dartsminus_tf.foundation.pictures.reading import PictureError
from tests.conftest import ROOT
from tests.odd_pictures import BAD, EPS, LOSSLESS, SHOWN, encoded, save_turned, stored

RAMP = np.arange(65536, dtype=np.uint16).reshape(256, 256)
GREY = np.array([[0, 1, 7], [100, 254, 255]], np.uint8)


def grey(values) -> np.ndarray:
    """RGB of [H, W]."""
    return np.repeat(np.asarray(values, np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("form", LOSSLESS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_turn_is_undone(tmp_path, orientation, form):
    path = tmp_path / "a.jpg"  # the ending says nothing
    save_turned(path, orientation, form)
    np.testing.assert_array_equal(pictures.read(path), SHOWN)
    np.testing.assert_array_equal(pictures.read(path, upright=False), stored(SHOWN, orientation))
    for look in (pictures.look(path), pictures.look(path, to_the_end=True)):
        assert look.size == (3, 2) and look.stored == stored(SHOWN, orientation).shape[1::-1]
        assert look.orientation == orientation and look.is_plain == (orientation == 1 and form == "PNG")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_turn_of_a_photograph_is_undone(tmp_path, orientation):
    blocks = np.kron(SHOWN, np.ones((16, 16, 1), np.uint8))
    save_turned(tmp_path / "a", orientation, "JPEG", blocks, quality=98, subsampling=0)
    assert np.abs(pictures.read(tmp_path / "a").astype(int) - blocks).max() <= 4
    assert pictures.look(tmp_path / "a", to_the_end=True).size == (48, 32)


@pytest.mark.parametrize("value", [0, 9, 255, -1])
def test_a_turn_that_there_is_not_leaves_the_picture_as_it_is(tmp_path, value):
    exif = Image.Exif()
    exif[0x0112] = value & 0xFFFF
    Image.fromarray(SHOWN).save(tmp_path / "a", format="PNG", exif=exif)
    np.testing.assert_array_equal(pictures.read(tmp_path / "a"), SHOWN)


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nonsense"])
def test_damaged_exif_data_lose_no_picture(tmp_path, exif):
    (tmp_path / "a").write_bytes(encoded("JPEG", exif=exif))
    assert pictures.read(tmp_path / "a").shape == (30, 20, 3) and pictures.look(tmp_path / "a").is_plain


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM", "TIFF of Motorola"])
def test_grey_of_sixteen_bits_is_scaled(tmp_path, form):
    """TensorFlow's and libpng's rule is the high byte; Pillow alone would show all above 255 as white."""
    values = RAMP.astype(">u2") if form == "TIFF of Motorola" else RAMP
    Image.fromarray(values).save(tmp_path / "a", format=form.split()[0])
    np.testing.assert_array_equal(pictures.read(tmp_path / "a"), grey(RAMP >> 8))
    if form == "PNG":
        decoded = tf.io.decode_image((tmp_path / "a").read_bytes(), channels=3)
        np.testing.assert_array_equal(decoded, grey(RAMP >> 8))


def test_a_ramp_of_sixteen_bits_is_the_ramp_of_eight(tmp_path):
    eight = np.arange(256, dtype=np.uint8).reshape(4, 64)
    for form in ("PNG", "TIFF"):
        Image.fromarray(eight.astype(np.uint16) * 257).save(tmp_path / "a", format=form)
        np.testing.assert_array_equal(pictures.read(tmp_path / "a"), grey(eight))


def test_colours_of_sixteen_bits(tmp_path):
    values = np.stack([RAMP, RAMP.T, RAMP[::-1]], axis=2)
    (tmp_path / "a").write_bytes(tf.io.encode_png(values).numpy())
    np.testing.assert_array_equal(pictures.read(tmp_path / "a"), values >> 8)


def tiff(bits: int, photometric: int, data: bytes, width: int, height: int) -> bytes:
    """A TIFF of one strip of grey."""
    values = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag == 279 else 3, 1, value) for tag, value in values.items())
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(values)) + entries + bytes(4)


@pytest.mark.parametrize(
    "content, expected",
    [
        (tiff(16, 1, struct.pack("<4H", 0, 256, 65280, 65535), 2, 2), [[0, 1], [255, 255]]),
        (tiff(16, 0, struct.pack("<4H", 0, 256, 65280, 65535), 2, 2), [[255, 254], [0, 0]]),  # white is zero
        (tiff(8, 0, bytes([0, 1, 200, 255]), 2, 2), [[255, 254], [55, 0]]),
        (tiff(12, 1, bytes([0x00, 0x0F, 0xFF, 0x80, 0x01, 0x00]), 2, 2), [[0, 255], [128, 16]]),
    ],
    ids=["16", "16 white is zero", "8 white is zero", "12"],
)
def test_grey_tiffs_by_hand(tmp_path, content, expected):
    (tmp_path / "a").write_bytes(content)
    np.testing.assert_array_equal(pictures.read(tmp_path / "a"), grey(expected))


@pytest.mark.parametrize(
    "values, expected",
    [
        (np.array([[0, 0.5, 1]], np.float32), [[0, 128, 255]]),
        (np.array([[0, 1.5, 255]], np.float32), [[0, 2, 255]]),
        (np.array([[0, 256, 65535]], np.float32), [[0, 1, 255]]),
        (np.array([[0, 1, 255]], np.int32), [[0, 1, 255]]),
        (np.array([[0, 256, 65535]], np.int32), [[0, 1, 255]]),
        (np.array([[-1, 3]], np.int32), None),
        (np.array([[0, 70000]], np.int32), None),
        (np.array([[0, np.nan]], np.float32), None),
        (np.array([[0, np.inf]], np.float32), None),
    ],
)
def test_numbers_without_a_range_of_their_own(tmp_path, values, expected):
    Image.fromarray(values).save(tmp_path / "a", format="TIFF")
    if expected is None:
        with pytest.raises(PictureError, match="no rule brings them to 0..255"):
            pictures.read(tmp_path / "a")
    else:
        np.testing.assert_array_equal(pictures.read(tmp_path / "a"), grey(expected))


def modes() -> dict[str, tuple[Image.Image, str, np.ndarray]]:
    """Pictures of all kinds, the format they are saved in, and what they show."""
    colour, alpha = Image.fromarray(SHOWN), Image.fromarray(GREY)
    palette = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], np.uint8), "P")
    palette.putpalette([9, 8, 7, 60, 50, 40, 255, 0, 128])
    table = np.array([[9, 8, 7], [60, 50, 40], [255, 0, 128]], np.uint8)
    cmyk = Image.fromarray(np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255]]], np.uint8), "CMYK")
    return {
        "1": (Image.fromarray(GREY > 99), "PNG", grey((GREY > 99) * 255)),
        "L": (Image.fromarray(GREY), "PNG", grey(GREY)),
        "LA": (Image.merge("LA", (alpha, alpha)), "PNG", grey(GREY)),
        "P": (palette, "PNG", table[[[0, 1, 2], [2, 1, 0]]]),
        "P in GIF": (palette, "GIF", table[[[0, 1, 2], [2, 1, 0]]]),
        "RGB": (colour, "PNG", SHOWN),
        "RGB in PPM": (colour, "PPM", SHOWN),
        "RGB in BMP": (colour, "BMP", SHOWN),
        "RGBA": (Image.merge("RGBA", (*colour.split(), alpha)), "PNG", SHOWN),
        "RGBA in TIFF": (Image.merge("RGBA", (*colour.split(), alpha)), "TIFF", SHOWN),
        "CMYK": (cmyk, "TIFF", np.array([[[255, 255, 255], [0, 255, 255], [0, 0, 0]]], np.uint8)),
    }


@pytest.mark.parametrize("mode", modes())
def test_every_mode_becomes_rgb(tmp_path, mode):
    picture, form, expected = modes()[mode]
    picture.save(tmp_path / "a", format=form)
    found = pictures.read(tmp_path / "a")
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8 and found.flags.writeable
    if pictures.look(tmp_path / "a").is_plain:  # what is left to TensorFlow
        decoded = tf.io.decode_image((tmp_path / "a").read_bytes(), channels=3)
        np.testing.assert_array_equal(decoded, expected)
    bitmap = tf.io.decode_image(pictures.as_bitmap(tmp_path / "a"), channels=3, expand_animations=False)
    np.testing.assert_array_equal(bitmap, expected)


@pytest.mark.parametrize("form, options", [("GIF", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("MPO", {})])
def test_the_first_of_several_frames_counts(tmp_path, form, options):
    frames = [Image.fromarray(np.full((16, 16, 3), value, np.uint8)) for value in (40, 200)]
    frames[0].save(tmp_path / "a", format=form, save_all=True, append_images=frames[1:], **options)
    assert np.abs(pictures.read(tmp_path / "a").astype(int) - 40).max() <= 2
    if form == "MPO":  # a camera's JPEG: TensorFlow reads it as one
        assert pictures.look(tmp_path / "a").is_plain
        decoded = tf.io.decode_image((tmp_path / "a").read_bytes(), channels=3).numpy()
        assert np.abs(decoded.astype(int) - 40).max() <= 2


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.png", "a.eps", "a.gif", "a"])
def test_postscript_starts_nothing(tmp_path, name, monkeypatch):
    """A Ghostscript that leaves a trace stands first on the path."""
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / name).write_bytes(EPS)
    with pytest.raises(PictureError, match="its content is none of JPEG, PNG, WEBP, TIFF, BMP, GIF, PPM"):
        pictures.read(tmp_path / name)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize(
    "use", [pictures.read, lambda path: pictures.look(path, to_the_end=True)], ids=["read", "look"]
)
def test_what_is_no_picture_has_one_reason(tmp_path, kind, use):
    make, reason = BAD[kind]
    path = tmp_path / "a.jpg"
    make(path)
    with pytest.raises(PictureError, match=re.escape(reason)) as error:
        use(path)
    assert error.value.path == path and error.value.reason in str(error.value)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_the_limit_of_pixels_is_exact_and_nothing_is_decoded_above_it(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(encoded("PNG"))
    monkeypatch.setattr(pictures, "MAX_PIXELS", 600)
    assert pictures.read(tmp_path / "a").shape == (30, 20, 3)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 599)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(PictureError, match="600 pixels, at most 599"):
        pictures.read(tmp_path / "a")


def test_a_file_of_too_many_bytes_is_not_read(tmp_path):
    with open(tmp_path / "a", "wb") as file:
        file.write(encoded("WEBP"))
        file.truncate(pictures.MAX_BYTES + 1)  # a hole, which takes no room
    with pytest.raises(PictureError, match=r"2,147,483,649 bytes"):
        pictures.read(tmp_path / "a")


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"\xff\xfe", b"a\nb \x1b[31m.jpg", "日本.png".encode()])
def test_names_of_any_bytes(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), name)
    with open(path, "wb") as file:
        file.write(encoded("PNG", SHOWN))
    np.testing.assert_array_equal(pictures.read(os.fsdecode(path)), SHOWN)
    with open(path, "wb"):
        pass
    with pytest.raises(PictureError) as error:
        pictures.read(os.fsdecode(path))
    assert error.value.path == Path(os.fsdecode(path))
    str(error.value).encode("utf-8")
    assert "\x1b" not in str(error.value) and "\n" not in str(error.value)


def test_many_faults_are_counted_and_the_first_named(capsys):
    faults = [PictureError(f"{number}.jpg", "it is empty") for number in range(21)]
    pictures.name_left_out(faults[:20], ["one more thing"])
    said = capsys.readouterr().err
    assert said.count("it is empty") == 20 and said.endswith("data: pictures left out: 20\ndata: one more thing\n")
    pictures.name_left_out(faults, file="list.json")
    said = capsys.readouterr().err
    assert said.count("it is empty") == 20 and said.endswith("pictures left out: 21, all are named in list.json\n")


def test_pictures_are_opened_nowhere_else():
    """What the packages have drawn themselves and read back is PNG, and nothing else is tried."""
    opening = re.compile(r"Image\.open\((?!.*formats=\(\"PNG\",\))|load_img\(|imread\(|image_dataset_from_directory")
    files = [file for package in ("dartsminus_tf", "detection") for file in sorted((ROOT / package).rglob("*.py"))]
    found = {str(file.relative_to(ROOT)) for file in files if opening.search(file.read_text(encoding="utf-8"))}
    assert found == {"dartsminus_tf/foundation/pictures/reading.py"}
