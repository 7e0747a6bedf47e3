"""Quality of a value: one byte, the severity bits of an OPC UA StatusCode plus a reason.

Source: OPC 10000-4 §7.39 (StatusCode): bits 7-6 of the first byte are the severity, 00 good, 01 uncertain, 10 bad.
The low six bits are Gongfu's reason codes, so a whole column is one ``uint8`` array.
"""

from enum import IntEnum


class Quality(IntEnum):
    """Quality byte of one value."""

    GOOD = 0x00
    UNCERTAIN = 0x40
    UNCERTAIN_CLOCK = 0x41
    UNCERTAIN_SUBNORMAL = 0x42
    BAD = 0x80
    BAD_NOT_A_NUMBER = 0x81
    BAD_STALE = 0x82
    BAD_DEVICE = 0x83
    BAD_NO_DATA = 0x84


SEVERITY_MASK = 0xC0

NAMES: dict[str, Quality] = {"good": Quality.GOOD, "uncertain": Quality.UNCERTAIN, "bad": Quality.BAD}


def severity(quality: int) -> str:
    """Return ``"good"``, ``"uncertain"`` or ``"bad"`` for a quality byte."""
    bits = quality & SEVERITY_MASK
    return "good" if bits == Quality.GOOD else "uncertain" if bits == Quality.UNCERTAIN else "bad"


def parse_quality(text: str) -> Quality:
    """Return the quality named ``good``, ``uncertain`` or ``bad``.

    Raises:
        ValueError: the name is none of the three.
    """
    try:
        return NAMES[text]
    except KeyError:
        raise ValueError(f"quality must be good, uncertain or bad, not {text!r}") from None
