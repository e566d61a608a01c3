"""Text identifiers."""

from __future__ import annotations

from bench.flasher.errors import ProtocolViolation


def text(value: bytes) -> str:
    """Return a text DID without its padding (zeros, blanks or 0xFF at the end)."""
    try:
        return value.rstrip(b"\x00 \xff").decode("ascii")
    except UnicodeDecodeError:
        raise ProtocolViolation(f"a text identifier holds {value.hex(' ')}") from None
