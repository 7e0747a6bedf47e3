"""Subscriptions at the server: made, moved to a new session, made anew.

Source: OPC 10000-4 §5.13 (MonitoredItem services), §5.14 (Subscription services). One subscription a sampling interval,
its items ordered by data type.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncua.ua.ua_binary import struct_from_binary
from asyncua.ua.uaerrors import UaError

from gongfu.connect.opcua.bulk_read import to_node_id
from gongfu.connect.opcua.events import event_filter
from gongfu.connect.opcua.library import ua
from gongfu.connect.opcua.sequence import SequenceWatch
from gongfu.connect.opcua.session import Session
from gongfu.connect.opcua.targets import Target

LIFETIME = 120.0
"""Seconds the server keeps a subscription without hearing from us."""

KEEP_ALIVE = 5.0
"""Seconds of silence after which the server says that it is still there."""

MAX_NOTIFICATIONS = 5000
"""Values a notification: bounds the size of one message."""

EVENT_HANDLE = 0x8000_0000

_FILTER_REFUSED = {0x8043, 0x8044, 0x8045, 0x808E}
_NO_ROOM = {0x80DB, 0x8010, 0x8003}


@dataclass(slots=True)
class Feed:
    """One subscription.

    Attributes:
        every: seconds, as asked.
        targets: what it brings.
        id: of the server, 0 before it is made.
        silence: seconds without a message after which it is dead.
        watch: its sequence numbers.
        heard: monotonic seconds of its last message.
        received: UTC ns of its last message.
        refused: addresses the server does not monitor, with the status.
        overfull: the server had no room for these.
        events: it also brings events.
    """

    every: float
    targets: list[Target]
    id: int = 0
    silence: float = 60.0
    watch: SequenceWatch = field(default_factory=SequenceWatch)
    heard: float = 0.0
    received: int = 0
    refused: dict[int, int] = field(default_factory=dict[int, int])
    overfull: list[Target] = field(default_factory=list[Target])
    events: bool = False

    @property
    def addresses(self) -> list[int]:
        """Indexes of the addresses that it brings."""
        left_out = self.refused.keys() | {target.address for target in self.overfull}
        return [target.address for target in self.targets if target.address not in left_out]


def feeds_of(targets: Sequence[Target]) -> list[Feed]:
    """Group targets by how often they are wanted; nodes the server does not have are left out."""
    groups: dict[float, list[Target]] = {}
    for target in targets:
        if not target.status & 0x8000_0000:
            groups.setdefault(target.every, []).append(target)
    return [Feed(every, group) for every, group in sorted(groups.items())]


async def create(session: Session, feed: Feed, queue: int, batch: int, now: float) -> None:
    """Make the subscription and its items.

    Args:
        session: an open session.
        feed: what to make; its id and the rest are set.
        queue: values an item keeps at the server between two notifications.
        batch: items a request.
        now: monotonic seconds.

    Raises:
        DriverError: the server refused the subscription, or the connection failed.
    """
    wanted = max(feed.every, 0.05)
    alive = max(1, math.ceil(KEEP_ALIVE / wanted))
    parameters = ua.CreateSubscriptionParameters()
    parameters.RequestedPublishingInterval = wanted * 1000
    parameters.RequestedMaxKeepAliveCount = alive
    parameters.RequestedLifetimeCount = max(3 * alive, math.ceil(LIFETIME / wanted))
    parameters.MaxNotificationsPerPublish = MAX_NOTIFICATIONS
    parameters.PublishingEnabled = True
    request = ua.CreateSubscriptionRequest()
    request.Parameters = parameters
    raw = await session.exchange("Making a subscription", request)
    made = struct_from_binary(ua.CreateSubscriptionResponse, ua.utils.Buffer(raw)).Parameters
    feed.id = made.SubscriptionId
    feed.silence = made.RevisedPublishingInterval / 1000 * (made.RevisedMaxKeepAliveCount + 1) * 1.5 + 10
    feed.watch = SequenceWatch()
    feed.heard = now
    feed.refused, feed.overfull = {}, []
    for start in range(0, len(feed.targets), batch):
        await _monitor(session, feed, feed.targets[start : start + batch], queue)
        await asyncio.sleep(0)  # thousands of items: others get a turn
    if feed.events:
        await _monitor_events(session, feed)


async def _monitor(session: Session, feed: Feed, targets: Sequence[Target], queue: int, filtered: bool = True) -> None:
    if feed.overfull:
        feed.overfull += targets
        return
    parameters = ua.CreateMonitoredItemsParameters()
    parameters.SubscriptionId = feed.id
    parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
    parameters.ItemsToCreate = [_item(target, feed.every, queue, filtered) for target in targets]
    results = await session.guard(
        "Subscribing at " + session.url, session.client.uaclient.session.create_monitored_items(parameters)
    )
    again: list[Target] = []
    for target, result in zip(targets, results, strict=False):
        status = result.StatusCode.value
        if not status & 0x8000_0000:
            continue
        if filtered and target.deadband and status >> 16 in _FILTER_REFUSED:
            again.append(target)
        elif status >> 16 in _NO_ROOM:
            feed.overfull.append(target)
        else:
            feed.refused[target.address] = status
    if again:  # the kit applies the deadband itself
        await _monitor(session, feed, again, queue, filtered=False)


def _item(target: Target, every: float, queue: int, filtered: bool) -> Any:
    wanted = ua.MonitoringParameters()
    wanted.ClientHandle = target.address
    wanted.SamplingInterval = every * 1000
    wanted.QueueSize = queue
    wanted.DiscardOldest = True
    if filtered and target.deadband:
        wanted.Filter = ua.DataChangeFilter(
            Trigger=ua.DataChangeTrigger.StatusValue,
            DeadbandType=int(ua.DeadbandType.Absolute),
            DeadbandValue=target.deadband,
        )
    item = ua.MonitoredItemCreateRequest()
    item.ItemToMonitor.NodeId = to_node_id(target.node)
    item.ItemToMonitor.AttributeId = ua.AttributeIds.Value
    item.MonitoringMode = ua.MonitoringMode.Reporting
    item.RequestedParameters = wanted
    return item


async def _monitor_events(session: Session, feed: Feed) -> None:
    item = ua.MonitoredItemCreateRequest()
    item.ItemToMonitor.NodeId = ua.NodeId(ua.ObjectIds.Server)
    item.ItemToMonitor.AttributeId = ua.AttributeIds.EventNotifier
    item.MonitoringMode = ua.MonitoringMode.Reporting
    wanted = ua.MonitoringParameters()
    wanted.ClientHandle = EVENT_HANDLE
    wanted.QueueSize = 1000
    wanted.Filter = event_filter()
    item.RequestedParameters = wanted
    parameters = ua.CreateMonitoredItemsParameters()
    parameters.SubscriptionId = feed.id
    parameters.ItemsToCreate = [item]
    try:
        results = await session.client.uaclient.session.create_monitored_items(parameters)
        feed.events = not results[0].StatusCode.value & 0x8000_0000
    except UaError:  # a server without events
        return
    if feed.events:  # conditions that are active already
        await refresh(session, feed)


async def refresh(session: Session, feed: Feed) -> bool:
    """Ask for the conditions that the server retains (OPC 10000-9 §5.5.7); False when it does not know how to.

    They come as events between a RefreshStart and a RefreshEnd.

    Raises:
        OSError, TimeoutError: the connection failed.
    """
    request = ua.CallMethodRequest()
    request.ObjectId = ua.NodeId(ua.ObjectIds.ConditionType)
    request.MethodId = ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh)
    request.InputArguments = [ua.Variant(feed.id, ua.VariantType.UInt32)]
    try:
        results: Any = await session.client.uaclient.session.call([request])
    except UaError:
        return False
    return not results[0].StatusCode.value & 0x8000_0000


async def transfer(session: Session, feeds: Sequence[Feed]) -> list[Feed]:
    """Take subscriptions over into a new session; returns those that the server could not hand over.

    Raises:
        DriverError: the connection failed.
    """
    parameters = ua.TransferSubscriptionsParameters()
    parameters.SubscriptionIds = [feed.id for feed in feeds]
    parameters.SendInitialValues = True
    request = ua.TransferSubscriptionsRequest()
    request.Parameters = parameters
    raw = await session.exchange("Moving subscriptions", request)
    results = struct_from_binary(ua.TransferSubscriptionsResponse, ua.utils.Buffer(raw)).Parameters.Results
    kept = {feed.id for feed, result in zip(feeds, results, strict=False) if not result.StatusCode.value & 0x8000_0000}
    return [feed for feed in feeds if feed.id not in kept]
