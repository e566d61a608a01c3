"""The bootloader's door that certificates open (0x29): what is let in, and every code of refusal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.core.clock import NS_PER_S
from bench.wire.certificates import (
    SERVER,
    Credential,
    Demands,
    derived_authority,
    derived_credential,
    signed_by,
    split_chain,
    statement_of_ecu,
    statement_of_tester,
    verify_chain,
)

Drive = Callable[..., Any]
GOOD = derived_credential("tester")
NO_SECURITY = "[authentication]\ncertificate_name = 'ecu'\nrevoked = ['stolen tester']\n"


@pytest.fixture
def root(changed_ecus: Callable[[str, str], Path]) -> Path:
    """Personalities that want a certificate and no key."""
    folder = changed_ecus("[security]", "[security]")
    for file in (folder / "ecus").glob("*.toml"):
        text = file.read_text()
        begin = text.index("[security]")
        file.write_text(text[:begin] + NO_SECURITY + text[begin:].partition("delay_ms = 10000\n")[2])
    return folder


def fields(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def certificate(chain: bytes, challenge: bytes = b"", task: int = 1, configuration: int = 0) -> bytes:
    return bytes((0x29, task, configuration)) + fields(chain, challenge)


def proof(signature: bytes) -> bytes:
    return b"\x29\x03" + fields(signature, b"")


def challenge_of(answer: bytes | None) -> bytes:
    assert answer is not None
    assert answer[:3] in (b"\x69\x01\x11", b"\x69\x02\x11"), answer.hex(" ")
    return answer[5 : 5 + int.from_bytes(answer[3:5], "big")]


async def in_programming(car: Any) -> None:
    await car.good("1003")
    await car.good("1002")
    await car.wait_ms(100)
    await car.good("1002")


async def opened(car: Any, credential: Credential = GOOD) -> None:
    challenge = challenge_of(await car.ask(certificate(credential.chain)))
    answer = await car.ask(proof(credential.sign(statement_of_tester(challenge, b""))))
    assert answer == bytes.fromhex("6903120000")


def told(drive: Drive, root: Path, story: Callable[[Any], Awaitable[None]], **options: Any) -> None:
    async def whole(car: Any) -> None:
        await in_programming(car)
        await story(car)

    drive(whole, root=root, **options)


async def guarded(car: Any) -> str | None:
    """Ask for something guarded: refused with 0x34 while nobody is authenticated."""
    answer: str | None = await car.hex("34 00 44 00000000 00000100")
    return answer


def test_proven_owner_of_a_good_certificate_may_program(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        assert await guarded(car) == "7F 34 34"
        assert await car.hex("3101FF00 44 00000000 00001000") == "7F 31 34"
        assert await car.hex("2EF15A 300101 4F5441424E4348") == "7F 2E 34"
        await opened(car)
        await car.good("2EF15A 300101 4F5441424E4348")
        await car.erase(car.image())
        await car.download(0, car.image().data)

    told(drive, root, story)


def test_certificate_alone_opens_nothing(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        challenge_of(await car.ask(certificate(GOOD.chain)))
        assert await guarded(car) == "7F 34 34"

    told(drive, root, story)


def test_configuration_says_that_certificates_are_wanted(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        assert await car.hex("2908") == "69 08 02"

    told(drive, root, story)


def test_what_was_opened_closes_with_every_session_and_with_de_authenticate(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        await opened(car)
        assert await car.hex("2900") == "69 00 10"
        assert await guarded(car) == "7F 34 34"
        assert await car.hex("2900") == "7F 29 5D"
        await opened(car)
        await car.good("1002")
        assert await guarded(car) == "7F 34 34"

    told(drive, root, story)


@pytest.mark.parametrize(
    ("chain", "code"),
    [
        (derived_credential("old tester", not_after=datetime(2029, 12, 31, tzinfo=UTC)).chain, 0x50),
        (derived_credential("early tester", not_before=datetime(2031, 1, 1, tzinfo=UTC)).chain, 0x50),
        (GOOD.chain[:-1] + bytes((GOOD.chain[-1] ^ 1,)), 0x51),
        (derived_credential("tester", authority="a foreign CA").chain, 0x52),
        (split_chain(GOOD.chain)[0], 0x52),
        (split_chain(GOOD.chain)[1], 0x53),
        (b"no certificate", 0x54),
        (b"", 0x54),
        (derived_credential("ecu", SERVER).chain, 0x55),
        (derived_credential("reader", role="reading").chain, 0x56),
        (derived_credential("stolen tester").chain, 0x57),
    ],
    ids=["ended", "not yet", "changed", "foreign", "no middle", "authority", "text", "empty", "ecu", "role", "revoked"],
)
def test_certificate_is_refused_with_the_standards_code(drive: Drive, root: Path, chain: bytes, code: int) -> None:
    async def story(car: Any) -> None:
        assert await car.ask(certificate(chain)) == bytes((0x7F, 0x29, code))
        assert await car.ask(proof(GOOD.sign(b"anything"))) == b"\x7f\x29\x24"
        assert await guarded(car) == "7F 34 34"

    told(drive, root, story)


def test_validity_is_judged_on_the_runs_clock(drive: Drive, root: Path) -> None:
    """The run begins 2030-01-01: a certificate that ends a minute later is good at first, then no longer."""
    short = derived_credential("short tester", not_after=datetime(2030, 1, 1, 0, 1, tzinfo=UTC))

    async def story(car: Any) -> None:
        await opened(car, short)
        await car.world.clock.sleep_ns(70 * NS_PER_S)
        await in_programming(car)
        assert await car.ask(certificate(short.chain)) == b"\x7f\x29\x50"

    told(drive, root, story)


@pytest.mark.parametrize("change", ["other key", "other challenge", "other speaker", "short", "flipped"])
def test_wrong_signature_fails_and_uses_the_challenge_up(drive: Drive, root: Path, change: str) -> None:
    async def story(car: Any) -> None:
        challenge = challenge_of(await car.ask(certificate(GOOD.chain)))
        right = GOOD.sign(statement_of_tester(challenge, b""))
        wrong = {
            "other key": derived_credential("forger").sign(statement_of_tester(challenge, b"")),
            "other challenge": GOOD.sign(statement_of_tester(bytes(32), b"")),
            "other speaker": GOOD.sign(statement_of_ecu(challenge, b"")),
            "short": right[:-1],
            "flipped": bytes((right[0] ^ 1,)) + right[1:],
        }[change]
        assert await car.ask(proof(wrong)) == b"\x7f\x29\x58"
        assert await car.ask(proof(right)) == b"\x7f\x29\x24", "a second guess needs a new challenge"

    told(drive, root, story)


def test_replayed_proof_fails_on_the_next_challenge(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        challenge = challenge_of(await car.ask(certificate(GOOD.chain)))
        overheard = proof(GOOD.sign(statement_of_tester(challenge, b"")))
        assert (await car.ask(overheard))[:3] == b"\x69\x03\x12"
        assert await car.ask(overheard) == b"\x7f\x29\x24"
        again = challenge_of(await car.ask(certificate(GOOD.chain)))
        assert again != challenge
        await car.good("1002")
        challenge_of(await car.ask(certificate(GOOD.chain)))
        assert await car.ask(overheard) == b"\x7f\x29\x58"
        assert await guarded(car) == "7F 34 34"

    told(drive, root, story)


def test_challenge_does_not_outlive_the_session(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        challenge = challenge_of(await car.ask(certificate(GOOD.chain)))
        await car.good("1002")
        assert await car.ask(proof(GOOD.sign(statement_of_tester(challenge, b"")))) == b"\x7f\x29\x24"

    told(drive, root, story)


def test_bidirectional_lets_the_ecu_prove_itself_too(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        own = bytes(range(32))
        answer = await car.ask(certificate(GOOD.chain, own, task=2))
        challenge = challenge_of(answer)
        rest = answer[5 + len(challenge) :]
        parts = []
        while rest:
            end = 2 + int.from_bytes(rest[:2], "big")
            parts.append(rest[2:end])
            rest = rest[end:]
        chain, signature, ephemeral = parts
        demands = Demands(authority=derived_authority(), at=datetime(2030, 1, 1, tzinfo=UTC), purpose=SERVER)
        assert signed_by(verify_chain(chain, demands), signature, statement_of_ecu(own, challenge))
        assert ephemeral == b""
        assert await car.ask(proof(GOOD.sign(statement_of_tester(challenge, b"")))) == b"\x7f\x29\x58", (
            "lacks own challenge"
        )
        challenge = challenge_of(await car.ask(certificate(GOOD.chain, own, task=2)))
        assert (await car.ask(proof(GOOD.sign(statement_of_tester(challenge, own)))))[:3] == b"\x69\x03\x12"

    told(drive, root, story)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ("2904", 0x12),
        ("2905", 0x12),
        ("2909", 0x12),
        ("29", 0x13),
        ("2901", 0x13),
        ("290100", 0x13),
        ("29010000000000FF", 0x13),
        ("2908FF", 0x13),
    ],
)
def test_unknown_tasks_and_wrong_lengths(drive: Drive, root: Path, request_: str, code: int) -> None:
    async def story(car: Any) -> None:
        assert await car.ask(bytes.fromhex(request_)) == bytes((0x7F, 0x29, code))

    told(drive, root, story)


def test_other_configuration_short_challenge_and_session_key_are_refused(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        assert await car.ask(certificate(GOOD.chain, configuration=1)) == b"\x7f\x29\x5c"
        assert await car.ask(certificate(GOOD.chain, b"short", task=2)) == b"\x7f\x29\x59"
        challenge_of(await car.ask(certificate(GOOD.chain)))
        assert await car.ask(b"\x29\x03" + fields(bytes(64), b"ephemeral")) == b"\x7f\x29\x5b"

    told(drive, root, story)


def test_bootloader_with_a_certificate_knows_no_keys_and_the_other_way_round(drive: Drive, root: Path) -> None:
    async def with_certificate(car: Any) -> None:
        assert await car.hex("2701") == "7F 27 11"

    async def with_keys(car: Any) -> None:
        await in_programming(car)
        assert await car.hex("2908") == "7F 29 11"

    told(drive, root, with_certificate)
    drive(with_keys)


def test_application_knows_the_service_but_has_it_in_no_session(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        assert await car.hex("2908") == "7F 29 7F"
        await car.good("1003")
        assert await car.hex("2908") == "7F 29 7F"

    drive(story, root=root)
