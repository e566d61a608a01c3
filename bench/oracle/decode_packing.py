"""Looking into a packed download: decrypt and decompress what crossed the bus, with a reader of the judge's own.

The stream is the initialisation vector (16 bytes, when encrypted), then the ciphertext of an `.xz` stream (when
compressed). CBC is padded by PKCS#7.
"""

from __future__ import annotations

import lzma

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR

from bench.core.records import DownloadPacking

_VECTOR_BYTES = _BLOCK_BYTES = 16
_SPARE_BYTES = 1 << 20


class Unreadable(ValueError):
    """These bytes are no such stream."""


class StreamReader:
    """Reads one download's stream as it comes; yields at most the announced number of image bytes."""

    def __init__(self, packing: DownloadPacking, size_bytes: int) -> None:
        self._packing, self._size_bytes, self._got_bytes = packing, size_bytes, 0
        self._cipher: CipherContext | None = None
        self._waiting = b""
        limit = packing.dictionary_bytes + _SPARE_BYTES
        self._lzma = lzma.LZMADecompressor(lzma.FORMAT_XZ, limit) if packing.compression == "lzma" else None
        self._padding = b""

    def read(self, sent: bytes) -> bytes:
        """Return the image bytes that `sent` adds; `Unreadable` when it cannot be part of such a stream."""
        return self._unpacked(self._decrypted(sent))

    def _decrypted(self, sent: bytes) -> bytes:
        if self._packing.encryption == "none":
            return sent
        self._waiting += sent
        if self._cipher is None:
            if len(self._waiting) < _VECTOR_BYTES:
                return b""
            vector, self._waiting = self._waiting[:_VECTOR_BYTES], self._waiting[_VECTOR_BYTES:]
            mode = CBC(vector) if self._packing.encryption == "aes_cbc" else CTR(vector)
            self._cipher = Cipher(AES(self._packing.key), mode).decryptor()
        whole = len(self._waiting)
        if self._packing.encryption == "aes_cbc":
            whole -= whole % _BLOCK_BYTES
        now, self._waiting = self._waiting[:whole], self._waiting[whole:]
        return self._cipher.update(now)

    def _unpacked(self, data: bytes) -> bytes:
        if self._lzma is None:
            left = self._size_bytes - self._got_bytes
            return self._counted(data[:left], data[left:])
        if self._lzma.eof:
            return self._counted(b"", data)
        try:
            found = self._lzma.decompress(data, self._size_bytes - self._got_bytes + 1)
        except lzma.LZMAError as error:
            raise Unreadable(str(error)) from None
        return self._counted(found, self._lzma.unused_data)

    def _counted(self, found: bytes, behind: bytes) -> bytes:
        """Count image bytes; what stands behind their end may only be the padding of CBC."""
        self._got_bytes += len(found)
        self._padding += behind
        if self._got_bytes > self._size_bytes:
            raise Unreadable(f"more than the {self._size_bytes} bytes that were announced")
        if self._padding and not self._is_padding():
            raise Unreadable(f"{len(self._padding)} bytes behind the end of the stream")
        return found

    def _is_padding(self) -> bool:
        count = self._padding[-1]
        padded = self._packing.encryption == "aes_cbc" and 1 <= count <= _BLOCK_BYTES
        return padded and self._padding == bytes((count,)) * count


def unpacked(packing: DownloadPacking, size_bytes: int, before: bytes, sent: bytes) -> bytes:
    """Return the image bytes that `sent` adds to a stream of which `before` had come; `Unreadable`."""
    reader = StreamReader(packing, size_bytes)
    reader.read(before)
    return reader.read(sent)
