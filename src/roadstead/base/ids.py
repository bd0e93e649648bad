"""Names for new things, made from a seed: the same seed, the same names.

A shell draws the seed (from the operating system, or from a simulation's own stream) and hands
decisions an `Ids`; so a decision needs no randomness of its own and can be replayed.
"""

from __future__ import annotations

import hashlib


class Ids:
    """A stream of identifiers derived from a seed and a counter."""

    def __init__(self, seed: int) -> None:
        self._seed = seed.to_bytes(16, "big", signed=False)
        self._count = 0

    def _digest(self) -> bytes:
        self._count += 1
        return hashlib.blake2b(self._seed + self._count.to_bytes(8, "big"), digest_size=32).digest()

    def hex(self, digits: int = 32) -> str:
        """`digits` hexadecimal digits (at most 64), as ECS's task ids have 32."""
        return self._digest().hex()[:digits]

    def uuid(self) -> str:
        """A version 4 UUID in its usual form."""
        raw = bytearray(self._digest()[:16])
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        text = raw.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def digits(self, count: int = 19) -> str:
        """`count` decimal digits, the first of them not 0, as ECS's deployment ids have 19."""
        number = int.from_bytes(self._digest(), "big") % (9 * 10 ** (count - 1))
        return str(number + 10 ** (count - 1))

    def below(self, bound: int) -> int:
        """An even choice from 0 up to, not including, `bound` (which is at least 1)."""
        return int.from_bytes(self._digest()[:8], "big") % bound
