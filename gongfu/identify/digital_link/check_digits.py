"""Check digits and check character pairs of GS1 keys (GS1 General Specifications §7.9)."""

from functools import cache

from gongfu.identify.digital_link.character_sets import CSET_32, CSET_82

# Weights of the characters before the pair: as many as the longest value has.
_LONGEST = 97
_VALUES = {character: value for value, character in enumerate(CSET_82)}


def check_digit(digits: str) -> str:
    """Return the digit that belongs behind these: weights 3 and 1 by turns, from the right."""
    total = sum(int(digit) * (1 if position % 2 else 3) for position, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def check_pair(text: str) -> str:
    """Return the pair of characters that belongs behind a text of the set of 82: prime weights from the right, modulo
    1021.

    Raises:
        ValueError: the text is too long, or has other characters.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"at most {_LONGEST} characters have check characters")
    try:
        values = [_VALUES[character] for character in reversed(text)]
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} has no check characters") from None
    total = sum(value * prime for value, prime in zip(values, _primes(), strict=False)) % 1021
    return CSET_32[total >> 5] + CSET_32[total & 31]


@cache
def _primes() -> tuple[int, ...]:
    found: list[int] = []
    candidate = 2
    while len(found) < _LONGEST:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return tuple(found)
