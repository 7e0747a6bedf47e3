"""Who is in the demo's tree, and what the sites make."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Member:
    """A node of the demo.

    Attributes:
        key: name of its directory.
        title: its name in the tree.
        tier: nation, province, enterprise or site.
        prefix: of its identifiers.
        parent: key of the node above, empty for the root.
        attributes: of the membership.
        machines: that send telemetry here.
        plant: whether the Tennessee Eastman plant runs here, too.
    """

    key: str
    title: str
    tier: str
    prefix: str
    parent: str = ""
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    machines: int = 0
    plant: bool = False


MEMBERS: tuple[Member, ...] = (
    Member("nation", "国家平台 National", "nation", "99"),
    Member("jiangsu", "江苏省 Jiangsu", "province", "99.320", "nation", {"region": "32"}),
    Member(
        "chemicals", "东海化工 Donghai Chemicals", "enterprise", "99.320.101", "jiangsu",
        {"region": "320700", "industry": "C2614", "size": "large"},
    ),
    Member(
        "machinery", "金陵机械 Jinling Machinery", "enterprise", "99.320.102", "jiangsu",
        {"region": "320100", "industry": "C3421", "size": "medium"},
    ),
    Member(
        "reactors", "反应车间 Reactor works", "site", "99.320.101.1", "chemicals",
        {"region": "320703", "industry": "C2614", "size": "large"}, machines=8, plant=True,
    ),
    Member(
        "tanks", "储运车间 Tank farm", "site", "99.320.101.2", "chemicals",
        {"region": "320706", "industry": "C2614", "size": "large"}, machines=12,
    ),
    Member(
        "lathes", "数控车间 Machine shop", "site", "99.320.102.1", "machinery",
        {"region": "320115", "industry": "C3421", "size": "medium"}, machines=16,
    ),
)  # fmt: skip


def depth(member: Member) -> int:
    """Return how far below the root a node is."""
    above = {m.key: m for m in MEMBERS}
    return 0 if not member.parent else 1 + depth(above[member.parent])
