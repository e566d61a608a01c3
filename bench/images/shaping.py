"""Merge, fill, align and check images for a user: refusals name file, ranges and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.errors import InputError
from bench.images.memory import AddressRange, MemoryImage
from bench.images.readers import MAX_IMAGE_BYTES


def merged(named: Sequence[tuple[str, MemoryImage]], *, later_wins: bool) -> MemoryImage:
    """Return several images (each with its file's name) as one.

    Where two claim the same addresses the later one wins, or, unless `later_wins`, `InputError` names both files,
    both segments and what they share.
    """
    whole = MemoryImage()
    for n, (file, image) in enumerate(named):
        common = whole.overlaps(image)
        if common and not later_wins:
            earlier = next(each for each in named[:n] if each[1].overlaps(image))
            raise _overlap(earlier, (file, image), len(common))
        whole = whole.overlay(image)
    _check_size(whole.size_bytes, ", ".join(file for file, _image in named))
    return whole


def _overlap(earlier: tuple[str, MemoryImage], later: tuple[str, MemoryImage], count: int) -> InputError:
    shared = earlier[1].overlaps(later[1])[0]
    first, second = (_segment_at(image, shared.start) for _file, image in (earlier, later))
    more = f", and {count - 1} more ranges" if count > 1 else ""
    return InputError(
        "two files claim the same addresses",
        file=f"{earlier[0]} and {later[0]}",
        found=f"{earlier[0]} has {first}, {later[0]} has {second}; both have {shared}{more}",
        allowed="files that do not overlap",
        hint="--later-wins takes the later file's bytes, --crop on convert cuts a file first",
    )


def _segment_at(image: MemoryImage, address: int) -> AddressRange:
    return next(each for each in image.ranges if each.start <= address < each.end)


def filled(image: MemoryImage, value: int, region: AddressRange | None = None, *, file: str) -> MemoryImage:
    """Fill the gaps between the segments, or all of `region`; `InputError` when that gives more than can be read."""
    ranges = image.ranges
    whole = region or AddressRange(ranges[0].start, ranges[-1].end)
    if whole.size_bytes > MAX_IMAGE_BYTES:
        raise InputError(
            "the image with its gaps filled is too large",
            file=file,
            found=str(whole),
            allowed=f"up to {MAX_IMAGE_BYTES} bytes",
            hint="choose a part with --crop START-END",
        )
    return MemoryImage.of([image.fill(whole.start, whole.end, value)])


def aligned(image: MemoryImage, unit_bytes: int, value: int, *, file: str) -> MemoryImage:
    """Fill every segment up to whole program units; `InputError` when that gives more than can be read."""
    _check_size(image.size_bytes + 2 * unit_bytes * len(image.segments), file)
    return image.aligned(unit_bytes, value)


def check_within(image: MemoryImage, named: Sequence[tuple[str, AddressRange]], *, file: str) -> None:
    """`InputError` with the ranges of `image` that lie in none of the named ranges; nothing named, nothing checked."""
    if not named:
        return
    outside = image
    for _name, region in named:
        outside = MemoryImage(
            tuple(
                segment.part(each.start, each.end)
                for segment in outside.segments
                for each in _without(segment.range, region)
            )
        )
    if outside.segments:
        ranges = outside.ranges
        more = f" and {len(ranges) - 4} more" if len(ranges) > 4 else ""
        raise InputError(
            "the image has data outside the allowed ranges",
            file=file,
            key="--within",
            found=", ".join(str(each) for each in ranges[:4]) + more,
            allowed=", ".join(f"{name} {region}" for name, region in named),
            hint="leave it out with --crop START-END, or choose the image made for this memory",
        )


def _without(whole: AddressRange, taken: AddressRange) -> list[AddressRange]:
    before = AddressRange(whole.start, min(whole.end, taken.start))
    after = AddressRange(max(whole.start, taken.end), whole.end)
    return [each for each in (before, after) if each.start < each.end]


def _check_size(size_bytes: int, file: str) -> None:
    if size_bytes > MAX_IMAGE_BYTES:
        allowed = f"up to {MAX_IMAGE_BYTES} bytes"
        raise InputError("the image is too large", file=file, found=f"{size_bytes} bytes", allowed=allowed)
