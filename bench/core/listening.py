"""A listening socket's port, tried before a server takes it (real time only)."""

from __future__ import annotations

import socket


def try_to_bind(address: str, port: int) -> None:
    """Raise OSError (OverflowError for a port that is none) when nobody may listen there; port 0 is always free.

    cheroot leaves a socket open behind a `prepare()` that failed: the next try would find its own port in use.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        # As cheroot does: connections of a server that ended just now, still in TIME_WAIT, must not keep the port.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((address, port))
