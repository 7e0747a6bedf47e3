import struct
import zlib

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.tree.reports.cells import Cell, CellError, CellReason, columns_of, concatenate, withdrawn
from gongfu.tree.reports.decoder import Decoder
from gongfu.tree.reports.encoder import Encoder
from gongfu.tree.reports.kinds import Form, Measure, ReportKind
from gongfu.tree.reports.planes import PlaneError, PlaneReader, pack_column
from gongfu.tree.reports.wire import CodecError, CodecReason, Wire
from tests.unit.tree.reports.samples import KIND, MEASURES, MINUTE, PERIODIC, cells_of, content

keys = st.tuples(st.sampled_from(["110000", "440100", "粤"]), st.sampled_from(["on", "off"]))
enterprises = st.frozensets(st.sampled_from("abcde"), min_size=1)
snapshots = st.dictionaries(st.tuples(st.just(0), keys), st.tuples(st.integers(0, 2**40), enterprises))
minutes = st.dictionaries(
    st.tuples(st.sampled_from([0, MINUTE, 7 * MINUTE]), keys), st.tuples(st.integers(0, 300), enterprises)
)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_columns_survive_their_planes(values: list[int]) -> None:
    column = np.array(values, dtype=np.int64)
    reader = PlaneReader(pack_column(column) + b"x")
    assert (reader.column(len(values)) == column).all()
    with pytest.raises(PlaneError):
        reader.end()
    with pytest.raises(PlaneError):
        PlaneReader(pack_column(column)[:-1]).column(len(values))


@given(
    st.sampled_from([(KIND, snapshots), (PERIODIC, minutes)]).flatmap(
        lambda c: st.tuples(st.just(c[0]), st.lists(c[1]))
    )
)
@settings(max_examples=60, deadline=None)
def test_a_stream_of_batches_is_read_as_it_was_written(case: tuple[ReportKind, list]) -> None:
    kind, batches = case
    encoder, decoder = Encoder(kind, 3), Decoder(kind)
    before: dict = {}
    for i, facts in enumerate(batches):
        gone = [name for name in before if name not in facts]
        cells = concatenate(
            kind, [cells_of(kind, facts), *(withdrawn(kind, period, [key]) for period, key in sorted(gone))]
        )
        data = encoder.encode(cells, 1000 + i, complete=(0, i + 1), coverage=[(0, 1, 2)])
        statement = decoder.decode(data)
        assert statement is not None
        assert (statement.epoch, statement.sequence, statement.as_of) == (3, i + 1, 1000 + i)
        assert (statement.complete, statement.coverage) == ((0, i + 1), ((0, 1, 2),))
        assert content(statement.cells) == content(cells)
        assert len(statement.cells) == len(cells)
        assert decoder.decode(data) is None
        before = facts


def test_what_did_not_change_is_not_sent_again() -> None:
    encoder, decoder = Encoder(KIND, 1), Decoder(KIND)
    facts = {(0, ("110000", "on")): (5, frozenset("a")), (0, ("110000", "off")): (6, frozenset("b"))}
    decoder.decode(encoder.encode(cells_of(KIND, facts), 10))
    facts[0, ("110000", "off")] = (7, frozenset("b"))
    statement = decoder.decode(encoder.encode(cells_of(KIND, facts), 20))
    assert statement is not None
    assert statement.cells.keys == [("110000", "off")]


def test_other_contributors_or_a_withdrawn_cell_are_sent_although_no_number_changed() -> None:
    encoder, decoder = Encoder(KIND, 1), Decoder(KIND)
    for who, present in ((("a",), True), (("a", "b"), True), (("b",), True), (("b",), False)):
        cell = Cell(kind=KIND.name, keys=("x", "on"), nodes=0, contributors=tuple(map(ord, who)), present=present)
        statement = decoder.decode(encoder.encode(columns_of(KIND, [cell]), 1))
        assert statement is not None
        assert statement.cells.cell(0) == cell


def test_a_cell_that_lags_keeps_its_time_and_a_fresh_one_follows_the_batch() -> None:
    cells = columns_of(
        KIND,
        [
            Cell(kind=KIND.name, keys=("a", "on"), measures={"devices": 1}, as_of=400),
            Cell(kind=KIND.name, keys=("b", "on"), measures={"devices": 1}),
        ],
    )
    statement = Decoder(KIND).decode(Encoder(KIND, 1).encode(cells, 1000))
    assert statement is not None
    assert statement.cells.as_of.tolist() == [400, 0]


