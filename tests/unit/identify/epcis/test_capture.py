"""Capture and the store: jobs, repetition, errors, what is there after a crash."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from gongfu.identify.epcis.capture import BusyError, Capture, DocumentError, Limits, TooMuchError, read_document
from gongfu.identify.epcis.jobs import PROCEED, find_job, jobs_before
from gongfu.identify.epcis.rows import Field, Role
from gongfu.identify.epcis.store import EventStore
from tests.unit.identify.epcis.corpora import FILES, events_of, needs_corpora
from tests.unit.identify.epcis.made import CONTEXT, document, event, item, lot, observed, packed
from tests.unit.identify.epcis.opened import opened


def test_events_are_stored_once(tmp_path: Path) -> None:
    named = observed(1, item(1), eventID="urn:uuid:1", bizStep="shipping")
    unnamed = observed(2, item(2))
    with opened(tmp_path / "store") as it:
        first = it.take(document(named, unnamed, unnamed))
        assert (first.success, first.captured_count, first.repeated_count) == (True, 2, 1)
        # Again, in other words and another order.
        again = it.take(
            document(
                {**unnamed, "eventTime": "2026-03-01T08:00:02+08:00"},
                {**dict(reversed(named.items())), "bizStep": "https://ref.gs1.org/cbv/BizStep-shipping"},
            )
        )
        assert (again.success, again.captured_count, again.repeated_count) == (True, 0, 2)
        assert it.store.head == 2
        assert list(it.store.with_value(Field.BIZ_STEP, "https://ref.gs1.org/cbv/BizStep-shipping")) == [1]
        assert [mention[1:] for mention in it.store.mentions(item(2))] == [(2, Role.OBJECT)]
        stored = it.store.event(2)
        assert stored is not None
        shown = orjson.loads(stored.document)
        assert shown["eventID"].startswith("ni:///sha-256;")
        assert shown["recordTime"].startswith("20")


def test_an_id_of_another_event_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as it:
        it.take(document(observed(1, item(1), eventID="urn:uuid:1")))
        other = observed(1, item(2), eventID="urn:uuid:1")
        done = it.take(document(observed(3, item(3)), other), PROCEED)
        assert (done.success, done.captured_count, done.error_count) == (False, 1, 1)
        assert done.errors[0].instance == "/epcisBody/eventList/1/eventID"
        assert it.store.head == 2


def test_rollback_stores_nothing_and_proceed_what_is_right(tmp_path: Path) -> None:
    body = document(
        observed(1, item(1)), observed(2, item(2), bizStep="transforming"), {"type": "ObjectEvent"}, {"type": 5}
    )
    with opened(tmp_path / "store") as it:
        rolled_back = it.take(body)
        assert (rolled_back.success, rolled_back.captured_count, rolled_back.error_count) == (False, 0, 3)
        assert it.store.head == 0
        assert [error.instance for error in rolled_back.errors] == [
            "/epcisBody/eventList/1/bizStep",
            "/epcisBody/eventList/2",
            "/epcisBody/eventList/3/type",
        ]
        proceeded = it.take(body, PROCEED)
        assert (proceeded.success, proceeded.captured_count, proceeded.error_count) == (False, 1, 3)
        assert it.store.head == 1


@pytest.mark.parametrize("first", ["event", "declaration"])
def test_an_error_declaration_has_its_events_identity(tmp_path: Path, first: str) -> None:
    right = observed(1, item(1), eventID="urn:uuid:1")
    wrong = {**right, "errorDeclaration": {"declarationTime": "2026-03-02T00:00:00Z", "reason": "did_not_occur"}}
    unnamed = observed(5, item(5))
    with opened(tmp_path / "store") as it:
        bodies = [document(right, unnamed), document(wrong, {**unnamed, "errorDeclaration": wrong["errorDeclaration"]})]
        for body in bodies if first == "event" else reversed(bodies):
            assert it.take(body).captured_count == 2
        assert all(it.store.disregarded(number) for number in (1, 2, 3, 4))
        assert it.take(bodies[1]).repeated_count == 2
        it.take(document(observed(9, item(9))))
        assert not it.store.disregarded(5)


def test_the_frame_is_judged_before_there_is_a_job() -> None:
    for body in (b"", b"{", b"[]", b"5", b'{"type": "EPCISDocument"}', b'{"type": "ObjectEvent"}', b"\xff", b"{} {}"):
        with pytest.raises(DocumentError):
            read_document(body, Limits())
    with pytest.raises(DocumentError, match="creationDate"):
        read_document(document(observed(1), creationDate="yesterday"), Limits())
    with pytest.raises(TooMuchError):
        read_document(document(observed(1), observed(2)), Limits(events=1))
    with pytest.raises(TooMuchError):
        read_document(document(observed(1)), Limits(bytes=10))
    assert len(read_document(orjson.dumps({**observed(1), "@context": CONTEXT}), Limits()).events) == 1
    deep = b"[" * 600 + b"]" * 600
    body = document(observed(1, item(1), **{"example:deep": 1})).replace(b'"example:deep":1', b'"example:deep":' + deep)
    assert read_document(body, Limits()).events


def test_what_is_nested_too_deeply_is_an_error_of_its_event(tmp_path: Path) -> None:
    deep = b"[" * 600 + b"]" * 600
    body = document(observed(1, item(1), **{"example:deep": 1}), observed(2, item(2)))
    with opened(tmp_path / "store") as it:
        done = it.take(body.replace(b'"example:deep":1', b'"example:deep":' + deep), PROCEED)
        assert (done.captured_count, done.error_count) == (1, 1)
        assert "levels deep" in done.errors[0].detail


@needs_corpora
def test_the_corpora_are_captured(tmp_path: Path) -> None:
    count = 0
    with opened(tmp_path / "store") as it:
        for path in FILES:
            value = orjson.loads(path.read_bytes())
            if "Invalid" in path.name or "type" not in value:
                continue
            done = it.take(path.read_bytes(), PROCEED)
            # Examples reuse the identifiers of each other's events.
            assert all("that of another event" in error.detail for error in done.errors), (path.name, done.errors)
            assert done.captured_count + done.repeated_count + done.error_count == len(events_of(value))
            count += done.captured_count
        assert it.store.head == count > 40


async def test_jobs_of_a_running_capture(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "store")
    heads = list[int]()
    capture = Capture(store, on_stored=heads.append)
    try:
        jobs = [await capture.submit(document(observed(n, item(n))), owner="me") for n in range(5)]
        done = [await capture.finished(job.capture_id) for job in jobs]
        assert all(job is not None and job.success and not job.running for job in done)
        assert heads[-1] == store.head == 5
        assert [job.capture_id for job in jobs_before(store)] == [job.capture_id for job in reversed(jobs)]
        assert await capture.finished("nothing") is None
        job, identity = await capture.capture_event(orjson.dumps({**observed(9, item(9)), "@context": CONTEXT}))
        assert job.success
        assert store.known([(identity, False)]) != [None]
    finally:
        await capture.close()
        store.close()


async def test_too_much_waiting_is_refused(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "store")
    body = document(*(observed(n, item(n)) for n in range(50)))
    capture = Capture(store, limits=Limits(waiting_bytes=2 * len(body)))
    try:
        sent = await asyncio.gather(*(capture.submit(body) for _ in range(5)), return_exceptions=True)
        assert [type(answer) for answer in sent].count(BusyError) == 3
        for job in sent:
            if not isinstance(job, BaseException):
                await capture.finished(job.capture_id)
        assert (await capture.submit(body)).running
    finally:
        await capture.close()
        store.close()
    assert store.head == 50


_SENDER = """
import asyncio, sys
from pathlib import Path
from gongfu.identify.epcis.capture import Capture
from gongfu.identify.epcis.store import EventStore
from tests.unit.identify.epcis.made import document, item, observed

