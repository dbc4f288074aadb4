"""What a file is, by its first bytes: names and content-types are only what somebody says."""

from __future__ import annotations

from enum import Enum

ENOUGH = 16
"""As many bytes tell."""

SEND = "Send one photo as it is, as image/jpeg, image/png or image/webp."


class Kind(Enum):
    """The kinds of image that are taken, by what `darkroom` calls them."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        return f"image/{self.value}"


BY_MEDIA_TYPE = {kind.media_type: kind for kind in Kind}


def kind_of(first: bytes) -> Kind | None:
    if first.startswith(b"\xff\xd8\xff"):
        return Kind.JPEG
    if first.startswith(b"\x89PNG\r\n\x1a\n"):
        return Kind.PNG
    if first.startswith(b"RIFF") and first[8:12] == b"WEBP":
        return Kind.WEBP
    return None


_HEIC = ("heic", "heix", "hevc", "heim", "heis", "mif1", "msf1")


def called(first: bytes) -> str:
    """What a file that is not taken seems to be, for the sentence that refuses it; '' where nothing tells."""
    if first.startswith(b"GIF8"):
        return "a GIF"
    if first.startswith((b"II*\x00", b"MM\x00*")):
        return "a TIFF"
    if first[4:8] == b"ftyp":
        brand = first[8:12].decode("ascii", "replace")
        return "a HEIC photo" if brand in _HEIC else "an AVIF image" if brand in ("avif", "avis") else "a film"
    if first.startswith(b"%PDF"):
        return "a PDF"
    if first.startswith(b"PK\x03\x04"):
        return "a ZIP archive"
    if first.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return "an SVG or another text of marks"
    return ""


def why_not(media_type: str) -> str:
    """Why this content-type is not taken."""
    name = media_type.partition("/")[2]
    if media_type.startswith("multipart/"):
        return f"Forms are not taken: the photo's bytes are the whole body. {SEND}"
    if name in ("heic", "heif", "avif"):
        return f"{name.upper()} is not taken: let the camera save JPEG. {SEND}"
    if name in ("svg+xml", "gif", "tiff", "bmp", "x-icon"):
        return f"{name.removesuffix('+xml').upper()} is not taken: photos only. {SEND}"
    return f"{SEND} The content-type says which."