def _stream(n: int = 4) -> list[bytes]:
    encoder = Encoder(KIND, 1)
    out = []
    for i in range(n):
        facts = {
            (0, (region, "on")): (10 * i + j, frozenset("abc"[: j + 1])) for j, region in enumerate(["x", "y", "z"])
        }
        out.append(encoder.encode(cells_of(KIND, facts), 100 + i))
    return out


def test_a_gap_and_another_base_are_noticed_and_a_new_epoch_helps() -> None:
    batches = _stream()
    decoder = Decoder(KIND)
    decoder.decode(batches[0])
    with pytest.raises(CodecError) as caught:
        decoder.decode(batches[2])
    assert caught.value.reason is CodecReason.GAP
    other = Encoder(KIND, 1)
    other.encode(cells_of(KIND, {(0, ("x", "on")): (77, frozenset("a"))}), 100)
    with pytest.raises(CodecError) as caught:
        decoder.decode(other.encode(cells_of(KIND, {(0, ("x", "on")): (78, frozenset("a"))}), 101))
    assert caught.value.reason is CodecReason.BASE
    assert decoder.decode(batches[1]) is not None
    again = Encoder(KIND, 2).encode(cells_of(KIND, {(0, ("x", "on")): (9, frozenset("a"))}), 100)
    statement = decoder.decode(again)
    assert statement is not None
    assert statement.epoch == 2
    assert decoder.decode(batches[2]) is None


@given(st.integers(0, 3), st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_are_refused_and_change_nothing(at: int, data: st.DataObject) -> None:
    batches = _stream()
    decoder = Decoder(KIND)
    for batch in batches[:at]:
        decoder.decode(batch)
    bad = bytearray(batches[at])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(bad) - 1))
        bad[place] ^= data.draw(st.integers(1, 255))
    if bytes(bad) == batches[at]:
        return
    with pytest.raises(CodecError) as caught:
        decoder.decode(bytes(bad))
    assert caught.value.reason is CodecReason.DAMAGED
    for batch in batches[at:]:
        assert decoder.decode(batch) is not None


def _rewritten(batch: bytes, **what: object) -> bytes:
    wire = msgspec.structs.replace(msgspec.msgpack.decode(batch[8:], type=Wire), **what)
    packed = msgspec.msgpack.encode(wire)
    return struct.pack("<4sI", b"GFR1", zlib.crc32(packed)) + packed


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_hostile_sender_with_a_right_checksum_gets_an_error_and_nothing_else(data: st.DataObject) -> None:
    batch = _stream(1)[0]
    wire = msgspec.msgpack.decode(batch[8:], type=Wire)
    raw = bytearray(zlib.decompress(wire.body))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    decoder = Decoder(KIND)
    try:
        statement = decoder.decode(_rewritten(batch, body=zlib.compress(bytes(raw)), size=len(raw)))
    except CodecError:
        assert decoder.position == (0, 0)
        assert decoder.decode(batch) is not None
        return
    assert statement is not None
    for i in range(len(statement.cells)):
        statement.cells.cell(i)


BOMB = zlib.compress(bytes(80 << 20))


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"kind": "other"}, CodecReason.KIND),
        ({"rows": 10**6}, CodecReason.LIMIT),
        ({"rows": 90_000}, CodecReason.DAMAGED),
        ({"rows": -1}, CodecReason.DAMAGED),
        ({"size": 10**9}, CodecReason.LIMIT),
        ({"body": BOMB}, CodecReason.DAMAGED),
        ({"body": BOMB, "size": 80 << 20}, CodecReason.LIMIT),
        ({"body": b"x"}, CodecReason.DAMAGED),
        ({"epoch": 2**60}, CodecReason.LIMIT),
        ({"epoch": 0}, CodecReason.LIMIT),
        ({"sequence": 5}, CodecReason.GAP),
        ({"base": 1}, CodecReason.BASE),
        ({"measures": [("devices", "sum")]}, CodecReason.MEASURES),
        ({"measures": [("devices", "nonsense")]}, CodecReason.MEASURES),
        ({"measures": [("devices", "count")] * 2}, CodecReason.MEASURES),
        ({"least": 10**9}, CodecReason.LIMIT),
        ({"values": []}, CodecReason.DAMAGED),
        ({"values": [["x"], ["on"]]}, CodecReason.DAMAGED),
        ({"values": [["x", "x", "x"], ["on"]]}, CodecReason.DAMAGED),
        ({"values": [["x", "y", "z" * 65], ["on"]]}, CodecReason.CELLS),
        ({"values": [["x", "y", "\0"], ["on"]]}, CodecReason.CELLS),
        ({"coverage": [(0, 2, 1)]}, CodecReason.LIMIT),
        ({"complete": (0, 99)}, CodecReason.DAMAGED),
        ({"as_of": -1}, CodecReason.DAMAGED),
    ],
)
def test_each_number_of_the_head_is_checked(what: dict[str, object], reason: CodecReason) -> None:
    decoder = Decoder(KIND)
    with pytest.raises(CodecError) as caught:
        decoder.decode(_rewritten(_stream(1)[0], **what))
    assert caught.value.reason is reason
    assert decoder.decode(_stream(1)[0]) is not None


