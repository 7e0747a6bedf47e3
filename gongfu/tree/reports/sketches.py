"""States of the measures that are sketches: Apache DataSketches, in its own bytes.

The library ends the process on damaged bytes of two of the three families (seen with 5.2: SIGSEGV of HLL and of
frequent items after a few random changes), so each state is checked here, whole, before the library sees it. HLL states
are kept in one canonical form, a function of the registers alone: merging gives the same bytes in any order.
"""

import functools
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.tree.reports.kinds import Form, Measure

LARGEST = 2**53 - 1
MAX_ITEM_BYTES = 64
_HLL, _TDIGEST, _FREQUENT = 7, 20, 10
_COMPACT, _OUT_OF_ORDER, _EMPTY_HLL = 8, 16, 4
_LIST, _SET, _DENSE = 8, 9, 10  # mode byte: coupon list, coupon set, registers; all with HLL_8 as the target
_TDIGEST_HEAD = struct.Struct("<BBBHBH")
_TDIGEST_MANY = struct.Struct("<IIdd")
_CENTROID = np.dtype([("mean", "<f8"), ("weight", "<u8")])
_FREQUENT_HEAD = struct.Struct("<BBBBBBHIIQQ")


class SketchError(ValueError):
    """The bytes are not a state of the sketch, or not of its size."""


@functools.cache
def _library() -> Any:
    # Loading costs 80 ms of CPU and most processes never merge a sketch.
    import datasketches  # pyright: ignore[reportMissingTypeStubs]

    return datasketches


def _dense_bytes(lg: int, registers: NDArray[np.uint8]) -> bytes:
    counts = np.bincount(registers, minlength=64)
    weights = [math.ldexp(float(n), -value) for value, n in enumerate(counts)]
    # Sums of few distinct powers of two: exact in double, whatever the order of the registers was.
    low, high = math.fsum(weights[:32]), math.fsum(weights[32:])
    lowest = int(registers.min())
    head = struct.pack("<BBBBBBBB", 10, 1, _HLL, lg, 0, _COMPACT | _OUT_OF_ORDER, 0, _DENSE)
    # With HLL_8 the library counts zero registers and keeps 0 as the lowest value.
    zeros = int(counts[0]) if lowest == 0 else 0
    return head + struct.pack("<dddII", 0.0, low, high, zeros, 0) + registers.tobytes()


def _sparse_bytes(lg: int, coupons: NDArray[np.uint32]) -> bytes:
    coupons = np.sort(coupons)
    n = len(coupons)
    if n < 8:
        flags = _COMPACT if n else _COMPACT | _EMPTY_HLL
        return struct.pack("<BBBBBBBB", 2, 1, _HLL, lg, 3, flags, n, _LIST) + coupons.astype("<u4").tobytes()
    array = next(a for a in range(5, 32) if 4 * n <= 3 << a)
    head = struct.pack("<BBBBBBBBI", 3, 1, _HLL, lg, array, _COMPACT, 0, _SET, n)
    return head + coupons.astype("<u4").tobytes()


def _canonical_distinct(lg: int, data: bytes) -> bytes:
    """Return the canonical form of bytes whose structure is a sketch of the library with target HLL_8."""
    mode = data[7] if len(data) >= 8 else -1
    if mode == _DENSE and len(data) == 40 + (1 << lg):
        registers = np.frombuffer(data, dtype=np.uint8, offset=40)
        if registers.max() > 63:
            raise SketchError("a register is beyond 63")
        return _dense_bytes(lg, registers)
    start = {_LIST: 8, _SET: 12}.get(mode)
    if start is None or len(data) < start or (len(data) - start) % 4 or len(data) > start + 4 * (1 << lg):
        raise SketchError("not a distinct count of this size")
    coupons = np.frombuffer(data, dtype="<u4", offset=start)
    if len(np.unique(coupons)) != len(coupons) or (len(coupons) and int(coupons.min()) < 1 << 26):
        raise SketchError("coupons are repeated or empty")
    if mode == _SET and lg < 8:
        raise SketchError("a sketch of this size has no coupon set")
    result = _sparse_bytes(lg, coupons)
    if result[7] == _SET and result[4] > lg - 3:
        raise SketchError("more coupons than fit")
    return result


