"""Pictures of every kind to pixels, and pixels to patches and back."""

import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as pillow

from castalia.document import Image
from castalia.errors import ImageError
from castalia.perception.image import fit, load_image, patchify, unpatchify

RED, WHITE = (255, 0, 0), (255, 255, 255)


def saved(picture: pillow.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_path_a_string_and_bytes_give_the_same_pixels(tmp_path: Path) -> None:
    pixels_HWC = noise(9, 13)
    path = tmp_path / "noise.png"
    pillow.fromarray(pixels_HWC).save(path)
    for source in (path, str(path), path.read_bytes()):
        np.testing.assert_array_equal(load_image(source).pixels_HWC, pixels_HWC)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "TGA", "WEBP", "JPEG2000", "PCX", "ICO", "DDS", "SGI"])
def test_lossless_formats_keep_every_pixel(format: str) -> None:
    pixels_HWC = noise(32, 32)
    data = saved(pillow.fromarray(pixels_HWC), format, **({"lossless": True} if format == "WEBP" else {}))
    np.testing.assert_array_equal(load_image(data).pixels_HWC, pixels_HWC)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "LAB", "I;16", "I", "F"])
def test_white_in_every_mode_that_pillow_can_save_becomes_white_rgb(mode: str) -> None:
    if mode == "I;16":
        picture = pillow.fromarray(np.full((4, 5), 65535, np.uint16))
    elif mode == "LAB":
        picture = pillow.merge("LAB", [pillow.new("L", (5, 4), value) for value in (255, 128, 128)])
    else:
        white = {"I": 65535, "F": 1.0, "CMYK": (0, 0, 0, 0), "LA": (255, 255), "RGBA": (*WHITE, 255)}
        picture = pillow.new(mode, (5, 4), white.get(mode, "white"))
    data = saved(picture, "TIFF")
    with pillow.open(io.BytesIO(data)) as file:
        assert file.mode == mode
    image = load_image(data)
    assert (image.height, image.width) == (4, 5)
    assert (image.pixels_HWC >= 254).all()


def test_cmyk_becomes_the_colours_it_prints() -> None:
    pixels_HWC = load_image(saved(pillow.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100)).pixels_HWC
    assert (np.abs(pixels_HWC.astype(int) - RED) < 8).all()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_to_eight_not_clipped(format: str) -> None:
    grey_HW = np.array([[0, 257, 32896, 65535]], np.uint16)
    image = load_image(saved(pillow.fromarray(grey_HW), format))
    assert image.pixels_HWC[0, :, 0].tolist() == [0, 1, 128, 255]


def test_deep_greys_are_read_in_the_range_they_fit() -> None:
    def greys(*values: float, dtype: type = np.float32) -> list[int]:
        return load_image(saved(pillow.fromarray(np.array([values], dtype)), "TIFF")).pixels_HWC[0, :, 1].tolist()

    assert greys(0, 0.5, 1) == [0, 128, 255]
    assert greys(0, 128, 255) == [0, 128, 255]
    assert greys(-10, 0, 10) == [0, 128, 255]
    assert greys(0, np.nan, 1) == [0, 0, 255]
    assert greys(0, 128, 255, dtype=np.int32) == [0, 128, 255]
    assert greys(0, 32896, 65535, dtype=np.int32) == [0, 128, 255]
    assert greys(7, 7, 7) == [7, 7, 7]
    assert greys(-7, -7, -7) == [0, 0, 0]


def test_what_is_transparent_is_laid_on_white() -> None:
    rgba_HWC = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    assert load_image(saved(pillow.fromarray(rgba_HWC), "PNG")).pixels_HWC.tolist() == [
        [[255, 0, 0], [255] * 3, [127] * 3]
    ]
    grey = pillow.merge("LA", [pillow.new("L", (1, 1), 0), pillow.new("L", (1, 1), 0)])
    assert load_image(saved(grey, "PNG")).pixels_HWC.tolist() == [[[255] * 3]]