@pytest.mark.parametrize("data", [b"", b"GFR1", bytes(8), b"GFR1" + bytes(100), bytes((8 << 20) + 1)])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        Decoder(KIND).decode(data)


def test_versions_with_more_and_fewer_measures_read_each_other() -> None:
    newer = msgspec.structs.replace(
        KIND, version=2, measures=(Measure(name="alarms", form=Form.COUNT), *MEASURES), least_contributors=4
    )
    cells = columns_of(newer, [Cell(kind=KIND.name, keys=("x", "on"), measures={"alarms": 4, "devices": 7})])
    statement = Decoder(KIND).decode(Encoder(newer, 1).encode(cells, 5))
    assert statement is not None
    assert statement.unknown_measures == 1
    assert statement.cells.cell(0).measures == {"devices": 7}
    older = cells_of(KIND, {(0, ("x", "on")): (3, frozenset("ab"))})
    back = Decoder(newer).decode(Encoder(KIND, 1).encode(older, 5))
    assert back is not None
    # The older sender knows of no alarms: absent, not zero.
    assert "alarms" not in back.cells.cell(0).measures
    assert back.cells.cell(0).measures["devices"] == 3
    assert len(back.cells.cell(0).contributors) == 2


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"keys": ("x",)}, CellReason.KEY),
        ({"keys": ("x" * 65, "on")}, CellReason.KEY),
        ({"period": 5}, CellReason.PERIOD),
        ({"silent": 2}, CellReason.COVERAGE),
        ({"as_of": -1}, CellReason.COVERAGE),
    ],
)
def test_a_wrong_cell_is_refused(what: dict[str, object], reason: CellReason) -> None:
    cell = msgspec.structs.replace(Cell(kind=KIND.name, keys=("x", "on"), measures={"devices": 1}), **what)
    with pytest.raises(CellError) as caught:
        columns_of(KIND, [cell])
    assert caught.value.reason is reason


def test_a_cell_is_there_once() -> None:
    cell = Cell(kind=KIND.name, keys=("x", "on"), measures={"devices": 1})
    with pytest.raises(CellError) as caught:
        columns_of(KIND, [cell, cell])
    assert caught.value.reason is CellReason.REPEATED


def test_a_minute_of_160_000_devices_costs_less_than_a_byte_a_device() -> None:
    kind = ReportKind(
        name="devices.state",
        period=60,
        keys=("region", "industry", "state"),
        measures=(Measure(name="devices", form=Form.COUNT),),
    )
    rng = np.random.default_rng(5)
    names = [(f"44{r:04d}", f"C{i}", s) for r in range(60) for i in range(20) for s in ("on", "off", "alarm", "repair")]
    counts = rng.multinomial(160_000, rng.dirichlet(np.ones(len(names)))).astype(np.int64)
    encoder, total = Encoder(kind, 1), 0
    for minute in range(5):
        cells = columns_of(
            kind,
            [
                Cell(
                    kind=kind.name,
                    period=minute * MINUTE,
                    keys=key,
                    measures={"devices": n},
                    contributors=(1 + names.index(key), 2**61, 2**62),
                )
                for key, n in zip(names, np.maximum(counts + rng.integers(-9, 10, len(names)), 0).tolist(), strict=True)
            ],
        )
        total += len(encoder.encode(cells, minute * MINUTE))
    # The first statement with all names is in it.
    assert total < 0.5 * 160_000 * 5
