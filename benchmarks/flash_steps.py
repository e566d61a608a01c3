"""Figures of a flashing job's one step: the pure `next(event)`, and the key of the state that it leads to."""

from __future__ import annotations

import time
from typing import Any, cast

from bench.config import data_root
from bench.core.clock import EPOCH_NS, NS_PER_MS
from bench.flasher.exchange import Listen, Received, Send, Sent
from bench.flasher.flash_state import Answered, Event, FlashState, begin
from bench.flasher.recipe import Step, load_recipe
from bench.flasher.signed_image import FlashJob
from bench.flasher.state import FRESH
from bench.flasher.task import MakeKey, Plan, Rest
from bench.images.signing import sign_image
from bench.trust.keys import signing_key
from benchmarks.figure import Measured
from benchmarks.flashing import KIB, VERSION, random_image

ROUNDS = 5
BLOCK_BYTES = 258
HARDWARE, SOFTWARE = "BCM-HW-03", "BCM-APP"
RECORDS = {0x10: "003201f4", 0x27: "0102030405060708", 0x34: f"20{BLOCK_BYTES:04x}", 0x19: "7f", 0x31: "00"}
"""What stands behind the echo of a positive answer."""
ECHO_BYTES = {0x10: 1, 0x11: 1, 0x14: 0, 0x19: 1, 0x22: 2, 0x27: 1, 0x2E: 2, 0x31: 3, 0x34: 0, 0x36: 1, 0x37: 0}
Pairs = list[tuple[FlashState, Event]]


def steps() -> Pairs:
    """Return every state of a healthy job over 64 KiB with the event that came; RuntimeError when it went wrong."""
    recipe = load_recipe(data_root() / "recipes" / "single_bank.toml")
    data, base = random_image(64 * KIB, 0), recipe.memory.region_base
    ids: dict[str, Any] = {"hardware_id": HARDWARE, "software_id": SOFTWARE}
    image = sign_image(data, version=VERSION, load_address=base, release_counter=2, key=signing_key("benchmark"), **ids)
    job = FlashJob(ecu="body", image=data, header=image.header.encode(), version=VERSION, software_id=SOFTWARE)
    state, found = begin(Plan("body", job.software(recipe), recipe, 0, EPOCH_NS), FRESH, 0).state, cast(Pairs, [])
    now_ns = 0
    while state.action is not None:
        event = _good(state, now_ns + NS_PER_MS)
        found.append((state, event))
        state, now_ns = state.next(event).state, event.now_ns
    if not state.succeeded:
        raise RuntimeError(f"the job failed: {state.error}")
    return found


def _good(state: FlashState, at_ns: int) -> Event:
    match state.action:
        case Send():
            return Sent(at_ns)
        case Listen():
            assert state.exchange is not None, "an answer is waited for"
            return Received(at_ns, _answer(state, state.exchange.payload))
        case Rest(until_ns):
            return Answered(max(at_ns, until_ns))
        case MakeKey():
            return Answered(at_ns, bytes(8))
    return Answered(at_ns, True)


def _answer(state: FlashState, request: bytes) -> bytes:
    sid = request[0]
    record = bytes.fromhex(RECORDS.get(sid, ""))
    if sid == 0x27 and request[1] == 2:
        record = b""
    if sid == 0x22:
        running = VERSION if state.step is Step.VERIFY_VERSION else "1.0.0"
        record = {0xF186: b"\x02", 0xF191: HARDWARE.encode(), 0xF188: SOFTWARE.encode(), 0xF189: running.encode()}[
            int.from_bytes(request[1:3], "big")
        ]
    return bytes((sid + 0x40,)) + request[1 : 1 + ECHO_BYTES[sid]] + record


def flash_step_us() -> Measured:
    """Return the processor time of one `next(event)`, the mean over a job, the best of five."""
    return Measured(min(_mean_us(steps(), with_key=False) for _ in range(ROUNDS)))


def flash_step_key_us() -> Measured:
    """Return the same with the key of the state after it, and its hash."""
    return Measured(min(_mean_us(steps(), with_key=True) for _ in range(ROUNDS)))


def _mean_us(pairs: Pairs, *, with_key: bool) -> float:
    begun_s = time.process_time()
    for state, event in pairs:
        following = state.next(event).state
        if with_key:
            hash(following.state(event.now_ns))
    return (time.process_time() - begun_s) / len(pairs) * 1e6
