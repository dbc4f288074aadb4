"""Pictures that tests send: made by Pillow, with secrets wherever a file can hide them."""

from __future__ import annotations

import io
import os
import struct
import zlib
from typing import Any

from PIL import Image, ImageCms, PngImagePlugin

SECRET = "CANARY-7f3a"
"""In every place that is not a pixel."""

XMP = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:creator>{SECRET}-xmp</dc:creator></x:xmpmeta>'.encode()


def picture(width: int = 640, height: int = 480, mode: str = "RGB") -> Image.Image:
    """Four quarters: red, green, blue and white, from the left above to the right below."""
    made = Image.new("RGB", (width, height), "white")
    for colour, box in {
        "red": (0, 0, width // 2, height // 2),
        "lime": (width // 2, 0, width, height // 2),
        "blue": (0, height // 2, width // 2, height),
    }.items():
        made.paste(colour, box)
    return made.convert(mode)


def written(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int = 1) -> Image.Exif:
    """Of a camera that says where, when and by whom."""
    said = Image.Exif()
    said[0x0112] = orientation
    said[0x010F] = f"{SECRET}-make"
    said[0x013B] = f"{SECRET}-artist"
    said[0x8298] = f"{SECRET}-copyright"
    said.get_ifd(0x8825).update({1: "S", 2: (0.0, 10.0, 20.5), 3: "E", 4: (34.0, 55.0, 8.0), 29: f"{SECRET}-gps"})
    said.get_ifd(0x8769)[0x9286] = f"{SECRET}-usercomment".encode()
    return said


def profile() -> bytes:
    """An sRGB profile that names its maker."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return plain.replace(b"sRGB built-in", f"{SECRET}-i".encode()[:13].ljust(13)).ljust(len(plain) + 64, b"\0")


def secretive(kind: str, orientation: int = 1) -> bytes:
    """A picture of this kind with a secret in each place that the kind has, and after its end."""
    image = picture()
    said = exif(orientation).tobytes()
    icc = profile() + f"{SECRET}-icc".encode()
    if kind == "JPEG":
        made = written(image, "JPEG", exif=said, icc_profile=icc, comment=f"{SECRET}-comment".encode(), xmp=XMP)
        made = made[:2] + segment(0xED, b"Photoshop 3.0\x00" + SECRET.encode() + b"-iptc") + made[2:]
    elif kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Author", f"{SECRET}-text")
        text.add_text("Comment", f"{SECRET}-ztxt" * 50, zip=True)
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        made = written(image, "PNG", pnginfo=text, exif=said, icc_profile=icc)
    else:
        made = written(image, "WEBP", exif=said, icc_profile=icc, xmp=XMP)
    return made + f"{SECRET}-after".encode() + b"PK\x03\x04<script>alert(1)</script>"


def segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunk(png: bytes, name: bytes, body: bytes) -> bytes:
    """A PNG with one more chunk after its head."""
    return png[:33] + chunk(name, body) + png[33:]


def zeros(width: int, height: int) -> bytes:
    """A tiny PNG that says it is this large and means it: one bit a pixel, all the same."""
    packed = zlib.compressobj(9)
    row = b"\0" + bytes((width + 7) // 8)
    body = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def noise(size: int, kind: str = "PNG") -> bytes:
    """A picture that no compression makes smaller, another one each time."""
    return written(Image.frombytes("RGB", (size, size), os.urandom(size * size * 3)), kind)


def endless_scans() -> bytes:
    """A progressive JPEG of 25 megapixels whose last scan is there thousands of times: little to send, much to read."""
    made = written(Image.new("RGB", (5000, 5000), "grey"), "JPEG", progressive=True, quality=30)
    last = made.rindex(b"\xff\xda")
    return made[:last] + made[last:-2] * 4000 + made[-2:]
