"""Pictures: any file to RGB pixels, and pixels to patches. Patches that are all background are dropped, not lost."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as pillow
from PIL import ImageCms, UnidentifiedImageError

from castalia.document import Image
from castalia.errors import ImageError

# Exif 2.32, tag 0x0112: how the picture must be turned to stand upright.
ORIENTATION = 0x0112
UPRIGHT = {
    2: pillow.Transpose.FLIP_LEFT_RIGHT,
    3: pillow.Transpose.ROTATE_180,
    4: pillow.Transpose.FLIP_TOP_BOTTOM,
    5: pillow.Transpose.TRANSPOSE,
    6: pillow.Transpose.ROTATE_270,
    7: pillow.Transpose.TRANSVERSE,
    8: pillow.Transpose.ROTATE_90,
}
# Pillow would hand these to a program outside (Ghostscript): no stranger's file may start one.
REFUSED_FORMATS = frozenset({"EPS", "WMF"})


@dataclass(frozen=True, eq=False)
class Patches:
    """A picture of `height` × `width` pixels cut into `rows` × `columns` patches, N of which carry something.

    - ``background_3`` uint8: the colour of every patch that is not listed, and of the padding at the edges
    - ``patches_NP`` uint8: the pixels of the listed patches, row by row, RGB; P = patch_size² · 3
    - ``places_N2`` int32: row and column of each listed patch, in reading order

    N may be 0: a picture of one colour is all background.
    """

    rows: int
    columns: int
    height: int
    width: int
    background_3: np.ndarray
    patches_NP: np.ndarray
    places_N2: np.ndarray

    def __len__(self) -> int:
        return len(self.patches_NP)


def load_image(source: str | Path | bytes, *, name: str | None = None, max_pixels: int = 64_000_000) -> Image:
    """Read a picture of any format and mode from a path or from a file's bytes, as 8-bit RGB.

    What is transparent is laid on white; 16-bit greys are divided by 257; 32-bit and float greys are taken as 0–1,
    0–255 or 0–65535, whichever is the narrowest that holds them, else stretched from least to greatest; Exif rotation
    is undone; of an animation the first frame is taken; colour profiles are not applied.

    Raises `ImageError`, calling the picture `name` (by default its file name), if it is missing, empty, truncated, not
    a picture, or has more than `max_pixels` pixels; the last is found out before its pixels are decoded.
    """
    if name is None:
        name = "the picture" if isinstance(source, bytes) else Path(source).name
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except (OSError, ValueError) as error:
        raise ImageError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not data:
        raise ImageError(f"{name} cannot be read as a picture: the file is empty")
    try:
        with pillow.open(io.BytesIO(data)) as opened:
            if opened.format in REFUSED_FORMATS:
                raise ImageError(f"{name} cannot be read as a picture: {opened.format} files are not accepted")
            _refuse_if_huge(opened.size, max_pixels, name)
            opened.load()
            _refuse_if_huge(opened.size, max_pixels, name)  # icons learn their true size only now
            upright = UPRIGHT.get(_orientation(opened))
            rgb = _to_rgb(opened)
            pixels_HWC = np.array(rgb.transpose(upright) if upright is not None else rgb)
    except ImageError:
        raise
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise ImageError(f"{name} has too many pixels: at most {max_pixels:,} are accepted") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not a picture, or of a format that is not known") from error
    except MemoryError as error:
        raise ImageError(f"{name} cannot be read as a picture: it needs more memory than there is") from error
    except Exception as error:  # Pillow's plugins raise whatever their parsing hits: struct.error, KeyError, zlib.error
        raise ImageError(f"{name} cannot be read as a picture: it is truncated or damaged ({error})") from error
    return Image(pixels_HWC)


def fit(image: Image, max_side: int) -> Image:
    """Shrink `image` (aspect kept) until neither side exceeds `max_side` pixels; a smaller one stays as is.

    If both sides shrink by the same whole number n, each pixel is the mean of n × n, so that nothing else can be told
    of these afterwards; else it is Lanczos.
    """
    longest = max(image.height, image.width)
    if longest <= max_side:
        return image
    ratio = longest // max_side
    if longest == ratio * max_side and image.height % ratio == image.width % ratio == 0:
        return Image(np.array(pillow.fromarray(image.pixels_HWC).reduce(ratio)))
    size = (max(1, round(image.width * max_side / longest)), max(1, round(image.height * max_side / longest)))
    # A gap of 3 averages whole blocks first: several times faster on photographs, not visibly different.
    small = pillow.fromarray(image.pixels_HWC).resize(size, pillow.Resampling.LANCZOS, reducing_gap=3.0)
    return Image(np.array(small))


def patchify(image: Image, patch_size: int) -> Patches:
    """Cut `image`, at its own size, into patches of `patch_size` × `patch_size` pixels; drop those all background.

    The background is the commonest colour among patches of a single colour, else among the pixels of the picture's
    border. Patches at the right and bottom edges are filled up with it.
    """
    pixels_HWC, side = image.pixels_HWC, patch_size
    height, width = image.height, image.width
    rows, columns = -(-height // side), -(-width // side)
    if height % side or width % side:
        background_3 = _background(*_cut_whole(pixels_HWC, side), pixels_HWC)
        padded_HWC = np.empty((rows * side, columns * side, 3), np.uint8)
        padded_HWC[:height, :width] = pixels_HWC
        padded_HWC[height:] = background_3
        padded_HWC[:height, width:] = background_3
        patches_NP, is_plain_N = _cut_whole(padded_HWC, side)
    else:
        patches_NP, is_plain_N = _cut_whole(pixels_HWC, side)
        background_3 = _background(patches_NP, is_plain_N, pixels_HWC)
    is_empty_N = is_plain_N & (patches_NP[:, :3] == background_3).all(axis=1)
    kept_N = np.flatnonzero(~is_empty_N)
    places_N2 = np.stack(np.divmod(kept_N, columns), axis=1).astype(np.int32)
    return Patches(rows, columns, height, width, background_3, patches_NP[kept_N], places_N2)


def unpatchify(patches: Patches, patch_size: int) -> Image:
    """Put the picture together again; the exact inverse of `patchify` with the same `patch_size`."""
    side = patch_size
    grid_RCHWC = np.empty((patches.rows, patches.columns, side, side, 3), np.uint8)
    grid_RCHWC[:] = patches.background_3
    grid_RCHWC[patches.places_N2[:, 0], patches.places_N2[:, 1]] = patches.patches_NP.reshape(-1, side, side, 3)
    pixels_HWC = grid_RCHWC.transpose(0, 2, 1, 3, 4).reshape(patches.rows * side, patches.columns * side, 3)
    return Image(np.ascontiguousarray(pixels_HWC[: patches.height, : patches.width]))


def changed(before: Patches, after: Patches) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels [N, P] and places [N, 2] of the patches that differ between two states of one picture."""
    grids_RCP = []
    for patches in (before, after):
        grid_RCP = np.empty((patches.rows, patches.columns, after.patches_NP.shape[1]), np.uint8)
        grid_RCP.reshape(-1, 3)[:] = patches.background_3
        grid_RCP[patches.places_N2[:, 0], patches.places_N2[:, 1]] = patches.patches_NP
        grids_RCP.append(grid_RCP)
    places_N2 = np.argwhere((grids_RCP[0] != grids_RCP[1]).any(-1)).astype(np.int32)
    return grids_RCP[1][places_N2[:, 0], places_N2[:, 1]], places_N2


