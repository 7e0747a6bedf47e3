"""Topic names and topic filters (MQTT 5.0 §4.7, shared subscriptions §4.8.2)."""

SHARE = "$share/"
MAX_BYTES = 65_535


def is_topic_name(topic: str) -> bool:
    """Return whether ``topic`` may be published to: not empty, no wildcards."""
    return bool(topic) and "+" not in topic and "#" not in topic


def is_topic_filter(topic_filter: str) -> bool:
    """Return whether wildcards stand alone in their level and ``#`` only at the end (§4.7.1)."""
    if not topic_filter:
        return False
    if "+" not in topic_filter and "#" not in topic_filter:
        return True
    levels = topic_filter.split("/")
    last = len(levels) - 1
    for index, level in enumerate(levels):
        if "#" in level and (level != "#" or index != last):
            return False
        if "+" in level and level != "+":
            return False
    return True


def split_share(topic_filter: str) -> tuple[str, str]:
    """Return (share name, filter) of ``$share/<name>/<filter>``, and ("", filter) of any other filter.

    Raises:
        ValueError: it begins with ``$share/`` but the name is empty or has a wildcard, or the filter is missing.
    """
    if not topic_filter.startswith(SHARE):
        return "", topic_filter
    name, slash, rest = topic_filter[len(SHARE) :].partition("/")
    if not name or not slash or not rest or "+" in name or "#" in name:
        raise ValueError("not a shared subscription")
    return name, rest


def matches(topic_filter: str, topic: str) -> bool:
    """Return whether a topic name matches a filter; a leading wildcard does not match a leading ``$`` (§4.7.2)."""
    if topic_filter == topic:
        return True
    if topic[0] == "$" and topic_filter[0] in "+#":
        return False
    wanted = topic_filter.split("/")
    levels = topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or (level != "+" and level != levels[index]):
            return False
    return len(wanted) == len(levels)


def covers(allowed: str, wanted: str) -> bool:
    """Return whether every topic that matches the filter ``wanted`` also matches the filter ``allowed``."""
    if wanted[0] == "$" and allowed[0] in "+#":
        return False
    outer = allowed.split("/")
    inner = wanted.split("/")
    for index, level in enumerate(outer):
        if level == "#":
            return True
        if index >= len(inner) or inner[index] == "#" or (level != "+" and level != inner[index]):
            return False
    return len(outer) == len(inner)
