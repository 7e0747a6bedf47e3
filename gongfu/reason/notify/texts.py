"""What notifications say. Pure. Chinese and English, because who is on duty reads one of them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from gongfu.kernel.times import format_rfc3339
from gongfu.reason.alarms.documents import document
from gongfu.reason.notify.channels.sending import Message
from gongfu.reason.notify.types import ChannelBody

_LISTED = 10
_RANK = ("critical", "high", "medium", "low")
_ZH = {"critical": "紧急", "high": "高", "medium": "中", "low": "低"}


def alarm_message(row: Any, alarm: Any, link: str) -> Message:
    """Return the message of an alarm; ``row`` is that of the outbox, ``link`` acknowledges it (empty: none)."""
    step = f" 升级 escalation {row.step}" if row.step else ""
    subject = f"[{_ZH.get(alarm.priority, '')} {alarm.priority}]{step} {alarm.asset_path} / {alarm.point}"
    value = "" if alarm.value is None else f"值 Value: {alarm.value:.6g} {alarm.unit}\n"
    both = f"{alarm.message_zh}\n{alarm.message}" if alarm.message_zh else alarm.message
    text = (
        f"{both}\n"
        f"资产 Asset: {alarm.asset_path}\n测点 Point: {alarm.point}\n{value}"
        f"规则 Rule: {alarm.rule_name}\n发生 Raised: {format_rfc3339(alarm.raised_at)}\n"
    )
    if link:
        text += f"确认 Acknowledge: {link}\n"
    body = {"kind": "alarm", "step": row.step, "link": link, "alarm": msgspec.to_builtins(document(alarm._mapping))}
    return Message(row.id, row.recipient, subject[:400], text, body)


def digest_message(row: Any, alarms: Sequence[Any]) -> Message:
    """Return the message that tells of all alarms that a flood swallowed in five minutes."""
    by_priority = Counter(alarm.priority for alarm in alarms)
    counts = ", ".join(f"{name} {by_priority[name]}" for name in _RANK if by_priority[name])
    names = Counter(f"{alarm.asset_path} / {alarm.point}" for alarm in alarms)
    first = min(alarms, key=lambda alarm: (alarm.raised_at, alarm.id))
    begin = f"{format_rfc3339(first.raised_at)} {first.asset_path} / {first.point}"
    lines = [f"最早 First: {begin}", *(f"{count} × {name}" for name, count in names.most_common(_LISTED))]
    more = len(names) - _LISTED
    text = f"告警泛滥 Alarm flood: {len(alarms)} 条告警 alarms ({counts})\n" + "\n".join(lines)
    text += f"\n… +{more}\n" if more > 0 else "\n"
    body = {"kind": "digest", "count": len(alarms), "priorities": dict(by_priority), "flood": row.flood_id}
    return Message(row.id, row.recipient, f"告警泛滥 Alarm flood: {len(alarms)}", text, body)


def test_message(row: Any, channel: ChannelBody) -> Message:
    """Return the message of the button that tries a channel."""
    text = f"测试消息：通道“{channel.name}”可用。\nThis is a test: channel {channel.name} works.\n"
    return Message(row.id, row.recipient, f"Gongfu 测试 test: {channel.name}", text, {"kind": "test"})
