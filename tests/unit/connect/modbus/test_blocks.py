"""The optimiser: every value comes once and whole, within the limits, in no more requests than one by one."""

from hypothesis import given
from hypothesis import strategies as st

from gongfu.connect.modbus.addressing import BIT_TABLES, Spec, parse
from gongfu.connect.modbus.blocks import MAX_BITS, Block, plan, split

_where = st.builds(
    "{}/{}:{}".format,
    st.integers(1, 3),
    st.sampled_from(["coil", "discrete", "input", "holding"]),
    st.one_of(st.integers(0, 400), st.integers(0, 65_000)),
)
_typed = st.builds(
    "{}/{}:{}:{}".format,
    st.integers(1, 2),
    st.sampled_from(["input", "holding"]),
    st.one_of(st.integers(0, 300), st.integers(0, 65_000)),
    st.sampled_from(["uint16", "float32", "int64", "string9", "uint16.3"]),
)
_specs = st.lists(st.one_of(_where, _typed).map(lambda where: parse(where, 1, "abcd")), max_size=60)
_limits = st.tuples(st.integers(1, 125), st.integers(0, 40))


def check(blocks: list[Block], specs: list[Spec], members: list[int], most: int, gap: int) -> None:
    assert sorted(index for block in blocks for index in block.members) == sorted(members)
    for block in blocks:
        bits = block.table in BIT_TABLES
        mine = [specs[index] for index in block.members]
        assert all((spec.unit, spec.table) == (block.unit, block.table) for spec in mine)
        assert block.start == min(spec.start for spec in mine)
        assert block.start + block.size == max(spec.start + spec.size for spec in mine)
        # A single value may be longer than the limit; it cannot be asked for otherwise.
        assert block.size <= max(MAX_BITS if bits else most, *(spec.size for spec in mine))
        wanted = {n for spec in mine for n in range(spec.start, spec.start + spec.size)}
        run = longest = 0
        for n in range(block.start, block.start + block.size):
            run = 0 if n in wanted else run + 1
            longest = max(longest, run)
        assert longest <= (gap * 16 if bits else gap)


@given(_specs, _limits)
def test_every_value_once_and_whole(specs: list[Spec], limits: tuple[int, int]) -> None:
    blocks = plan(specs, *limits)
    check(blocks, specs, list(range(len(specs))), *limits)
    assert len(blocks) <= len(specs)


@given(_specs, _limits)
def test_a_refused_block_is_split_down_to_single_values(specs: list[Spec], limits: tuple[int, int]) -> None:
    waiting, single = plan(specs, *limits), 0
    for _ in range(10_000):
        if not waiting:
            break
        block = waiting.pop()
        parts = split(block, specs)
        if len(block.members) == 1:
            assert parts == []
            single += 1
            continue
        assert len(parts) > 1
        check(parts, specs, list(block.members), 125, 0)
        waiting += parts
    assert single == len(specs)


def test_neighbours_are_one_request() -> None:
    specs = [parse(f"holding:{n}", 1, "abcd") for n in range(250)]
    assert [block.size for block in plan(specs, 125, 0)] == [125, 125]
    spread = [parse(f"holding:{10 * n}:float32", 1, "abcd") for n in range(10)]
    assert len(plan(spread, 125, 8)) == 1
    assert len(plan(spread, 125, 7)) == 10
