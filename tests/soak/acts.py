"""What the soak's tester does to an ECU, and whole cases made of it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from bench.core.clock import NS_PER_MS
from bench.wire import seed_key
from tests.recipes import erase_routine
from tests.soak.lab import SMALL_IMAGE_BYTES, Lab, image, is_pending, quick_recipe, run_lab
from tests.soak.requests import any_request, broken_frames, sensible
from tests.soak.rules import Request, belongs, short
from tests.soak.story import READ_SESSION, REQUESTS_PER_CASE, RESTART_SLACK_MS, Broken, Soak, Tally

# What a tester may do -------------------------------------------------------------------------------

Act = Callable[[Soak], Awaitable[None]]


async def steady(soak: Soak) -> None:
    """Wait until a restart that is due is over."""
    soak.note_silence()
    if soak.may_restart:
        await soak.lab.wait_ms(soak.lab.kind.personality.boot.reset_delay_ms + RESTART_SLACK_MS)
    await soak.awake()


async def ask_anything(soak: Soak) -> None:
    """Send any request, and often look whether the session is what it should be."""
    await soak.exchange(any_request(soak.draw, soak.lab.kind))
    if soak.draw.random() < 0.25:
        await soak.exchange(READ_SESSION)


async def tell_all(soak: Soak) -> None:
    """Send a request functionally: a single frame."""
    pdu = any_request(soak.draw, soak.lab.kind)[: soak.draw.choice((2, 3, 4, 6))]
    await soak.exchange(pdu, functional=True)
    await soak.exchange(READ_SESSION)


async def enter_session(soak: Soak, *, programming: bool = False) -> None:
    """Lead the ECU to the extended or the programming session, as a tester does."""
    sessions = soak.lab.kind.recipe.sessions
    await soak.exchange(bytes((0x10, sessions.extended)))
    if programming or soak.draw.random() < 0.6:
        await soak.exchange(bytes((0x10, sessions.programming)))
        await soak.lab.wait_ms(soak.boot_limit_ms)
        await soak.exchange(READ_SESSION)


async def unlock(soak: Soak) -> None:
    """Answer a seed, sometimes wrongly."""
    rules = soak.lab.kind.recipe.security
    if rules is None or rules.secret_name is None:
        return
    answer = await soak.exchange(bytes((0x27, rules.level)))
    if answer is None or answer[0] != 0x67 or not any(answer[2:]):
        return
    if soak.draw.random() < 0.15:
        await ask_anything(soak)
    key = seed_key.compute(rules.algorithm, rules.secret_name, answer[2:])
    if soak.draw.random() < 0.1:
        key = bytes(len(key))
    await soak.exchange(bytes((0x27, rules.level + 1)) + key)


async def transfer(soak: Soak) -> None:
    """Erase, request a download and send some blocks; anything may come in between."""
    draw, kind = soak.draw, soak.lab.kind
    recipe, form = kind.recipe, kind.recipe.transfer
    unit = recipe.memory.program_unit_bytes
    size = unit * draw.choice((1, 2, 5))
    place = form.range(recipe.memory.region_base, size)
    data_format = kind.personality.download.data_format
    await soak.exchange(b"\x31\x01" + erase_routine(recipe).to_bytes(2, "big") + place)
    await soak.exchange(bytes((0x34, data_format)) + place)
    for n in range(draw.choice((1, 2, 5))):
        if draw.random() < 0.15:
            await ask_anything(soak)
        await soak.exchange(bytes((0x36, (form.first_counter + n) & 0xFF)) + draw.randbytes(min(unit, size)))
        if draw.random() < 0.2:
            await soak.exchange(bytes((0x36, (form.first_counter + n) & 0xFF)) + draw.randbytes(min(unit, size)))
    await soak.exchange(b"\x37")


async def program(soak: Soak) -> None:
    """The way into flash as a whole: session, key, download, checks."""
    await enter_session(soak, programming=True)
    await unlock(soak)
    for _ in range(soak.draw.choice((1, 1, 2))):
        await transfer(soak)
    for routine in (soak.lab.kind.recipe.routines.check_memory, soak.lab.kind.recipe.routines.activate):
        if routine is not None and soak.draw.random() < 0.5:
            await soak.exchange(b"\x31\x01" + routine.to_bytes(2, "big"))


async def guess_keys(soak: Soak) -> None:
    """Send wrong keys until the ECU has enough of it, perhaps over a power cut."""
    await enter_session(soak, programming=True)
    level = soak.lab.kind.recipe.security.level if soak.lab.kind.recipe.security else 1
    for _ in range(soak.draw.choice((2, 4, 5))):
        answer = await soak.exchange(bytes((0x27, level)))
        length = 16 if answer is not None and len(answer) == 18 else 8
        await soak.exchange(bytes((0x27, level + 1)) + soak.draw.randbytes(length))
    if soak.draw.random() < 0.3:
        await cut_power(soak)


async def interrupt(soak: Soak) -> None:
    """Ask again while a request is being served: the first is answered in the end, the second at most once."""
    draw, kind = soak.draw, soak.lab.kind
    await steady(soak)
    begin_ns = soak.lab.world.clock.now_ns()
    first = any_request(draw, kind)
    second = draw.choice((b"\x3e\x00", b"\x22\xf1\x86", sensible(draw, kind)[:7]))
    if first[0] == second[0] or 0x7F in (first[0], second[0], first[0] - 0x40, second[0] - 0x40):
        return
    tester = soak.lab.tester
    tester.heard.clear()
    error = await tester.put(first)
    sent_ns = tester.sent_ns
    functional = draw.random() < 0.4 and len(second) < 7
    if functional:
        second = b"\x3e\x80"
        await tester.tell_all(second)
    else:
        error = error or await tester.put(second)
    one, two = Request(first, False, sent_ns), Request(second, functional, tester.sent_ns)
    soak.tally.requests += 2
    soak.tally.events["second request while busy"] += 1
    await soak.collect(one)
    await soak.lab.wait_ms(soak.timing.p2_ms + 5)
    soak.excuse_restart(begin_ns)
    _judge_both(soak, one, two, error)


def _judge_both(soak: Soak, one: Request, two: Request, error: str | None) -> None:
    heard = soak.lab.tester.heard
    soak.trace(f"{one} and {two} -> {', '.join(short(each.pdu) for each in heard) or '-'}")
    soak.sessions, soak.security = None, "?"
    soak.last_exchange_ns = one.sent_ns
    if error is not None:
        return
    finals = [each for each in heard if not is_pending(each.pdu)]
    for request in (one, two):
        own = [each for each in finals if belongs(each.pdu, request.sid)]
        if len(own) > 1:
            raise Broken(f"{len(own)} answers to {request} beside another request")
    foreign = [short(each.pdu) for each in heard if not any(belongs(each.pdu, r.sid) for r in (one, two))]
    if foreign:
        raise Broken(f"{foreign} answers neither {one} nor {two}")
    soak.last_exchange_ns = max(each.start_ns for each in heard) if heard else one.sent_ns


async def break_a_message(soak: Soak) -> None:
    """Send frames that never become a message; the ECU says nothing and serves the next request."""
    await steady(soak)
    tester = soak.lab.tester
    tester.heard.clear()
    frames = broken_frames(soak.draw)
    for frame in frames:
        tester.put_frame(frame)
        await soak.lab.wait_ms(soak.draw.choice((1, 1, 5, 50)))
    soak.trace(f"frames {', '.join(frame.hex(' ') for frame in frames)}")
    soak.tally.events["broken message"] += 1
    await soak.lab.wait_ms(soak.draw.choice((1, 100, 1_100)))
    if tester.heard:
        raise Broken(f"{[short(each.pdu) for each in tester.heard]} answers frames that are no message")
    await soak.exchange(READ_SESSION)


async def wait(soak: Soak) -> None:
    """Be silent: a little, or until the session runs out."""
    s3_ms = soak.timing.s3_ms
    ms = soak.draw.choice((10, 100, 1_000, s3_ms - 400, s3_ms + 200, s3_ms + 200, 11_000))
    soak.trace(f"silent for {ms} ms")
    soak.tally.events["S3 expired" if ms > s3_ms else "pause"] += 1
    await soak.lab.wait_ms(ms)
    await steady(soak)
    await soak.exchange(READ_SESSION)


async def cut_power(soak: Soak) -> None:
    """Take the power away, often in the middle of a request, and give it back."""
    await steady(soak)
    begin_ns = soak.lab.world.clock.now_ns()
    if soak.draw.random() < 0.6:
        await soak.lab.tester.put(any_request(soak.draw, soak.lab.kind))
        await soak.lab.wait_ms(soak.draw.choice((0, 0.3, 1, 3, 20, 60, 150)))
    soak.trace("power cut")
    soak.tally.events["power cut"] += 1
    soak.lab.node.cut("soak")
    await soak.lab.wait_ms(soak.draw.choice((1, 10, 300)))
    soak.lab.node.power_on()
    soak.excuse_restart(begin_ns)
    await soak.exchange(READ_SESSION)


async def flash_and_stop(soak: Soak) -> None:
    """Let a flasher do its whole job, or stop it at any of its requests: the ECU is left wherever it was."""
    lab, draw = soak.lab, soak.draw
    await steady(soak)
    begin_ns = lab.world.clock.now_ns()
    number = draw.randrange(2, 6)
    signed = image(lab.kind.name, f"{number}.0.0", number, SMALL_IMAGE_BYTES)
    flashing = lab.begin_flash(signed, quick_recipe(lab.kind.name))
    if draw.random() < 0.85:
        requests = lab.world.points.counter(lab.id, "request")
        where = draw.choice(("before", "after"))
        requests.arm(requests.n + draw.randrange(1, 30), where, None, flashing.stop)
    await flashing.done
    end = "stopped" if flashing.report is None and flashing.failure is None else "ended"
    soak.trace(
        f"{lab.world.clock.now_ns() // NS_PER_MS:>8} ms  a flasher {end}: {flashing.failure or signed.header.version}"
    )
    soak.tally.events[f"flashing job {end}"] += 1
    await lab.wait_ms(draw.choice((soak.boot_limit_ms, 1_100)))
    soak.excuse_restart(begin_ns)
    await soak.awake()
    soak.sessions, soak.security = None, "?"
    soak.last_exchange_ns = lab.world.clock.now_ns()
    await soak.exchange(READ_SESSION)


ACTS: tuple[tuple[Act, int], ...] = (
    (ask_anything, 70), (tell_all, 12), (enter_session, 5), (unlock, 5), (transfer, 3), (program, 2), (guess_keys, 1),
    (interrupt, 6), (break_a_message, 4), (wait, 3), (cut_power, 2), (flash_and_stop, 1),
)  # fmt: skip
_WHAT, _HOW_OFTEN = [act for act, _ in ACTS], [weight for _, weight in ACTS]


async def soak_story(soak: Soak, requests: int) -> None:
    """Make the ECU ready, send the requests, and look at it at the end."""
    lab, draw = soak.lab, soak.draw
    if draw.random() < 0.8:
        lab.install()
    lab.vehicle.power_on()
    if draw.random() < 0.5:
        await flash_and_stop(soak)
    while soak.tally.requests < requests:
        await draw.choices(_WHAT, _HOW_OFTEN)[0](soak)
    await at_the_end(soak)


async def at_the_end(soak: Soak) -> None:
    """After a minute of silence: the default session, no driver fault, the bootloader as it was, only genuine code."""
    lab = soak.lab
    await lab.wait_ms(60_000)
    answer = await soak.exchange(READ_SESSION)
    if answer != READ_SESSION.replace(b"\x22", b"\x62") + b"\x01":
        raise Broken(f"after a minute of silence the session reads {answer and answer.hex(' ')}")
    faults = lab.memory.flash.driver_faults
    if faults:
        raise Broken(f"driver faults: {faults}")
    if soak.boot_digest() != soak.bootloader:
        raise Broken("the bootloader's memory has changed")
    genuine = {image(lab.kind.name, f"{n}.0.0", n, SMALL_IMAGE_BYTES).header.encode() for n in range(1, 6)}
    if any(execution.header not in genuine for execution in lab.world.recorder.executions):
        raise Broken("an image ran that nobody signed")


def run_case(name: str, seed: int, number: int, trace: Callable[[str], None] = lambda line: None) -> Tally:
    """Run one case; Broken (or whatever crashed) when the ECU does not hold."""
    draw = random.Random(f"soak:{name}:{seed}:{number}")
    tally: list[Tally] = []

    async def story(lab: Lab) -> None:
        soak = Soak(lab, draw, trace)
        tally.append(soak.tally)
        await soak_story(soak, REQUESTS_PER_CASE)

    run_lab(name, story, seed=number + 1)
    return tally[0]