def _check_distinct(lg: int, data: bytes) -> None:
    if _canonical_distinct(lg, data) != data:
        raise SketchError("not the canonical form of a distinct count")


def _check_quantiles(k: int, data: bytes) -> None:
    if len(data) < 8:
        raise SketchError("shorter than its head")
    longs, version, family, size, flags, unused = _TDIGEST_HEAD.unpack_from(data)
    if (version, family, size, unused) != (1, _TDIGEST, k, 0):
        raise SketchError("not a t-digest of this size")
    empty, single = bool(flags & 1), bool(flags & 2)
    if flags & ~7 or (empty and single) or longs != (1 if empty or single else 2):
        raise SketchError("flags of the t-digest are wrong")
    if empty or single:
        value = b"" if empty else data[8:]
        if len(data) != (8 if empty else 16) or (single and not math.isfinite(struct.unpack("<d", value)[0])):
            raise SketchError("the t-digest has another length, or its value is not finite")
        return
    if len(data) < 8 + _TDIGEST_MANY.size:
        raise SketchError("shorter than its head")
    centroids, buffered, least, most = _TDIGEST_MANY.unpack_from(data, 8)
    if buffered or not 1 <= centroids <= 2 * k + 30 or len(data) != 32 + 16 * centroids:
        raise SketchError("the t-digest has another length than it says")
    rows = np.frombuffer(data, dtype=_CENTROID, offset=32)
    means, weights = rows["mean"], rows["weight"]
    if not (np.isfinite(least) and np.isfinite(most) and np.isfinite(means).all()):
        raise SketchError("a value is not finite")
    if least > most or means.min() < least or means.max() > most or (np.diff(means) < 0).any():
        raise SketchError("centroids are not in order")
    if weights.min() < 1 or weights.max() > LARGEST or float(weights.astype(np.float64).sum()) > LARGEST:
        raise SketchError("weights are out of range")


def _read_top(lg: int, data: bytes) -> tuple[int, int, list[tuple[str, int]]]:
    """Return total weight, offset, and items with their weights."""
    if len(data) < 8:
        raise SketchError("shorter than its head")
    if len(data) == 8:
        if data != struct.pack("<BBBBBBH", 1, 1, _FREQUENT, lg, 3, 5, 0):
            raise SketchError("not frequent items of this size")
        return 0, 0, []
    if len(data) < _FREQUENT_HEAD.size:
        raise SketchError("shorter than its head")
    longs, version, family, size, array, flags, unused, n, zero, total, offset = _FREQUENT_HEAD.unpack_from(data)
    if (longs, version, family, size, flags, unused, zero) != (4, 1, _FREQUENT, lg, 0, 0, 0):
        raise SketchError("not frequent items of this size")
    if not 3 <= array <= lg or not 1 <= n <= (3 << array) // 4 or len(data) < _FREQUENT_HEAD.size + 12 * n:
        raise SketchError("the number of items does not fit")
    weights = np.frombuffer(data, dtype="<u8", count=n, offset=_FREQUENT_HEAD.size)
    if total > LARGEST or offset > total or weights.min() < 1 or weights.max() > total or sum(weights.tolist()) > total:
        raise SketchError("weights are out of range")
    position, items = _FREQUENT_HEAD.size + 8 * n, []
    for weight in weights.tolist():
        length = struct.unpack_from("<I", data, position)[0] if position + 4 <= len(data) else MAX_ITEM_BYTES + 1
        position += 4 + length
        if length > MAX_ITEM_BYTES or position > len(data):
            raise SketchError("an item is longer than it may be")
        try:
            items.append((data[position - length : position].decode(), weight))
        except UnicodeDecodeError:
            raise SketchError("an item is not UTF-8") from None
    if position != len(data) or len({item for item, _ in items}) != n:
        raise SketchError("items are repeated, or something follows them")
    return total, offset, items


