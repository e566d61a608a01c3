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
        self._dropped = 0
        if self._socket is not None:
            _widen(self._socket)

    @property
    def counts(self) -> bool:
        """Whether the kernel counts here what it drops."""
        return self._socket is not None and _drops(self._socket) is not None

    def dropped(self) -> int:
        """Return how many messages the kernel dropped since the socket was opened; 0 where it does not `count`."""
        if self._socket is not None:
            self._dropped = _drops(self._socket) or self._dropped
        return self._dropped

    def close(self) -> None:
        """Let go of the socket, which is the bus's own; what was dropped until now stays known."""
        self.dropped()
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _drops(opened: socket.socket) -> int | None:
    try:
        told = opened.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO_BYTES)
    except OSError:  # an older kernel, or another system
        return None
    values = struct.unpack(f"={len(told) // 4}I", told[: len(told) // 4 * 4])
    return values[DROPS_AT] if len(values) > DROPS_AT else None


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