def test_a_palettes_transparent_colour_is_laid_on_white() -> None:
    picture = pillow.new("P", (2, 1))
    picture.putpalette([0, 0, 255, 255, 0, 0])
    picture.putpixel((1, 0), 1)
    for format in ("PNG", "GIF"):
        pixels_HWC = load_image(saved(picture, format, transparency=0)).pixels_HWC
        assert pixels_HWC.tolist() == [[list(WHITE), list(RED)]]


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(format: str) -> None:
    first, second = pillow.new("RGB", (6, 4), RED), pillow.new("RGB", (6, 4), (0, 0, 255))
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(first, format, save_all=True, append_images=[second], **options)
    assert (load_image(data).pixels_HWC == RED).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_exif_rotation_is_undone(orientation: int, format: str) -> None:
    pixels_HWC = noise(4, 6)
    stored = {  # how a camera held that way writes the upright scene (Exif 2.32, orientation tag)
        1: pixels_HWC,
        2: pixels_HWC[:, ::-1],
        3: pixels_HWC[::-1, ::-1],
        4: pixels_HWC[::-1],
        5: pixels_HWC.transpose(1, 0, 2),
        6: np.rot90(pixels_HWC),
        7: np.rot90(pixels_HWC, 2).transpose(1, 0, 2),
        8: np.rot90(pixels_HWC, -1),
    }[orientation]
    exif = pillow.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(pillow.fromarray(np.ascontiguousarray(stored)), format, exif=exif, **options)
    np.testing.assert_array_equal(load_image(data).pixels_HWC, pixels_HWC)


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_exif_block_does_not_cost_the_picture() -> None:
    data = saved(pillow.new("RGB", (8, 8), RED), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage")
    assert (load_image(data).pixels_HWC == RED).all()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_truncated_picture_is_refused_by_name_and_cause(format: str, tmp_path: Path) -> None:
    data = saved(pillow.fromarray(noise(64, 64)), format)
    for share in (0.5, 0.9):
        path = tmp_path / f"scan.{format.lower()}"
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(
            ImageError, match=r"^scan\.\w+ (cannot be read as a picture: it is truncated or damaged|is not a)"
        ):
            load_image(path)


def test_an_empty_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "nothing.png").touch()
    with pytest.raises(ImageError, match=r"^nothing\.png .*the file is empty$"):
        load_image(tmp_path / "nothing.png")
    with pytest.raises(ImageError, match=r"^upload 3 .*empty"):
        load_image(b"", name="upload 3")


def test_what_is_missing_or_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"^gone\.png cannot be read: No such file"):
        load_image(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="directory"):
        load_image(tmp_path)
    with pytest.raises(ImageError, match="null"):
        load_image("a\0b")


@pytest.mark.parametrize("data", [b"hello, I am text", b"\x89PNG\r\n\x1a\n", b"GIF89a", bytes(1000), b"%PDF-1.4\n"])
def test_what_is_not_a_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"^the picture "):
        load_image(data)


def test_postscript_is_refused_for_it_would_start_another_program() -> None:
    with pytest.raises(ImageError, match="EPS files are not accepted"):
        load_image(saved(pillow.new("RGB", (4, 4)), "EPS"))


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [8_001, 10_000, 30_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    started = time.perf_counter()
    with pytest.raises(ImageError, match=r"^bomb\.png has too many pixels"):
        load_image(png_header(side, side), name="bomb.png")
    assert time.perf_counter() - started < 0.5


def test_the_limit_of_pixels_can_be_set() -> None:
    data = saved(pillow.new("RGB", (10, 10)), "PNG")
    assert load_image(data, max_pixels=100).width == 10
    with pytest.raises(ImageError, match="10 × 10 is 100, at most 99"):
        load_image(data, max_pixels=99)


@pytest.mark.filterwarnings("ignore")
def test_an_icon_that_is_larger_than_it_claims_is_refused() -> None:
    icon = bytearray(saved(pillow.new("RGB", (64, 64)), "ICO", sizes=[(64, 64)]))
    icon[6], icon[7] = 16, 16  # the directory's width and height of the first icon
    assert load_image(bytes(icon)).width == 64
    with pytest.raises(ImageError, match="64 × 64 is 4,096, at most 1,000"):
        load_image(bytes(icon), max_pixels=1000)


@pytest.mark.filterwarnings("ignore")
@given(st.data())
def test_damaged_files_are_read_or_refused_but_never_crash(data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "ICO"]))
    file = bytearray(saved(pillow.fromarray(noise(16, 16)), format))
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert load_image(bytes(file)).pixels_HWC.dtype == np.uint8
    except ImageError as error:
        assert str(error).startswith("the picture")


def test_fitting_shrinks_to_the_limit_and_keeps_the_shape() -> None:
    image = Image(noise(100, 300))
    assert (fit(image, 150).height, fit(image, 150).width) == (50, 150)
    assert fit(image, 300) is image
    assert (fit(Image(noise(1, 500)), 50).height, fit(Image(noise(1, 500)), 50).width) == (1, 50)
    assert (fit(Image(np.full((90, 60, 3), 200, np.uint8)), 30).pixels_HWC == 200).all()


