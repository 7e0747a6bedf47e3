"""Subscriptions: what is sent, signed, tried again; and that nothing is sent twice, not even after a restart."""

import hmac
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from gongfu.identify.epcis.delivery import DeliveryError, WebhookDelivery, check_destination
from gongfu.identify.epcis.documents import findings
from gongfu.identify.epcis.named_queries import find_subscription, save_subscription
from gongfu.identify.epcis.schedule import Schedule
from tests.unit.identify.epcis.made import document, item, observed
from tests.unit.identify.epcis.served import Receiver, Served, receiving, results, served


async def _subscribe(it: Served, receiver: Receiver, name: str = "shipped", **controls: Any) -> str:
    query = {"name": name, "query": {"EQ_bizStep": ["shipping"]}}
    await it.client.post("/epcis/queries", json=query)
    body = {"dest": receiver.url, "stream": True, **controls}
    answer = await it.client.post(f"/epcis/queries/{name}/subscriptions", json=body)
    assert answer.status_code == 201, answer.text
    assert "signatureToken" not in answer.json()
    return answer.headers["Location"]


def _shipped(number: int) -> dict[str, Any]:
    return observed(number, item(number), eventID=f"urn:uuid:{number}", bizStep="shipping")


async def test_new_events_are_sent_once_also_after_a_restart(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with served(tmp_path / "store") as it:
            await it.capture(document(_shipped(1)))
            where = await _subscribe(it, receiver, signatureToken="secret")
            await it.capture(document(_shipped(2), observed(3, item(3), eventID="urn:uuid:3"), _shipped(4)))
            await it.until(lambda: len(receiver.events()) == 2)
            sent = receiver.requests[0]
            assert not findings(orjson.loads(sent.body))
            expected = "sha256=" + hmac.new(b"secret", sent.body, "sha256").hexdigest()
            assert sent.headers["gs1-signature"] == expected
            assert sent.headers["content-type"] == "application/ld+json"
            assert sent.query == "of=us"
            shown = (await it.client.get(where)).json()
            assert b'"subscriptionID":"' + shown["subscriptionID"].encode() in sent.body
        async with served(tmp_path / "store") as it:
            await it.capture(document(_shipped(5)))
            await it.until(lambda: "urn:uuid:5" in receiver.events())
            shown = (await it.client.get(where)).json()
            assert (shown["state"], shown["signed"]) == ("active", True)
        assert receiver.events() == ["urn:uuid:2", "urn:uuid:4", "urn:uuid:5"]


async def test_what_was_not_taken_is_tried_again_as_the_same_delivery(tmp_path: Path) -> None:
    async with receiving() as receiver, served(tmp_path / "store") as it:
        receiver.statuses = [500, 302, 404]
        where = await _subscribe(it, receiver)
        await it.capture(document(_shipped(1)))
        await it.until(lambda: len(receiver.requests) == 4)
        await it.capture(document(_shipped(2)))
        await it.until(lambda: len(receiver.requests) == 5)
        keys = [request.headers["idempotency-key"] for request in receiver.requests]
        assert len(set(keys[:4])) == 1
        assert keys[4] != keys[0]
        assert receiver.events()[3:] == ["urn:uuid:1", "urn:uuid:2"]
        await it.until(lambda: _position(it, where) == 2)
        assert (await it.client.get(where)).json()["delivered"] == 2


def _state(it: Served, where: str) -> str:
    found = find_subscription(it.store, *where.split("/")[3:6:2])
    return found.state if found is not None else ""


def _position(it: Served, where: str) -> int:
    found = find_subscription(it.store, *where.split("/")[3:6:2])
    return found.position if found is not None else -1


async def test_a_failure_is_shown_and_can_be_ended(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with served(tmp_path / "store", attempts=3) as it:
            receiver.statuses = [503] * 3
            where = await _subscribe(it, receiver)
            await it.capture(document(_shipped(1)))
            await it.until(lambda: len(receiver.requests) == 3)
            await it.until(lambda: _state(it, where) == "failed")
            shown = (await it.client.get(where)).json()
            assert (shown["state"], shown["attempts"], shown["delivered"]) == ("failed", 3, 0)
            assert "503" in shown["lastError"]
        async with served(tmp_path / "store") as it:
            # It stays failed until somebody says otherwise; nothing is lost meanwhile.
            await it.capture(document(_shipped(2)))
            assert (await it.client.post(where + "/resume")).json()["state"] == "active"
            await it.until(lambda: len(receiver.events()) == 5)
            assert receiver.events()[3:] == ["urn:uuid:1", "urn:uuid:2"]
            assert (await it.client.post(where + "/resume")).status_code == 409


async def test_a_delivery_in_hand_at_a_restart_is_the_same_one(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with served(tmp_path / "store", first_pause_s=1000.0, longest_pause_s=1000.0) as it:
            receiver.statuses = [500]
            await _subscribe(it, receiver)
            await it.capture(document(_shipped(1)))
            await it.until(lambda: len(receiver.requests) == 1)
            await it.capture(document(_shipped(2)))
        async with served(tmp_path / "store") as it:
            await it.until(lambda: len(receiver.requests) == 3)
        keys = [request.headers["idempotency-key"] for request in receiver.requests]
        assert keys[0] == keys[1]
        assert [results(request.body)[0]["eventID"][-1] for request in receiver.requests] == ["1", "1", "2"]


async def test_a_delivery_that_nobody_answered_is_the_same_one_after_a_restart(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with served(tmp_path / "store") as it:
            receiver.silent = True
            await _subscribe(it, receiver)
            await it.capture(document(_shipped(1)))
            await it.until(lambda: len(receiver.requests) == 1)
            await it.capture(document(_shipped(2)))
        receiver.silent = False
        async with served(tmp_path / "store") as it:
            await it.until(lambda: len(receiver.requests) == 3)
        keys = [request.headers["idempotency-key"] for request in receiver.requests]
        assert keys[0] == keys[1] != keys[2]
        assert receiver.events() == ["urn:uuid:1", "urn:uuid:1", "urn:uuid:2"]


async def test_a_backlog_comes_in_order_and_in_parts(tmp_path: Path) -> None:
    async with receiving() as receiver, served(tmp_path / "store") as it:
        for start in range(0, 1400, 700):
            await it.capture(document(*(_shipped(n) for n in range(start, start + 700))))
        await _subscribe(it, receiver, initialRecordTime="2020-01-01T00:00:00Z")
        await it.until(lambda: len(receiver.events()) == 1400)
        assert receiver.events() == [f"urn:uuid:{n}" for n in range(1400)]
        assert len(receiver.requests) > 2


async def test_scheduled_runs_report_that_there_is_nothing(tmp_path: Path) -> None:
    async with receiving() as receiver, served(tmp_path / "store") as it:
        await it.capture(document(_shipped(1)))
        await _subscribe(it, receiver, stream=False, schedule={"second": "*"}, reportIfEmpty=True)
        await it.until(lambda: len(receiver.requests) >= 1)
        assert receiver.events() == []
        await it.capture(document(_shipped(2)))
        await it.until(lambda: bool(receiver.events()))
        assert receiver.events() == ["urn:uuid:2"]


async def test_unsubscribing_ends_it(tmp_path: Path) -> None:
    async with receiving() as receiver, served(tmp_path / "store") as it:
        first, second = await _subscribe(it, receiver), await _subscribe(it, receiver, name="other")
        listed = (await it.client.get("/epcis/queries/other/subscriptions")).json()
        assert [entry["subscriptionID"] for entry in listed] == [second.rsplit("/", 1)[1]]
        assert (await it.client.delete(first)).status_code == 204
        assert (await it.client.get(first)).status_code == 404
        assert (await it.client.delete("/epcis/queries/other")).status_code == 204
        assert len(it.subscriptions) == 0
        await it.capture(document(_shipped(1)))
        third = await _subscribe(it, receiver, name="third")
        await it.capture(document(_shipped(2)))
        await it.until(lambda: _position(it, third) == 2)
        assert receiver.events() == ["urn:uuid:2"]


async def test_what_cannot_be_subscribed_to(tmp_path: Path) -> None:
    async with receiving() as receiver, served(tmp_path / "store") as it:
        for name, query in (("q", {}), ("ordered", {"orderBy": "eventTime"})):
            assert (await it.client.post("/epcis/queries", json={"name": name, "query": query})).status_code == 201
        right, controls = {"dest": receiver.url, "stream": True}, "SubscriptionControlsException"
        for name, body, kind in (
            ("ordered", right, "SubscribeNotPermittedException"),
            ("SimpleEventQuery", right, "SubscribeNotPermittedException"),
            ("q", {"stream": True}, "InvalidURIException"),
            ("q", {**right, "dest": "ftp://example.com/"}, "InvalidURIException"),
            ("q", {**right, "dest": "http://user:pass@example.com/"}, "InvalidURIException"),
            ("q", {**right, "stream": False}, "SubscriptionControlsException"),
            ("q", {**right, "schedule": {"second": "0"}}, "SubscriptionControlsException"),
            ("q", {"dest": receiver.url, "schedule": {"second": "60"}}, "SubscriptionControlsException"),
            ("q", {"dest": receiver.url, "schedule": {"dayOfMonth": "30", "month": "2"}}, controls),
            ("q", {**right, "initialRecordTime": "now"}, "SubscriptionControlsException"),
            ("q", {**right, "hope": 1}, "SubscriptionControlsException"),
        ):
            answer = await it.client.post(f"/epcis/queries/{name}/subscriptions", json=body)
            assert (answer.status_code, answer.json()["type"]) == (400, f"epcisException:{kind}"), answer.text
        assert len(it.subscriptions) == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8123/?query=DROP",
        "http://localhost/",
        "http://[::1]/",
        "http://169.254.169.254/",
        "http://0.0.0.0/",
    ],
)
async def test_receivers_on_the_nodes_own_machine_are_refused(url: str) -> None:
    deliver = WebhookDelivery()
    try:
        with pytest.raises(DeliveryError) as refused:
            await deliver(url, b"{}", {})
        assert refused.value.final
    finally:
        await deliver.close()


@pytest.mark.parametrize(
    "url", ["http://", "http://a:99999/", "javascript:1", 5, "http://中/", "http://a/" + "a" * 3000, "http://a:0/"]
)
def test_destinations_that_are_none(url: Any) -> None:
    with pytest.raises(ValueError, match="dest"):
        check_destination(url)


def _at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("fields", "after", "expected"),
    [
        ({"minute": "0"}, "2026-03-01T00:00:00", "2026-03-01T01:00:00"),
        ({"second": "0,30"}, "2026-03-01T00:00:00", "2026-03-01T00:00:30"),
        ({"second": "*"}, "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        ({"hour": "[8-17]", "minute": "15"}, "2026-03-01T17:15:00", "2026-03-02T08:15:00"),
        ({"dayOfWeek": "1", "hour": "0", "minute": "0"}, "2026-03-01T00:00:00", "2026-03-02T00:00:00"),
        ({"dayOfMonth": "29", "month": "2", "hour": "0", "minute": "0"}, "2026-03-01T00:00:00", "2028-02-29T00:00:00"),
    ],
)
def test_schedules(fields: dict[str, Any], after: str, expected: str) -> None:
    assert Schedule(fields).next(_at(after)) == _at(expected)


async def test_a_position_never_goes_back(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with served(tmp_path / "store") as it:
            where = await _subscribe(it, receiver)
            await it.capture(document(_shipped(1)))
            await it.until(lambda: _position(it, where) == 1)
            found = find_subscription(it.store, *where.split("/")[3:6:2])
            assert found is not None
            assert found.sending_to == 0
            save_subscription(it.store, found)
        async with served(tmp_path / "store") as it:
            await it.capture(document(observed(9, item(9))))
            await it.until(lambda: _position(it, where) == 2)
        assert receiver.events() == ["urn:uuid:1"]