async def main():
    capture = Capture(EventStore(Path(sys.argv[1])))
    for batch in range(10_000):
        job = await capture.submit(document(*(observed(n, item(f"{batch}-{n}")) for n in range(20))))
        done = await capture.finished(job.capture_id)
        assert done.success
        print(batch, done.capture_id, flush=True)

asyncio.run(main())
"""


def test_after_a_kill_what_a_job_said_is_there(tmp_path: Path) -> None:
    root = Path(__file__).parents[4]
    sender = subprocess.Popen(
        [sys.executable, "-c", _SENDER, str(tmp_path / "store")], stdout=subprocess.PIPE, cwd=root, text=True
    )
    assert sender.stdout is not None
    said = list[tuple[int, str]]()
    for line in sender.stdout:
        batch, name = line.split()
        said.append((int(batch), name))
        if len(said) == 8:
            os.kill(sender.pid, signal.SIGKILL)
            break
    sender.wait()
    with opened(tmp_path / "store") as it:
        assert it.store.head >= 20 * len(said)
        assert it.store.head % 20 == 0
        for batch, name in said:
            job = find_job(it.store, name)
            assert job is not None
            assert job.success
            assert it.store.mentions(item(f"{batch}-19"))
        assert not any(job.running for job in jobs_before(it.store))
        before = it.store.head
        again = it.take(document(*(observed(n, item(f"{said[0][0]}-{n}")) for n in range(20))))
        assert (again.captured_count, again.repeated_count, it.store.head) == (0, 20, before)


def test_a_copy_is_a_store(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as it:
        it.take(document(packed(1, item("p"), item(1), item(2))))
        it.store.checkpoint(tmp_path / "copy")
        it.take(document(observed(2, item(1))))
        with pytest.raises(OSError, match="cannot be opened"):
            EventStore(tmp_path / "store")
    with opened(tmp_path / "copy") as copy:
        assert copy.store.head == 1
        assert [mention.role for mention in copy.store.mentions(item("p"))] == [Role.PARENT]


def test_lots_of_instances_are_indexed(tmp_path: Path) -> None:
    quantity = [{"epcClass": lot("L1"), "quantity": 2}]
    with opened(tmp_path / "store") as it:
        it.take(
            document(
                observed(1, item(1), action="ADD", ilmd={"cbvmda:lotNumber": "L1"}),
                observed(2, "https://example.com/01/04012345111118/10/L1/21/2"),
                observed(3, item(3), action="ADD", quantityList=quantity),
                observed(4, item(4), action="OBSERVE", quantityList=quantity),
                event("ObjectEvent", 5, action="OBSERVE", quantityList=quantity),
            )
        )
        roles = [(mention.number, mention.role) for mention in it.store.mentions(lot("L1"))]
        assert [number for number, role in roles if role is Role.LOT_OF] == [1, 2, 3]
        assert [number for number, role in roles if role is Role.OBJECT] == [3, 4, 5]


@pytest.mark.parametrize("action", ["OBSERVE", "DELETE"])
def test_master_data_of_what_is_not_made_is_refused(tmp_path: Path, action: str) -> None:
    with opened(tmp_path / "store") as it:
        done = it.take(document(observed(1, item(1), action=action, ilmd={"cbvmda:lotNumber": "L"})))
        assert [error.instance for error in done.errors] == ["/epcisBody/eventList/0/ilmd"]
