"""How a server goes about its requests: by the rules. What misbehaves on order overrides it (`ecu_sim.misbehave`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bench.core.continuing import State
from ecu_sim.uds.services import Answer

Genuine = Callable[[bytes], Awaitable[Answer]]
"""Serves a request by the rules; raises `Refused`."""


class ServerBehaviour:
    """The rules of ISO 14229-1, at the three places of an exchange where a faulty server departs from them."""

    def state(self, now_ns: int) -> State:
        """Return what later behaviour depends on: nothing where there are only rules."""
        del now_ns
        return ()

    async def answer(self, pdu: bytes, genuine: Genuine) -> Answer:
        """Return the answer to a request whose turn has come; raises `Refused`."""
        return await genuine(pdu)

    def says_pending(self, *, again: bool) -> bool:
        """Return whether a 0x78 that is due goes out; `again`: it is not the first one of this request."""
        del again
        return True

    def final_response(self, pdu: bytes | None) -> bytes | None:
        """Return what goes out as the final answer (None: nothing) where the rules say `pdu`."""
        return pdu
