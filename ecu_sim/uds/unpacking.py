"""Unpacking a download as it comes: decrypt, then decompress, in pieces, with bounded memory.

Whatever arrives, at most one block, one piece of output and the decompressor's dictionary are held. More output than
was announced is the caller's to refuse: he gets it piece by piece.
"""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR

from bench.core.continuing import State
from bench.wire.download_format import IV_BYTES, DownloadFormat

PIECE_BYTES = 4096
AES_BLOCK_BYTES = 16
DECODER_SPARE_BYTES = 262_144
"""What liblzma needs beside its dictionary."""


class UnpackError(ValueError):
    """The stream is not what its format says."""


class _Decryptor:
    """AES with the vector in front; CBC keeps the last block back until the end, for its padding."""

    def __init__(self, form: DownloadFormat) -> None:
        self._form = form
        self._context: CipherContext | None = None
        self._pending = b""

    def feed(self, data: bytes) -> bytes:
        self._pending += data
        if self._context is None:
            if len(self._pending) < IV_BYTES:
                return b""
            iv, self._pending = self._pending[:IV_BYTES], self._pending[IV_BYTES:]
            mode = CBC(iv) if self._form.encryption == "aes_cbc" else CTR(iv)
            self._context = Cipher(AES(self._form.key), mode).decryptor()
        ready = len(self._pending)
        if self._form.encryption == "aes_cbc":
            ready = max(0, ready - 1) // AES_BLOCK_BYTES * AES_BLOCK_BYTES
        taken, self._pending = self._pending[:ready], self._pending[ready:]
        return self._context.update(taken)

    def finish(self) -> bytes:
        if self._context is None:
            raise UnpackError("the initialisation vector never came")
        if self._form.encryption != "aes_cbc":
            return b""
        if len(self._pending) != AES_BLOCK_BYTES:
            raise UnpackError("the ciphertext is no multiple of the block")
        block = self._context.update(self._pending)
        count = block[-1]
        if not 1 <= count <= AES_BLOCK_BYTES or block[-count:] != bytes((count,)) * count:
            raise UnpackError("the padding is wrong")
        return block[:-count]


class Unpacker:
    """The stream of one download. `feed` and `finish` yield the image's bytes in pieces; UnpackError."""

    def __init__(self, form: DownloadFormat) -> None:
        self._decryptor = _Decryptor(form) if form.encryption != "none" else None
        limit_bytes = form.lzma_dictionary_bytes + DECODER_SPARE_BYTES
        self._lzma = lzma.LZMADecompressor(lzma.FORMAT_XZ, limit_bytes) if form.compression == "lzma" else None
        self._packed = form.encryption != "none" or form.compression == "lzma"
        self._fed, self._ended = hashlib.sha256(), False
        """All of a packed stream so far: it alone decides what decoder and cipher hold, which neither tells."""

    def state(self, now_ns: int) -> State:
        """Return what came of the stream, as a hash, and how far the decoder has taken it; all is plain when it is."""
        del now_ns
        if not self._packed:
            return ()
        decoder = () if self._lzma is None else (self._lzma.needs_input, self._lzma.eof)
        return self._fed.digest(), self._ended, decoder

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take what one 0x36 brought."""
        if self._packed:
            self._fed.update(data)
        yield from self._decompressed(data if self._decryptor is None else self._decryptor.feed(data))

    def finish(self) -> Iterator[bytes]:
        """Take the end of the stream (0x37)."""
        self._ended = True
        if self._decryptor is not None:
            yield from self._decompressed(self._decryptor.finish())
        if self._lzma is not None and not self._lzma.eof:
            raise UnpackError("the compressed stream is not complete")

    def _decompressed(self, data: bytes) -> Iterator[bytes]:
        if self._lzma is None:
            if data:
                yield data
            return
        while data or not self._lzma.needs_input:
            if self._lzma.eof:
                if data or self._lzma.unused_data:
                    raise UnpackError("bytes follow the end of the compressed stream")
                return
            piece = self._piece(data)
            data = b""
            if piece:
                yield piece

    def _piece(self, data: bytes) -> bytes:
        assert self._lzma is not None, "asked only for compressed streams"
        try:
            piece = self._lzma.decompress(data, PIECE_BYTES)
        except lzma.LZMAError as error:
            raise UnpackError(str(error)) from None
        if self._lzma.eof and self._lzma.unused_data:
            raise UnpackError("bytes follow the end of the compressed stream")
        return piece
