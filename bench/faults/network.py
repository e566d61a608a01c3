"""Messages between agent and server that the network loses."""

from __future__ import annotations

from typing import Literal

from bench.config import FileModel
from bench.faults.kinds import AGENT, FaultKind, Strike
from bench.ports.faults import MESSAGES


class NetworkParameters(FileModel):
    """Which message of the exchange is lost: the agent's request, or the server's answer to a request that it got."""

    lost: Literal["request", "answer"]


def _lose_message(strike: Strike) -> None:
    strike.port(MESSAGES).lose(strike.parameters.lost)
    strike.restored()  # the network carries everything after it: the agent may go on from now on


KINDS = (
    FaultKind(
        fault_class="network",
        title="a lost HTTP message",
        strikes=(AGENT,),
        parameters=NetworkParameters,
        inject=_lose_message,
        ports=(MESSAGES,),
        bounded=True,
        events=("http",),
    ),
)
