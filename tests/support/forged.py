"""Files of values by path with anything in them, as another program, damage or another version may leave them."""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import TYPE_CHECKING, Any

from multiprocessing_intenum.memory.words import SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

PLACE_AT, SIZE_AT, BEGINNING_AT, BODY_AT = 64, 72, 80, 128

LINE = f"multiprocessing-intenum file, layout 2, {sys.byteorder}-endian\n".encode()


def changed(content: bytes, at: int, to: bytes) -> bytes:
    return content[:at] + to + content[at + len(to) :]


def number(value: int) -> bytes:
    return struct.pack("@Q", value)


def place(at: int, length: int, generation: int = 0) -> bytes:
    """What the header says about a description."""
    return number(generation << 56 | at // 64 << 24 | length)


def forged(text: bytes, body: bytes = bytes(SIZE)) -> bytes:
    """Return a file with any bytes as its description and its body."""
    at = (BODY_AT + len(body) + 63) // 64 * 64
    header = (LINE.ljust(PLACE_AT, b"\0") + place(at, len(text)) + number(len(body))).ljust(BODY_AT, b"\0")
    return (header + body).ljust(at, b"\0") + text


def described(path: str) -> Any:
    """Return the description in a file."""
    with open(path, "rb") as file:
        return json.loads(text_in(file.read()))


def text_in(content: bytes) -> bytes:
    """Return the description in the content of a file, as it is written there."""
    (found,) = struct.unpack_from("@Q", content, PLACE_AT)
    at, length = (found >> 24 & 0xFFFFFFFF) * 64, found & 0xFFFFFF
    return content[at : at + length]


def with_text(content: bytes, text: bytes) -> bytes:
    """Return the content of a file with another description, at another place."""
    at = (len(content) + 63) // 64 * 64
    return changed(content.ljust(at, b"\0") + text, PLACE_AT, place(at, len(text), 1))


def describe(path: str, change: Callable[[Any], object]) -> None:
    """Change the description in a file, which may be in use."""
    found = described(path)
    change(found)
    with open(path, "r+b") as file:
        content = with_text(file.read(), json.dumps(found).encode())
        file.seek(0)
        file.write(content)


def made_by_hand(path: str, description: Any, body: bytes = b"") -> None:
    """Make a file of any description and body."""
    with open(path, "wb") as file:
        file.write(forged(json.dumps(description).encode(), body.ljust(SIZE, b"\0")))
    os.chmod(path, 0o600)
