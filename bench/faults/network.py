"""Messages between agent and server that are lost."""

from __future__ import annotations

from typing import Literal

from bench.config import FileModel
from bench.faults.kinds import AGENT, FaultKind, Strike
from bench.ports.faults import HTTP_PATH


class NetworkParameters(FileModel):
    """Which message of the exchange is lost: the agent's request, or the server's answer to a request that it got."""

    lost: Literal["request", "answer"]


def _lose(strike: Strike) -> None:
    strike.port(HTTP_PATH).lose(strike.parameters.lost, strike.restored)  # the network carries everything after it


KINDS = (
    FaultKind(
        fault_class="network",
        title="a lost HTTP message",
        strikes=(AGENT,),
        parameters=NetworkParameters,
        inject=_lose,
        ports=(HTTP_PATH,),
        bounded=True,
        events=("http",),
    ),
)
