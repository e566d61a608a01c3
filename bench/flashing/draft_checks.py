"""The checks of a draft: sums and signatures that the files carry, each as a rule whose routine must be looked up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bench.flasher.recipe_checks import Item
from bench.flashing.draft_text import DraftText
from bench.images.blocks import BlockKind, ExpectedChecksum, SoftwareBlock, SoftwareFile

SUM_OF = {
    "CRC32": Item.CRC32, "CRC16CCITT": Item.CRC16, "CRC16CCITTFALSE": Item.CRC16, "SHA256": Item.SHA256,
}  # fmt: skip
"""CHECKSUM-ALG in capitals, without signs: the sum that a rule may send."""
PROOF_OF = {"sw_signature": "signature", "sw_signature_dev": "signature_dev", "SECURITY": "signature"}
ANSWER = (
    'what the routine answers when all is well: { at = 0, ok = 0x00 } for a status byte, or { record = "10 00" } for '
    "the whole record. A wrong one refuses good software, or takes bad one for good."
)


def checks(out: DraftText, files: Sequence[SoftwareFile]) -> None:
    """Write `[check]`: rules for what the files carry, or a gap where they carry nothing."""
    blocks = [block for file in files for block in file.blocks]
    sums = _sums(blocks)
    proofs = sorted({proof for block in blocks for proof in _proofs(block)})
    has_crc16 = any(segment.crc16 is not None for block in blocks for segment in block.segments)
    whole = [each for file in files for each in file.signatures]
    if not (sums or proofs or has_crc16 or whole):
        _nothing(out)
        return
    if has_crc16:
        out.entry("check.rules")
        out.says("The file has a CRC-16 of each block; in VBF flashing the answer to 0x37 gives it back.")
        _rule(out, "segment", '"transfer_exit"')
        out.key("algorithm", '"crc16_ccitt_false"')
    for algorithm, item in sums:
        _sum_rule(out, algorithm, item)
    for proof in proofs:
        _proof_rule(out, proof, blocks)
    if len(proofs) > 1:
        out.says(
            "Two signatures: by the maker's key for development and for series. Take out the rule of the other kind."
        )
    for signature in whole:
        out.entry("check.rules")
        out.says(f"The file signs the session as a whole ({signature.method or 'no method named'}).")
        out.key("after", '"all"')
        out.gap("by", "who checks it, and how: no built-in strategy sends the signature of a session (entry point "
                "check.NAME of otabench.flash_strategy). Take the rule out where the ECU asks for none.")  # fmt: skip
    if _is_vbf_flashing(files):
        _complete(out)


def ends_with_check(files: Sequence[SoftwareFile]) -> bool:
    """Return whether a rule has its turn after the last part: it needs step `check_software`."""
    return _is_vbf_flashing(files) or any(each.signatures for each in files)


def _is_vbf_flashing(files: Sequence[SoftwareFile]) -> bool:
    return any(each.is_bootloader and each.file_format == "vbf" for each in files)


def _nothing(out: DraftText) -> None:
    out.table("check")
    out.gap("rules", "how the ECU says that it holds what was sent, for example [{ after = \"segment\", by = "
            '"transfer_exit", algorithm = "accepted" }] (the answer to 0x37), a routine, or read_back. Write "none" '
            "only where nothing tells: then nothing is checked at all.")  # fmt: skip


def _rule(out: DraftText, after: str, by: str) -> None:
    out.key("after", f'"{after}"')
    out.key("by", by)


def _sums(blocks: Sequence[SoftwareBlock]) -> list[tuple[str, Item | None]]:
    """Return the algorithms of expected checksums, once each; None where no rule can send it over a segment."""
    found = [(check.algorithm or "none named", _item(check, block)) for block in blocks for check in block.checksums]
    return list(dict.fromkeys(found))


def _item(check: ExpectedChecksum, block: SoftwareBlock) -> Item | None:
    sum_of = SUM_OF.get(re.sub(r"[^A-Z0-9]", "", (check.algorithm or "").upper()))
    return sum_of if check.range in block.memory else None


def _sum_rule(out: DraftText, algorithm: str, item: Item | None) -> None:
    out.entry("check.rules")
    out.says(f"The file expects a checksum over memory: {algorithm}.")
    out.key("after", '"segment"')
    if item is None:
        out.gap("by", f"who compares it: no built-in strategy has {algorithm} over such a range (entry point "
                "check.NAME of otabench.flash_strategy). Take the rule out where it has another sum.")  # fmt: skip
        return
    out.key("by", '"routine"')
    _routine(out, "compares the sum")
    out.gap("option", f'what its record is put together from, in order: "{item}" and of "format", "address", "size", '
            f'"index", for example ["address", "size", "{item}"]. Another form is refused: 0x13, 0x31.')  # fmt: skip
    out.gap("answer", ANSWER)


def _proofs(block: SoftwareBlock) -> Iterator[str]:
    return (PROOF_OF[each.name] for each in block.signatures if each.data is not None and each.name in PROOF_OF)


def _proof_rule(out: DraftText, proof: str, blocks: Sequence[SoftwareBlock]) -> None:
    signed = [block for block in blocks if proof in _proofs(block)]
    methods = {each.method for block in signed for each in block.signatures if each.method}
    out.entry("check.rules")
    by = f" by {', '.join(sorted(methods))}" if methods else ""
    out.says(f"Signed{by}: {', '.join(block.name for block in signed)}. The key is the maker's; the ECU checks it.")
    _rule(out, "part", '"routine"')
    kinds = {block.kind is BlockKind.BOOTLOADER for block in signed}
    if len(signed) < len(blocks) and len(kinds) == 1:
        out.key("kind", '"bootloader"' if kinds == {True} else '"software"')
    _routine(out, "takes the signature")
    out.gap("option", f'what its record is put together from, in order: "{proof}", alone or with "index", "format", '
            f'"address", "size": ["{proof}"]. Another form is refused with 0x13.')  # fmt: skip
    out.gap("answer", ANSWER)


def _routine(out: DraftText, does: str) -> None:
    out.gap("routine", f"the identifier of the routine that {does} (31 01), for example 0x0202. Without it the ECU is "
            "not asked; take the rule out only where it has no such routine.")  # fmt: skip


def _complete(out: DraftText) -> None:
    out.entry("check.rules")
    out.says(
        "In VBF flashing 31 01 0205 says at last whether all parts are there and belong together. Take the rule out, "
        "and step check_software, where the ECU does not know it."
    )
    _rule(out, "all", '"routine"')
    out.key("routine", "0x0205")
    out.gap("answer", ANSWER)
