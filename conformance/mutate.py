"""Messages spoilt in the ways that senders, networks and enemies spoil them: the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from gateway.adapters.mllp.framing import END, START

_PIECES = (
    *(b"\r", b"\n", b"\r\n", b"\x0b", b"\x1c\r", b"\x1c", b"\x1a", b"\0", b" ", b"\t", b"\xef\xbb\xbf", b"\xff\xfe"),
    *(b"|", b"^", b"~", b"\\", b"&", b"#", b'""', b"||||||||", b"^^^^", b"~~~~", b"&&&&", b"|\r|", b"\r|", b"|\n|"),
    *(b"\\F\\", b"\\X0D0A\\", b"\\X", b"\\X1C0D\\", b"\\.br\\", b"\\.sp99999\\", b"\\M2442\\", b"\\C2842\\", b"\\Z\\"),
    *(b"MSH|^~\\&|", b"\rMSH|", b"\rMSH", b"FHS|^~\\&|\r", b"\rBHS|^~\\&\r", b"\rBTS|7\r", b"\rFTS|x\r", b"MSH|||\r"),
    *(
        b"\rPV1|1|I",
        b"FT1|1|",
        b"\rDG1|1||",
        b"\rpid |1||7",
        b"\rZZZ",
        b"\rMRG|",
        b"\rFT1",
        b"PR1|2|",
        b"\rOBX|1|ED|||",
    ),
    *(b"20260231", b"99999999999999", b"-1e9", b"1E999999", b"NaN", b"0x1F", b"20260101246060+9999", b"Infinity"),
    *(
        "é".encode(),
        b"\xe9",
        b"\xc3",
        b"\xed\xa0\x80",
        "\u2028\u0085".encode(),
        "𝄞".encode(),
        b"\x1b$B;3ED\x1b(B",
        b"\x81",
    ),
)
"""What turns up where it does not belong."""
_CHARSETS = (
    "",
    "ASCII",
    "8859/1",
    "8859/7",
    "UNICODE UTF-8",
    "UNICODE UTF-16",
    "~ISO IR87",
    "GB 18030-2000",
    "BIG-5",
    "X",
)
_ENCODINGS = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "latin-1",
    "cp932",
    "gb18030",
    "utf-32",
    "cp500",
)
_SIGNS = b"!\"#$%'()*+,-./:;<=>?@[]_`{}^~\\&|"
_LONGEST = 200_000

Chance = random.Random
Mutation = Callable[[Chance, bytes, Sequence[bytes]], bytes]


def _span(chance: Chance, data: bytes) -> tuple[int, int]:
    """A place in `data` and another a little after it."""
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + int(chance.expovariate(0.05)))


def _bits(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    spoilt = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        if spoilt:
            spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def _noise(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    start, end = _span(chance, data)
    return data[:start] + chance.randbytes(chance.randint(1, 40)) + data[end:]


def _piece(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice(_PIECES) + data[at:]


def _value(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    """A field that holds something else."""
    fields = data.split(b"|")
    fields[chance.randrange(len(fields))] = chance.choice(_PIECES) * chance.choice((1, 1, 1, 2, 9))
    return b"|".join(fields)


def _gone(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    start, end = _span(chance, data)
    return data[:start] + data[end:]


def _again(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    start, end = _span(chance, data)
    return data[:end] + data[start:end] * chance.choice((1, 1, 1, 10, 1000)) + data[end:]


def _cut(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] if chance.random() < 0.7 else data[at:]


def _spliced(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    other = chance.choice(others)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


def _followed(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    return data + chance.choice((b"", b"\r\n", b"\x1c\r\x0b", b"BTS|1\r")) + chance.choice(others)


def _shuffled(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    head, *lines = data.split(b"\r")
    chance.shuffle(lines)
    return b"\r".join((head, *lines[: chance.randint(0, len(lines))], *lines[:3]))


def _ended(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    """Other line ends, everywhere or in places."""
    ends = (
        (b"\n", b"\r\n", b"\n\r", b"", b"\r\r", b"\n|") if chance.random() < 0.5 else (chance.choice((b"\n", b"\r\n")),)
    )
    return b"".join(line + chance.choice(ends) for line in data.split(b"\r"))


def _signed(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    """Other delimiters: everywhere, or in MSH-2 alone."""
    sign = bytes((chance.choice(_SIGNS),))
    if chance.random() < 0.5:
        return data.replace(bytes((chance.choice(b"|^~\\&"),)), sign)
    return data.replace(b"^~\\&", bytes(chance.choices(_SIGNS + b" aA1\xc3\xa7\0", k=chance.randint(0, 9))), 1)


def _encoded(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    return data.decode("latin-1").encode(chance.choice(_ENCODINGS), "replace")


def _charset(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    head, end, rest = data.partition(b"\r")
    fields = [*head.split(b"|")[:17], *[b""] * 17][:17]
    return b"|".join((*fields, chance.choice(_CHARSETS).encode())) + end + rest


def _typed(chance: Chance, data: bytes, others: Sequence[bytes]) -> bytes:
    """The body of one type under the name of another."""
    head, end, rest = data.partition(b"\r")
    fields, other = head.split(b"|"), chance.choice(others).partition(b"\r")[0].split(b"|")
    if len(fields) > 8 and len(other) > 8:
        fields[8] = other[8]
    return b"|".join(fields) + end + rest


MUTATIONS: tuple[Mutation, ...] = (
    *(_bits, _noise, _piece, _piece, _value, _value, _gone, _again, _cut, _spliced),
    *(_followed, _shuffled, _ended, _signed, _encoded, _charset, _typed, _typed),
)


def mutated(messages: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Messages without end, each made of one of `messages` by one to five mutations; at most 200,000 bytes long."""
    chance = random.Random(seed)  # noqa: S311 - the same ones each time, and no secret
    while True:
        data = chance.choice(messages)
        for _ in range(min(5, 1 + int(chance.expovariate(0.9)))):
            data = chance.choice(MUTATIONS)(chance, data, messages)[:_LONGEST]
        yield data


def framed(messages: Iterator[bytes], seed: int) -> Iterator[bytes]:
    """Each of `messages` in an MLLP frame; of some, the frame itself is spoilt."""
    chance = random.Random(seed)  # noqa: S311 - the same ones each time, and no secret
    for data in messages:
        frame = START + data + END
        yield _bits(chance, frame, ()) if chance.random() < 0.02 else frame
