"""The kernel's queue in front of an interface that is a socket: made long, and asked what it had to drop."""

from __future__ import annotations

import os
import socket
import struct

import can

SO_RCVBUFFORCE, SO_MEMINFO = 33, 55
"""Linux's SO_RCVBUF beyond `net.core.rmem_max`, with CAP_NET_ADMIN, and what a socket's memory is used for (since
4.12); Python's socket module has no names for them."""
DROPS_AT = 8
"""SK_MEMINFO_DROPS: the counter that SO_RXQ_OVFL tells with each message, here without a message."""
MEMINFO_BYTES = 9 * 4
RECEIVE_QUEUE_BYTES = 8 * 1024 * 1024
"""What may wait in the kernel for the reader, some 10,000 frames. Linux's default holds some 270 classic ones: a block
of 4 KiB with STmin 0 is 585 consecutive frames, and what a slow reader let overflow looked like a silent ECU."""


class ReceiveQueue:
    """The socket behind a python-can bus, if it is one; every other interface keeps its queue to itself."""

    def __init__(self, bus: can.BusABC) -> None:
        self._socket = _socket_of(bus)
        if self._socket is not None:
            _widen(self._socket)

    @property
    def bytes_(self) -> int | None:
        """How much may wait, as the kernel counts it; None where nobody can tell."""
        return None if self._socket is None else self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def dropped(self) -> int | None:
        """Return how many messages the kernel dropped since the socket was opened; None where nobody can tell."""
        if self._socket is None:
            return None
        try:
            told = self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO_BYTES)
        except OSError:  # an older kernel, or another system
            return None
        values = struct.unpack(f"={len(told) // 4}I", told[: len(told) // 4 * 4])
        return values[DROPS_AT] if len(values) > DROPS_AT else None

    def close(self) -> None:
        """Let go of the socket, which is the bus's own."""
        if self._socket is not None:
            self._socket.close()


def _socket_of(bus: can.BusABC) -> socket.socket | None:
    """Return a second handle of the bus's socket."""
    try:
        number = os.dup(bus.fileno())
    except (NotImplementedError, OSError, TypeError):  # a driver without a file descriptor, or one that has none yet
        return None
    try:
        return socket.socket(fileno=number)
    except OSError:  # a serial line
        os.close(number)
        return None


def _widen(opened: socket.socket) -> None:
    """Give the reader as much room in the kernel as this process may have."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_QUEUE_BYTES)
    except OSError:  # without the right the kernel takes `net.core.rmem_max` for it: twice the default
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_QUEUE_BYTES)
