"""Which identifiers are asked for, and how a DNS client, a Handle client and a web client ask.

The popularity of records is Zipf's with exponent 1: the n-th most popular is asked for 1/n times as often as the first.
Ranks are strewn over all enterprises. One in twenty asks for what is not there.
"""

import struct
from collections.abc import Sequence

import numpy as np

from benchmarks.identifier.inventory import RECORDS, enterprises, record_suffix
from benchmarks.identifier.records import prefix_name
from gongfu.identify.dns.names import labels_of
from gongfu.identify.handle.bodies import Resolution, encode_resolution
from gongfu.identify.handle.codes import OpCode
from gongfu.identify.handle.envelope import Envelope, Header, Message, encode_envelope, encode_message
from gongfu.identify.handle.names import HandleName

NEGATIVE_SHARE = 0.05
# A capital X.
_ABSENT = "_58"
_STEP = 7_919_777  # prime, and no divisor of any number of records


def zipf(divisor: int, count: int, seed: int) -> list[HandleName]:
    """Return names to ask for, of all records."""
    chosen, missing = zipf_numbers(divisor, count, seed)
    return [_name(number, absent) for number, absent in zip(chosen.tolist(), missing.tolist(), strict=True)]


def zipf_numbers(divisor: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of records to ask for, and whether what is asked for is not there but next to it."""
    generator = np.random.default_rng(seed)
    records = enterprises(divisor) * RECORDS
    # The inverse of the sum of 1/n, which is a logarithm.
    ranks = np.minimum(np.exp(generator.random(count) * np.log(records + 1)).astype(np.int64) - 1, records - 1)
    return ranks * _STEP % records, generator.random(count) < NEGATIVE_SHARE


def zipf_dns_names(divisor: int, count: int, seed: int, zone: str) -> list[str]:
    """Return what ``dns_name`` gives of the names of ``zipf``, for the many of them that warm a cache."""
    chosen, missing = zipf_numbers(divisor, count, seed)
    made = [
        f"_50{number:09d}{_ABSENT if absent else ''}._.{number // RECORDS % 1000 + 1}.{1000 + number // 4_000_000}.99"
        f".hdl.{zone}"
        for number, absent in zip(chosen.tolist(), missing.tolist(), strict=True)
    ]
    assert made[0] == dns_name(_name(int(chosen[0]), bool(missing[0])), zone)
    return made


def hot(divisor: int, different: int, count: int, seed: int) -> list[HandleName]:
    """Return names to ask for, each of a few records as often as any other."""
    generator = np.random.default_rng(seed)
    records = enterprises(divisor) * RECORDS
    few = [_name(int(number), False) for number in generator.integers(0, records, different)]
    return [few[place] for place in generator.integers(0, different, count)]


def uniform(divisor: int, count: int, seed: int) -> list[HandleName]:
    """Return names to ask for, of all records, each as likely as any other: nothing is asked for twice."""
    generator = np.random.default_rng(seed)
    return [_name(int(number), False) for number in generator.integers(0, enterprises(divisor) * RECORDS, count)]


def _name(record: int, absent: bool) -> HandleName:
    enterprise, number = divmod(record, RECORDS)
    return HandleName(prefix_name(enterprise), record_suffix(enterprise, number) + ("X" if absent else ""))


def dns_name(name: HandleName, zone: str) -> str:
    """Return the name that a DNS client asks for."""
    return b".".join(labels_of(name)).decode() + ".hdl." + zone


def handle_packet(name: HandleName, number: int) -> bytes:
    """Return a packet that asks for all values of a handle."""
    message = encode_message(Message(Header(OpCode.RESOLUTION, 0), encode_resolution(Resolution(str(name), (), ()))))
    return encode_envelope(Envelope(number, len(message), 0)) + message


def numbered(packets: Sequence[bytes]) -> list[bytes]:
    """Return Handle packets with the numbers of their requests: their places."""
    return [packet[:8] + struct.pack(">I", place) + packet[12:] for place, packet in enumerate(packets)]