def _cut_whole(pixels_HWC: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the whole patches [N, P] of a picture, and which of them are of one colour [N]."""
    rows, columns = pixels_HWC.shape[0] // side, pixels_HWC.shape[1] // side
    # Runs of side · 3 bytes are kept whole, so that the copy moves runs rather than single channels.
    runs = np.ascontiguousarray(pixels_HWC[: rows * side, : columns * side]).reshape(rows, side, columns, side * 3)
    patches_NP = runs.transpose(0, 2, 1, 3).reshape(rows * columns, side * side * 3)
    # A patch is of one colour if every byte equals the one three before it: one pass over contiguous bytes.
    return patches_NP, (patches_NP[:, 3:] == patches_NP[:, :-3]).all(axis=1)


def _background(patches_NP: np.ndarray, is_plain_N: np.ndarray, pixels_HWC: np.ndarray) -> np.ndarray:
    colours_K3 = patches_NP[is_plain_N, :3]
    if not len(colours_K3):
        border = pixels_HWC[0], pixels_HWC[-1], pixels_HWC[:, 0], pixels_HWC[:, -1]
        colours_K3 = np.concatenate(border)
    if (colours_K3 == colours_K3[0]).all():  # as in most pictures that are drawn
        return colours_K3[0]
    codes_K = colours_K3.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    codes, counts = np.unique(codes_K, return_counts=True)
    code = int(codes[counts.argmax()])
    return np.array([code >> 16, code >> 8 & 255, code & 255], np.uint8)


def _refuse_if_huge(size: tuple[int, int], max_pixels: int, name: str) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{name} cannot be read as a picture: it is {width} × {height} pixels")
    if width * height > max_pixels:
        raise ImageError(
            f"{name} has too many pixels: {width} × {height} is {width * height:,}, at most {max_pixels:,} are accepted"
        )


def _orientation(picture: pillow.Image) -> int:
    try:
        return int(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # a damaged Exif block is no reason to refuse sound pixels
        return 1


def _to_rgb(picture: pillow.Image) -> pillow.Image:
    if picture.mode.startswith(("I", "F")):
        return pillow.fromarray(_grey_8_bit(picture)).convert("RGB")
    if picture.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(lab, srgb, "LAB", "RGB").apply(picture)
    if picture.has_transparency_data:
        white = pillow.new("RGBA", picture.size, "white")
        return pillow.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def _grey_8_bit(picture: pillow.Image) -> np.ndarray:
    grey_HW = np.nan_to_num(np.asarray(picture, dtype=np.float64))
    least, greatest = float(grey_HW.min()), float(grey_HW.max())
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM")):
        least, greatest = 0.0, 65535.0  # Pillow scales the deep greys of these formats to 16 bits
    elif least >= 0:
        ranges = (1.0, 255.0, 65535.0) if picture.mode == "F" else (255.0, 65535.0)
        fitting = [top for top in ranges if greatest <= top]
        least, greatest = (0.0, fitting[0]) if fitting else (least, greatest)
    scaled_HW = (grey_HW - least) * (255.0 / max(greatest - least, 1e-300))
    return np.clip(np.rint(scaled_HW), 0, 255).astype(np.uint8)
