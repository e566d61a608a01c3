"""A functional request whose answers are collected from every ECU that gives one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TypeVar

from bench.flasher.client import UdsClient
from bench.flasher.errors import TransportError, UdsError
from bench.flasher.recipe import Timing
from bench.flasher.services import Call
from bench.ports.diagnostics import FunctionalLink, LinkError

T = TypeVar("T")


async def ask_all(
    functional: FunctionalLink, clients: Mapping[str, UdsClient], call: Call[T], timing: Timing
) -> dict[str, T | UdsError]:
    """Send `call` to every ECU of a bus at once; return what each ECU answered, in the order of `clients`.

    An ECU that keeps silent is left out: it does not know the service (ISO 14229-1 has it say nothing), or it is
    not there. One that refuses, breaks off or breaks the rules has its UdsError as value. Each client waits P2, and
    P2* anew after every 0x78 of its own ECU. TransportError when the request itself cannot be sent; RuntimeError
    when a client has a request outstanding.
    """
    with ExitStack() as links:
        for client in clients.values():
            links.enter_context(client.reserved())
            client.drop_arrived(call)
        await _send(functional, call.payload, timing)
        async with asyncio.TaskGroup() as group:
            tasks = {ecu: group.create_task(_heard(client, call)) for ecu, client in clients.items()}
    # An ECU that knows the service not at all keeps silent to a functional request (ISO 14229-1, 0x11, 0x12, 0x31, 0x7E
    # and 0x7F are not sent): it cannot be told from one that is not there.
    answers = {ecu: task.result() for ecu, task in tasks.items()}
    return {ecu: answer[0] for ecu, answer in answers.items() if answer}


async def _send(functional: FunctionalLink, payload: bytes, timing: Timing) -> None:
    try:
        async with asyncio.timeout(timing.functional_send_limit_ms / 1000):
            await functional.send(payload)
    except TimeoutError:
        raise TransportError("N_TIMEOUT_A", f"functional {payload.hex(' ')}: nobody acknowledged") from None
    except LinkError as error:
        raise TransportError(error.name, f"functional {payload.hex(' ')}: {error}") from None


async def _heard(client: UdsClient, call: Call[T]) -> tuple[T | UdsError, ...]:
    """Return the answer or the error, or nothing at all: None may be an answer's value."""
    try:
        answer = await client.heard(call)
    except UdsError as error:
        return (error,)
    return answer
