"""The baseline: the same flashing job with udsoncan's Client and can-isotp over python-can's virtual bus.

Tester and ECU run in one process, each with can-isotp's threads, as somebody would build it who takes these
libraries off the shelf. Same services, block length, padding, payload; the ECU checks hash and signature too, and
every frame is recorded.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import threading
import time
from typing import Any, ClassVar

import can
import isotp
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from udsoncan import MemoryLocation, Response
from udsoncan.client import Client
from udsoncan.configs import default_client_config
from udsoncan.connections import PythonIsoTpConnection

REQUEST_ID, RESPONSE_ID = 0x7A0, 0x7A8
HEADER_ADDRESS, HEADER_BYTES, SIGNED_BYTES = 0x00F0_0000, 256, 192
MAX_BLOCK_BYTES, PAYLOAD_BYTES = 4095, 3840
SECRET, SEED = b"baseline secret", bytes(range(8))
KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"otabench test key baseline").digest())
ISOTP_PARAMETERS = {"stmin": 0, "blocksize": 0, "tx_padding": 0xCC, "max_frame_size": 4095}


class SmallEcu:
    """An ECU that can be flashed: services 10, 11, 27, 31, 34, 36, 37, one request at a time."""

    def __init__(self, image_bytes: int) -> None:
        self._image, self._header = bytearray(image_bytes), bytearray(HEADER_BYTES)
        self._target, self._offset, self._counter = self._image, 0, 1
        self.verified = False

    def answer(self, request: bytes) -> bytes:
        """Return the response to one request."""
        handler = self._HANDLERS.get(request[0])
        return handler(self, request) if handler else bytes((0x7F, request[0], 0x11))

    def _session(self, request: bytes) -> bytes:
        return bytes((0x50, request[1])) + struct.pack(">HH", 50, 500)

    def _reset(self, request: bytes) -> bytes:
        return bytes((0x51, request[1]))

    def _security(self, request: bytes) -> bytes:
        if request[1] == 1:
            return bytes((0x67, 1)) + SEED
        return bytes((0x67, 2)) if request[2:] == key_of(SEED) else bytes((0x7F, 0x27, 0x35))

    def _routine(self, request: bytes) -> bytes:
        routine = int.from_bytes(request[2:4], "big")
        if routine == 0xFF00:
            self._image[:] = b"\xff" * len(self._image)
        if routine == 0x0202:
            self.verified = self._check()
            return bytes((0x71, 1)) + request[2:4] + bytes((0 if self.verified else 1,))
        return bytes((0x71, 1)) + request[2:4] + b"\x00"

    def _check(self) -> bool:
        header = bytes(self._header)
        try:
            KEY.public_key().verify(header[SIGNED_BYTES:], header[:SIGNED_BYTES])
        except InvalidSignature:
            return False
        return header[:32] == hashlib.sha256(self._image).digest()

    def _download(self, request: bytes) -> bytes:
        address = int.from_bytes(request[3:7], "big")
        self._target = self._header if address == HEADER_ADDRESS else self._image
        self._offset, self._counter = 0, 1
        return b"\x74\x20" + MAX_BLOCK_BYTES.to_bytes(2, "big")

    def _transfer(self, request: bytes) -> bytes:
        if request[1] != self._counter:
            return bytes((0x7F, 0x36, 0x73))
        data = request[2:]
        self._target[self._offset : self._offset + len(data)] = data
        self._offset, self._counter = self._offset + len(data), (self._counter + 1) & 0xFF
        return bytes((0x76, request[1]))

    def _exit(self, request: bytes) -> bytes:
        return b"\x77"

    _HANDLERS: ClassVar[dict[int, Any]] = {
        0x10: _session, 0x11: _reset, 0x27: _security, 0x31: _routine, 0x34: _download, 0x36: _transfer, 0x37: _exit,
    }  # fmt: skip


def key_of(seed: bytes) -> bytes:
    """Return the key that answers a seed."""
    return hmac.new(SECRET, seed, hashlib.sha256).digest()[:8]


def signed_header(image: bytes) -> bytes:
    """Return 256 bytes: the image's hash, filling, an Ed25519 signature over both."""
    signed = hashlib.sha256(image).digest().ljust(SIGNED_BYTES, b"\x00")
    return signed + KEY.sign(signed)


def flash(client: Client, image: bytes) -> None:
    """Program an image and its header, and have the ECU check them."""
    client.change_session(3)
    client.change_session(2)
    client.unlock_security_access(1)
    client.start_routine(0xFF00, struct.pack(">BII", 0x44, 0, len(image)))
    _download(client, 0, image)
    _download(client, HEADER_ADDRESS, signed_header(image))
    client.start_routine(0x0202)
    client.ecu_reset(1)


def _download(client: Client, address: int, data: bytes) -> None:
    client.request_download(MemoryLocation(address, len(data), address_format=32, memorysize_format=32))
    for number, start in enumerate(range(0, len(data), PAYLOAD_BYTES), start=1):
        answer = client.transfer_data(number & 0xFF, data[start : start + PAYLOAD_BYTES])
        assert isinstance(answer, Response)
    client.request_transfer_exit()


def cpu_s_per_mib(image: bytes) -> float:
    """Return the processor seconds that flashing `image` costs, tester, ECU and trace together, scaled to a MiB."""
    ecu, stop = SmallEcu(len(image)), threading.Event()
    trace: list[can.Message] = []
    with _bus() as tester_bus, _bus() as ecu_bus, _bus() as trace_bus, can.Notifier(trace_bus, [trace.append]):
        serving = threading.Thread(target=_serve, args=(_stack(ecu_bus, RESPONSE_ID, REQUEST_ID), ecu, stop))
        serving.start()
        try:
            spent_s = _timed_job(_stack(tester_bus, REQUEST_ID, RESPONSE_ID), image)
        finally:
            stop.set()
            serving.join()
    if not ecu.verified or len(trace) * 7 < len(image):
        raise RuntimeError("the baseline did not do its job")
    return spent_s * (1 << 20) / len(image)


def _bus() -> can.BusABC:
    return can.Bus("otabench baseline", interface="virtual")


def _stack(bus: can.BusABC, transmit_id: int, receive_id: int) -> isotp.CanStack:
    address = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=transmit_id, rxid=receive_id)
    return isotp.CanStack(bus, address=address, params=ISOTP_PARAMETERS)


def _serve(stack: isotp.CanStack, ecu: SmallEcu, stop: threading.Event) -> None:
    stack.start()
    try:
        while not stop.is_set():
            request = stack.recv(block=True, timeout=0.2)
            if request:
                stack.send(ecu.answer(bytes(request)))
    finally:
        stack.stop()


def _timed_job(stack: isotp.CanStack, image: bytes) -> float:
    config = dict(default_client_config)
    config.update(security_algo=lambda level, seed, params: key_of(seed), request_timeout=10, p2_timeout=5)
    config["use_server_timing"] = False  # udsoncan counts the whole ISO-TP transfer as P2; 50 ms would break it off
    with Client(PythonIsoTpConnection(stack), config=config) as client:
        start_s = time.process_time()
        flash(client, image)
        return time.process_time() - start_s
