"""How the image of a download is packed (0x34, dataFormatIdentifier): compressed, then encrypted, one stream.

The wire carries, in this order: 16 bytes of initialisation vector when encrypted; then the ciphertext of the `.xz`
stream of the image (LZMA2), either part left out when its kind is `none`. memorySize in 0x34 counts the image's own
bytes. Recipe and ECU file have the same table; the key is the test key `key_name` (32 bytes, AES-256).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bench.config import FileModel
from bench.wire.seed_key import test_secret

Nibble = Annotated[int, Field(ge=0, le=0xF)]
IV_BYTES = 16
SMALLEST_DICTIONARY_BYTES, LARGEST_DICTIONARY_BYTES = 4_096, 67_108_864


class DownloadFormat(FileModel):
    """Compression and encryption of the image, and the nibbles of dataFormatIdentifier that name them."""

    compression: Literal["none", "lzma"] = "none"
    compression_nibble: Nibble = 0
    encryption: Literal["none", "aes_ctr", "aes_cbc"] = "none"
    encryption_nibble: Nibble = 0
    key_name: Annotated[str, Field(min_length=1)] | None = None
    lzma_dictionary_bytes: Annotated[int, Field(ge=SMALLEST_DICTIONARY_BYTES, le=LARGEST_DICTIONARY_BYTES)] = 65_536

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for kind, nibble, name in (
            (self.compression, self.compression_nibble, "compression"),
            (self.encryption, self.encryption_nibble, "encryption"),
        ):
            if (kind == "none") != (nibble == 0):
                raise ValueError(f"{name} is {kind!r}, so {name}_nibble is {'0' if kind == 'none' else '1 to 15'}")
        if (self.encryption == "none") != (self.key_name is None):
            problem = "is missing" if self.key_name is None else "has no use"
            raise ValueError(f"encryption is {self.encryption!r}: key_name {problem}")
        return self

    @property
    def data_format(self) -> int:
        """The dataFormatIdentifier: compression in the high nibble, encryption in the low one."""
        return self.compression_nibble << 4 | self.encryption_nibble

    @property
    def key(self) -> bytes:
        """The AES key, derived from its name; empty without encryption."""
        return test_secret(self.key_name) if self.key_name is not None else b""


PLAIN = DownloadFormat()
