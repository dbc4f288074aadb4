"""The darkroom: a process of its own in which one photo is decoded and made anew, and nothing else happens.

    python -I darkroom.py KIND MEGAPIXELS SECONDS < the file as it was sent > the photo and its thumbnail

What decodes images is large, old and written in C, and what it reads was sent by strangers. So it runs here: without
the hub's secrets, with a ceiling on memory and time, and for one file only. Pixels are all that leaves: both pictures
are painted onto new ones, so that no place, name, comment, colour profile or appended file of the original comes along.

Run as a script, it must import nothing of the hub's.
"""

from __future__ import annotations

import io
import resource
import signal
import struct
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

MEMORY_BYTES = 512 * 1024 * 1024
LARGEST_SIDE = 2560
THUMBNAIL_SIDE = 320
QUALITY = 85

WEBP_MEGAPIXELS = 25
"""Less than of the other kinds: libwebp holds four copies of the whole picture while it decodes."""

BEGUN = b"\x01"
"""The first byte that leaves: what goes wrong from here on is the file's fault."""

HEAD = struct.Struct("<HHII")
"""Then width, height, and the lengths of the photo and its thumbnail, which follow."""

TOO_MANY_PIXELS = 3
TOO_MUCH_MEMORY = 4

_ORIENTATION = 0x0112  # the EXIF tag that says how the camera was held


def develop(kind: str, megapixels: int) -> bytes:
    """The file on standard input as a photo and its thumbnail, with what leaves before them."""
    from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

    most = (min(megapixels, WEBP_MEGAPIXELS) if kind == "webp" else megapixels) * 1_000_000
    Image.MAX_IMAGE_PIXELS = most // 2  # Pillow refuses twice as many, and for WebP before it makes room for them
    # Not `Image.open`: it would ask other readers, too, and take several pictures out of one file.
    readers: dict[str, Any] = {
        "jpeg": JpegImagePlugin.JpegImageFile,
        "png": PngImagePlugin.PngImageFile,
        "webp": WebPImagePlugin.WebPImageFile,
    }
    sys.stdout.buffer.write(BEGUN)
    sys.stdout.buffer.flush()
    try:
        picture = readers[kind](sys.stdin.buffer)
    except Image.DecompressionBombError:
        sys.exit(TOO_MANY_PIXELS)
    if picture.width * picture.height > most:
        sys.exit(TOO_MANY_PIXELS)
    turn = _turn(picture)
    picture.draft(None, (LARGEST_SIDE, LARGEST_SIDE))  # JPEG can be decoded at a half, a quarter or an eighth
    picture.load()
    profile = picture.info.get("icc_profile")
    small = _within(_plain(picture), LARGEST_SIDE)
    del picture
    if turn is not None:
        small = small.transpose(turn)
    photo = _clean(_in_srgb(small, profile))
    thumbnail = _clean(_within(photo, THUMBNAIL_SIDE))
    pictures = [_jpeg(photo), _jpeg(thumbnail)]
    return HEAD.pack(photo.width, photo.height, *map(len, pictures)) + b"".join(pictures)


def _turn(picture: Image) -> Any:
    """How the picture must be turned to stand upright. What is said badly is not said."""
    from PIL.Image import Transpose

    try:
        held = picture.getexif().get(_ORIENTATION)
    except (ValueError, SyntaxError, TypeError, LookupError, OSError, struct.error):
        return None
    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return turns.get(held) if isinstance(held, int) else None


def _plain(picture: Image) -> Image:
    """The picture without transparency and palette, reduced by a whole factor where it is far too large: in bands, so
    that a large one is never there twice."""
    from PIL import Image

    factor = max(1, max(picture.size) // LARGEST_SIDE)
    rows = factor * max(1, 4_000_000 // (picture.width * factor))
    made: Image.Image | None = None
    for top in range(0, picture.height, rows):
        band = _opaque(picture.crop((0, top, picture.width, min(top + rows, picture.height)))).reduce(factor)
        if made is None:
            made = Image.new(band.mode, (band.width, -(-picture.height // factor)))
        made.paste(band, (0, top // factor))
    assert made is not None
    return made


def _opaque(band: Image) -> Image:
    """In L, RGB or CMYK: on white where one could see through it."""
    from PIL import Image

    if band.mode.startswith("I"):  # sixteen bits of grey
        return band.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if band.mode in ("RGBA", "LA", "PA") or "transparency" in band.info:
        seen = band.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    if band.mode in ("L", "RGB", "CMYK"):
        return band
    return band.convert("L" if band.mode == "1" else "RGB")


def _within(picture: Image, side: int) -> Image:
    """The picture with no side longer than this."""
    from PIL.Image import Resampling

    longest = max(picture.size)
    if longest <= side:
        return picture
    size = (max(1, round(picture.width * side / longest)), max(1, round(picture.height * side / longest)))
    return picture.resize(size, Resampling.LANCZOS)


def _in_srgb(picture: Image, profile: bytes | None) -> Image:
    """The picture in the colours that every screen expects. A profile that cannot be one of it is ignored."""
    from PIL import ImageCms

    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            made = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            made = None
        if made is not None:
            return made
    return picture.convert("RGB")


def _clean(picture: Image) -> Image:
    """The same pixels on a new picture: nothing that was said of the old one is said of this."""
    from PIL import Image

    made = Image.new("RGB", picture.size)
    made.paste(picture)
    return made


def _jpeg(picture: Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()


def confine(seconds: int) -> None:
    """Take from this process what it does not need, before it reads anything. `seconds` are of the processor's time."""
    limits = {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_CORE: 0,  # a dump would hold the picture
        resource.RLIMIT_FSIZE: 0,  # it writes into a pipe
        resource.RLIMIT_NOFILE: 32,
        resource.RLIMIT_NPROC: 0,
    }
    for what, most in limits.items():
        try:
            # Over the soft limit on time the signal says why it ended, which the hard one's would not.
            resource.setrlimit(what, (most, most + 2 if what == resource.RLIMIT_CPU else most))
        except (ValueError, OSError):
            if sys.platform == "linux":  # others know no limit on memory that they keep
                raise
    # Should the hub die meanwhile, nobody else would end what hangs.
    signal.alarm(2 * seconds + 5)


def main() -> None:
    kind, megapixels, seconds = sys.argv[1:]
    confine(int(seconds))
    try:
        made = develop(kind, int(megapixels))
    except MemoryError:
        sys.exit(TOO_MUCH_MEMORY)
    sys.stdout.buffer.write(made)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