@given(st.integers(1, 8), st.integers(1, 8), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_fitting_by_a_whole_number_takes_means_so_that_nothing_else_can_be_told(
    height: int, width: int, ratio: int, seed: int
) -> None:
    pixels_HWC = np.random.default_rng(seed).integers(0, 256, (height * ratio, width * ratio, 3), np.uint8)
    small_HWC = fit(Image(pixels_HWC), max(height, width)).pixels_HWC
    means_HWC = pixels_HWC.reshape(height, ratio, width, ratio, 3).mean(axis=(1, 3))
    # Rounded in fixed point: a mean just above a half may come out below it.
    np.testing.assert_allclose(small_HWC, means_HWC, rtol=0, atol=0.5 + 0.5 / ratio**2 + 1e-9)
    shuffled_HWC = pixels_HWC.reshape(height, ratio, width, ratio, 3)[:, ::-1, :, ::-1].reshape(pixels_HWC.shape)
    np.testing.assert_array_equal(fit(Image(shuffled_HWC), max(height, width)).pixels_HWC, small_HWC)


@st.composite
def pictures(draw: st.DrawFn) -> Image:
    """Draw pictures from empty to full: a background, and rectangles of one colour or of noise on it."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    colours = st.tuples(*[st.sampled_from([0, 7, 255])] * 3)
    pixels_HWC = np.empty((height, width, 3), np.uint8)
    pixels_HWC[:] = draw(colours)
    for _ in range(draw(st.integers(0, 3))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        part = pixels_HWC[top : top + draw(st.integers(1, 40)), left : left + draw(st.integers(1, 40))]
        part[:] = noise(*part.shape[:2]) if draw(st.booleans()) else draw(colours)
    return Image(pixels_HWC)


@given(pictures(), st.integers(1, 17))
def test_patches_put_together_give_the_picture_exactly(image: Image, patch_size: int) -> None:
    patches = patchify(image, patch_size)
    np.testing.assert_array_equal(unpatchify(patches, patch_size).pixels_HWC, image.pixels_HWC)


@given(pictures(), st.integers(1, 17))
def test_patches_that_are_kept_carry_something_and_stand_in_reading_order(image: Image, patch_size: int) -> None:
    patches = patchify(image, patch_size)
    assert patches.patches_NP.shape == (len(patches), patch_size**2 * 3) and patches.patches_NP.dtype == np.uint8
    assert patches.places_N2.shape == (len(patches), 2) and patches.places_N2.dtype == np.int32
    assert (patches.rows - 1) * patch_size < patches.height <= patches.rows * patch_size
    assert (patches.columns - 1) * patch_size < patches.width <= patches.columns * patch_size
    flat_N = patches.places_N2 @ [patches.columns, 1]
    assert (np.diff(flat_N) > 0).all() and (patches.places_N2 < [patches.rows, patches.columns]).all()
    assert (patches.patches_NP != np.tile(patches.background_3, patch_size**2)).any(axis=1).all()


def test_only_patches_with_something_in_them_are_kept() -> None:
    pixels_HWC = np.full((64, 48, 3), 255, np.uint8)
    pixels_HWC[20, 40] = RED
    patches = patchify(Image(pixels_HWC), 16)
    assert (patches.rows, patches.columns) == (4, 3)
    assert patches.places_N2.tolist() == [[1, 2]]
    assert patches.background_3.tolist() == list(WHITE)
    np.testing.assert_array_equal(patches.patches_NP[0].reshape(16, 16, 3), pixels_HWC[16:32, 32:48])


def test_a_picture_of_one_colour_has_no_patches() -> None:
    patches = patchify(Image(np.full((50, 33, 3), 9, np.uint8)), 16)
    assert len(patches) == 0 and patches.background_3.tolist() == [9, 9, 9]


def test_the_background_is_the_commonest_colour_of_plain_patches_else_of_the_border() -> None:
    pixels_HWC = noise(64, 64)
    pixels_HWC[:16, :32], pixels_HWC[32:48, :16] = (1, 2, 3), (250, 251, 252)
    assert patchify(Image(pixels_HWC), 16).background_3.tolist() == [1, 2, 3]
    framed_HWC = noise(64, 64)
    framed_HWC[0], framed_HWC[-1], framed_HWC[:, 0], framed_HWC[:, -1] = [(200, 0, 1)] * 4
    assert patchify(Image(framed_HWC), 16).background_3.tolist() == [200, 0, 1]


def test_patches_at_the_edge_are_filled_up_with_the_background() -> None:
    pixels_HWC = np.full((40, 40, 3), 200, np.uint8)
    pixels_HWC[39, 39] = RED
    patches = patchify(Image(pixels_HWC), 16)
    assert patches.places_N2.tolist() == [[2, 2]]
    corner_HWC = patches.patches_NP[0].reshape(16, 16, 3)
    assert (corner_HWC[8:] == 200).all() and (corner_HWC[:, 8:] == 200).all() and (corner_HWC[7, 7] == RED).all()


def test_cutting_is_fast() -> None:
    image = Image(noise(128, 128))
    times = []
    for _ in range(50):
        started = time.perf_counter()
        patchify(image, 16)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.0003
