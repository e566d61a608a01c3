"""Packing an image for its download: compress, then encrypt (`bench.wire.download_format` says how it looks)."""

from __future__ import annotations

import hashlib
import hmac
import lzma

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR
from cryptography.hazmat.primitives.padding import PKCS7

from bench.wire.download_format import IV_BYTES, DownloadFormat

_IV_PURPOSE = b"otabench download iv"


def packed(data: bytes, address: int, form: DownloadFormat) -> bytes:
    """Return the stream that carries `data` to `address`; the same input gives the same stream."""
    return _encrypted(_compressed(data, form), address, form)


def _compressed(data: bytes, form: DownloadFormat) -> bytes:
    if form.compression == "none":
        return data
    # The dictionary is what the bootloader has RAM for: a larger one would unpack on the host and not there.
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": form.lzma_dictionary_bytes}]
    return lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=filters)


def _encrypted(data: bytes, address: int, form: DownloadFormat) -> bytes:
    """Encrypt under a vector made of key, address and content.

    So another content or another address (a resumed download) never meets the same vector, nobody without the key
    can foretell it, and a repeated run gives the same bytes.
    """
    if form.encryption == "none":
        return data
    content = _IV_PURPOSE + address.to_bytes(8, "big") + hashlib.sha256(data).digest()
    iv = hmac.digest(form.key, content, "sha256")[:IV_BYTES]
    # CBC works on whole blocks (PKCS#7); CTR keeps the length, and repeats no key stream because of the vector.
    if form.encryption == "aes_cbc":
        padder = PKCS7(AES.block_size).padder()
        data = padder.update(data) + padder.finalize()
    mode = CBC(iv) if form.encryption == "aes_cbc" else CTR(iv)
    encryptor = Cipher(AES(form.key), mode).encryptor()
    return iv + encryptor.update(data) + encryptor.finalize()
