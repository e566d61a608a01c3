"""`otabench image`: look at firmware files, convert, merge, compare, sign and make them."""

from __future__ import annotations

import click

from bench.cli.image.contents import diff, info
from bench.cli.image.demo import make_demo
from bench.cli.image.make import convert, merge
from bench.cli.image.sign import sign


@click.group()
def image() -> None:
    """Look at firmware files, convert, merge, compare, sign and make them.

    Read: Intel HEX, S-records, TI-TXT, ELF, VBF, ODX-F and PDX (with the extra odx), raw binary; told by suffix or
    first bytes.

    \b
    Examples:
      otabench image info firmware.elf
      otabench image convert firmware.elf firmware.hex
      otabench image merge boot.hex app.hex -o all.hex
      otabench image diff old.hex new.hex
      otabench image sign --help
      otabench image make two_ecu_car body --size 64KiB -o body.bin
    """


for command in (info, convert, merge, diff, sign, make_demo):
    image.add_command(command)
