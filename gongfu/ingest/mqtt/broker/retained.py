"""Retained messages of one tenant (MQTT 5.0 §3.3.1.3), bounded in number and bytes."""

from gongfu.ingest.mqtt.broker.messages import Message


class _Node:
    __slots__ = ("children", "message")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.message: Message | None = None


class RetainedMessages:
    """Topic to the last retained message, searchable by filter."""

    def __init__(self, maximum: int, maximum_bytes: int) -> None:
        self._maximum = maximum
        self._maximum_bytes = maximum_bytes
        self._root = _Node()
        self.count = 0
        self.bytes = 0

    def fits(self, message: Message) -> bool:
        """Return whether the message may be kept beside the others."""
        present = self.get(message.topic)
        if present is not None:
            return self.bytes - present.size + message.size <= self._maximum_bytes
        return self.count < self._maximum and self.bytes + message.size <= self._maximum_bytes

    def put(self, message: Message) -> None:
        """Keep a message in place of the one of its topic."""
        node = self._root
        for level in message.topic.split("/"):
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = _Node()
            node = child
        if node.message is not None:
            self.bytes -= node.message.size
        else:
            self.count += 1
        node.message = message
        self.bytes += message.size

    def get(self, topic: str) -> Message | None:
        """Return the message of a topic."""
        node: _Node | None = self._root
        for level in topic.split("/"):
            node = node.children.get(level)
            if node is None:
                return None
        return node.message

    def remove(self, topic: str) -> bool:
        """Remove the message of a topic; return whether there was one."""
        path: list[tuple[_Node, str]] = []
        node = self._root
        for level in topic.split("/"):
            child = node.children.get(level)
            if child is None:
                return False
            path.append((node, level))
            node = child
        if node.message is None:
            return False
        self.bytes -= node.message.size
        self.count -= 1
        node.message = None
        for parent, level in reversed(path):
            child = parent.children[level]
            if child.children or child.message is not None:
                break
            del parent.children[level]
        return True

    def match(self, topic_filter: str) -> list[Message]:
        """Return the messages whose topic matches a filter."""
        nodes = [self._root]
        levels = topic_filter.split("/")
        for index, level in enumerate(levels):
            if level == "#":
                return [message for node in nodes for message in _subtree(node, index == 0)]
            following: list[_Node] = []
            for node in nodes:
                if level == "+":
                    following.extend(
                        child for name, child in node.children.items() if index or not name.startswith("$")
                    )
                elif (child := node.children.get(level)) is not None:
                    following.append(child)
            nodes = following
        return [node.message for node in nodes if node.message is not None]

    def expired(self, now: int) -> list[str]:
        """Return the topics whose message has expired at ``now`` (UTC ns)."""
        return [m.topic for m in _subtree(self._root, False) if m.expires and m.expires <= now]


def _subtree(top: _Node, hide: bool) -> list[Message]:
    """Return the messages of a node and all below it; ``hide`` leaves out children that begin with ``$``."""
    found = [] if top.message is None else [top.message]
    stack = [child for name, child in top.children.items() if not (hide and name.startswith("$"))]
    while stack:
        node = stack.pop()
        if node.message is not None:
            found.append(node.message)
        stack.extend(node.children.values())
    return found
