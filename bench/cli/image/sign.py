"""`otabench image sign`: put a signed header before an image."""

from __future__ import annotations

from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.cli.image.common import (
    FILE,
    as_json_option,
    header_json,
    hex_address,
    lenient_option,
    listed,
    number,
    print_json,
    session_option,
    tell_tolerated,
    write_whole,
)
from bench.cli.image.keys import signer
from bench.cli.options import debug_only
from bench.core.errors import InputError
from bench.images.memory import ERASED, AddressRange
from bench.images.readers import plain_image, read_firmware
from bench.images.shaping import filled
from bench.images.signing import SignedImage, sign_image
from bench.wire.image_header import HEADER_BYTES


@click.command()
@click.argument("file", type=FILE)
@session_option
@click.option("--hardware-id", required=True, help="Of the ECU the image is for; 1 to 32 ASCII characters.")
@click.option("--software-id", required=True, help="1 to 32 ASCII characters.")
@click.option("--version", required=True, help="1 to 32 ASCII characters.")
@click.option("--release-counter", required=True, help="0 to 0xFFFFFFFF; an ECU refuses what is below its own.")
@click.option("--load-address", help="First address of the signed image, 0x… or decimal; default: the file's first.")
@click.option("--key", type=FILE, metavar="KEYFILE.pem", help="Your Ed25519 private key, PEM without passphrase.")
@click.option(
    "--test-key", metavar="NAME", help="Instead of --key, for simulation only: a key that anybody can derive (image)."
)
@click.option("-o", "--output", "target", required=True, type=FILE, metavar="OUT", help="The signed image.")
@lenient_option
@as_json_option
@debug_only
def sign(
    file: Path,
    session: str | None,
    lenient: bool,
    load_address: str | None,
    key: Path | None,
    test_key: str | None,
    target: Path,
    as_json: bool,
    **ids: str,
) -> int:
    """Put a signed header of 256 bytes before the image of FILE; gaps are filled with 0xFF.

    Test keys are derived from their names: they protect nothing, and must not sign for a real vehicle. The simulated
    ECUs accept --test-key image.

    \b
    Examples:
      openssl genpkey -algorithm ed25519 -out key.pem
      otabench image sign app.hex --hardware-id BCM-HW-03 --software-id BCM-APP --version 1.2.0 \\
          --release-counter 3 --key key.pem -o app.signed.bin
      otabench image sign app.hex --hardware-id BCM-HW-03 --software-id BCM-APP --version 1.2.0 \\
          --release-counter 3 --test-key image -o app.signed.bin
      otabench image info app.signed.bin --test-key image

    Exit codes: 0 signed, 2 wrong usage or input (nothing is written).
    """
    private = signer(key, test_key)
    counter = number("--release-counter", ids["release_counter"])
    address = None if load_address is None else number("--load-address", load_address)
    option = "--load-address"
    firmware = read_firmware(file, binary_base=address, base_option=option, session=session, lenient=lenient)
    source = plain_image(firmware, file)
    first = source.segments[0].address if address is None else address
    if first > source.segments[0].address:
        raise InputError(
            "the image begins before --load-address",
            file=str(file),
            key="--load-address",
            found=listed(source.ranges),
            allowed=f"up to {hex_address(source.segments[0].address)}",
            hint="cut it first: otabench image convert --crop START-END",
        )
    whole = filled(source, ERASED, AddressRange(first, source.ranges[-1].end), file=str(file))
    signed = _signed(whole.segments[0].data, first, counter, ids, private)
    write_whole(target, (signed.file,))
    tell_tolerated((firmware,))
    if as_json:
        public = private.public_key().public_bytes_raw().hex()
        print_json({"file": str(target), "signed": header_json(signed.header), "public_key": public})
    else:
        click.echo(
            f"{target}: header of {HEADER_BYTES} bytes, image of {len(signed.data)} bytes at {hex_address(first)}"
        )
        if test_key is not None:
            click.echo(f"signed with the test key {test_key}: for simulation only", err=True)
    return 0


def _signed(data: bytes, address: int, counter: int, ids: dict[str, str], signer: Ed25519PrivateKey) -> SignedImage:
    texts = header_texts({name: ids[name] for name in ("hardware_id", "software_id", "version")})
    return sign_image(data, **texts, release_counter=counter, load_address=address, key=signer)


def header_texts(texts: dict[str, str]) -> dict[str, str]:
    """Return the texts; `InputError` names the option whose text does not fit the header."""
    for name, text in texts.items():
        if not (0 < len(text) <= 32 and text.isascii() and text.isprintable()):
            option = f"--{name.replace('_', '-')}"
            allowed = "1 to 32 printable ASCII characters"
            raise InputError(f"{option} does not fit the header", key=option, found=repr(text), allowed=allowed)
    return texts