def check_sketch(measure: Measure, data: bytes) -> None:
    """Check that bytes are a state of a measure; only then may they be merged or read.

    Raises:
        SketchError: they are not.
    """
    size = measure.sketch_size
    if measure.form is Form.DISTINCT:
        _check_distinct(size, data)
    elif measure.form is Form.QUANTILES:
        _check_quantiles(size, data)
    else:
        _read_top(size, data)


def sketch_distinct(measure: Measure, items: Sequence[str]) -> bytes:
    """Return the state of a distinct count of items."""
    library = _library()
    sketch = library.hll_sketch(measure.sketch_size, library.HLL_8)
    for item in items:
        sketch.update(item)
    return _canonical_distinct(measure.sketch_size, sketch.serialize_compact())


def sketch_quantiles(measure: Measure, values: Sequence[float] | NDArray[np.float64]) -> bytes:
    """Return the state of quantiles of finite values.

    Raises:
        SketchError: a value is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise SketchError("a value is not finite")
    sketch = _library().tdigest_double(measure.sketch_size)
    if len(array):
        sketch.update(array)
    return sketch.serialize()


def sketch_top(measure: Measure, weights: Sequence[tuple[str, int]]) -> bytes:
    """Return the state of the heaviest items, of (item, weight ≥ 1).

    Raises:
        SketchError: an item is longer than 64 bytes, or a weight is out of range.
    """
    sketch = _library().frequent_strings_sketch(measure.sketch_size)
    for item, weight in weights:
        if len(item.encode()) > MAX_ITEM_BYTES or not 1 <= weight <= LARGEST:
            raise SketchError("an item is too long, or its weight is out of range")
        sketch.update(item, weight)
    if sketch.total_weight > LARGEST:
        raise SketchError("the weights together are out of range")
    return sketch.serialize()


def merge_sketches(measure: Measure, states: Sequence[bytes]) -> bytes:
    """Return the state of all inputs of checked states together; one state comes back as it is.

    Raises:
        SketchError: the weights together are out of range.
    """
    if len(states) == 1:
        return states[0]
    library, size = _library(), measure.sketch_size
    if measure.form is Form.DISTINCT:
        union = library.hll_union(size)
        for state in states:
            union.update(library.hll_sketch.deserialize(state))
        return _canonical_distinct(size, union.get_result(library.HLL_8).serialize_compact())
    family = library.tdigest_double if measure.form is Form.QUANTILES else library.frequent_strings_sketch
    merged = family(size)
    for state in states:
        merged.merge(family.deserialize(state))
    total = merged.get_total_weight() if measure.form is Form.QUANTILES else merged.total_weight
    if total > LARGEST:
        raise SketchError("the weights together are out of range")
    return merged.serialize()


def distinct_estimate(state: bytes) -> tuple[float, float, float]:
    """Return the estimate of a checked distinct count and its bounds at two standard deviations."""
    sketch = _library().hll_sketch.deserialize(state)
    return sketch.get_estimate(), sketch.get_lower_bound(2), sketch.get_upper_bound(2)


def quantile_values(state: bytes, ranks: Sequence[float]) -> list[float]:
    """Return the values at ranks between 0 and 1 of a checked state; empty when nothing was counted."""
    sketch = _library().tdigest_double.deserialize(state)
    return [] if sketch.is_empty() else [float(sketch.get_quantile(rank)) for rank in ranks]


def top_items(measure: Measure, state: bytes, n: int) -> list[tuple[str, int, int]]:
    """Return the n heaviest items of a checked state: item, least and largest weight it can have; ties by name."""
    _, offset, items = _read_top(measure.sketch_size, state)
    ranked = sorted(items, key=lambda entry: (-entry[1], entry[0]))
    return [(item, weight, weight + offset) for item, weight in ranked[:n]]
