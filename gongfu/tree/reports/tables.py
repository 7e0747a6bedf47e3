"""Tables of reports: kinds, what children said, own cells, publications, claims of devices, signed records.

What a child says is kept as it came (``report_statement``) until it is folded into ``report_cells``: taking a
statement is one insert, and a restart applies again what was not folded yet.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

from gongfu.store.records.engine import Key, metadata

NODE = String(24)
KIND = String(255)
IDENTIFIER = String(256)
# A node id, a slash and a prefix.
CLAIMER = String(100)

# All versions of all kinds; the current one of each is marked.
kind = Table(
    "report_kind",
    metadata,
    Column("name", KIND, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("form", String(8), nullable=False),
    # The declaration, JSON.
    Column("document", Text, nullable=False),
    # The node that declared it, and whether it came from the parent.
    Column("declared_by", NODE, nullable=False),
    Column("inherited", Integer, nullable=False),
    Column("current", Integer, nullable=False),
    Column("changed", BigInteger, nullable=False),
)

# What children said since their cells were folded, in the order of taking.
statement = Table(
    "report_statement",
    metadata,
    Column("id", Key, primary_key=True),
    Column("kind", KIND, nullable=False),
    Column("child", NODE, nullable=False),
    # "said", or "left": removed from the totals from a period on.
    Column("what", String(8), nullable=False),
    Column("heard", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("ix_report_statement_kind", "kind", "child", "id"),
    sqlite_autoincrement=True,
)

# By child: up to which statement its cells are folded, its position, and the memory of its stream.
position = Table(
    "report_position",
    metadata,
    Column("kind", KIND, primary_key=True),
    Column("child", NODE, primary_key=True),
    Column("upto", BigInteger, nullable=False),
    Column("position", LargeBinary, nullable=False),
    Column("stream", LargeBinary, nullable=False),
)

# Folded cells of a child in one period.
cells = Table(
    "report_cells",
    metadata,
    Column("kind", KIND, primary_key=True),
    Column("child", NODE, primary_key=True),
    Column("period", BigInteger, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

# The node's own cells of a period.
own_cells = Table(
    "report_own_cells",
    metadata,
    Column("kind", KIND, primary_key=True),
    Column("period", BigInteger, primary_key=True, autoincrement=False),
    Column("as_of", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

# Numbers that only grow: epochs of streams, revisions of claims, sequences of records.
counter = Table(
    "report_counter",
    metadata,
    Column("name", String(300), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

# One row: the parent that is told, and from what time on.
uplink = Table(
    "report_uplink",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("parent", NODE, nullable=False),
    Column("since", BigInteger, nullable=False),
)

# Statements of kinds that are not known here.
unknown = Table(
    "report_unknown",
    metadata,
    Column("kind", KIND, primary_key=True),
    Column("child", NODE, primary_key=True),
    Column("statements", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
)

# What was published of a period: the cells as they were then, and the pattern of what is not shown.
publication = Table(
    "report_publication",
    metadata,
    Column("kind", KIND, primary_key=True),
    Column("period", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("cells", LargeBinary, nullable=False),
    Column("pattern", LargeBinary, nullable=False),
)

# At the home of an identifier: who claims the device. A claimer is <node>/<prefix>.
claim = Table(
    "report_claim",
    metadata,
    Column("device", IDENTIFIER, primary_key=True),
    Column("claimer", CLAIMER, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("held", Integer, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    Index("ix_report_claim_claimer", "claimer"),
)

# At the home: who counts a claimed device; empty for nobody.
claimed = Table(
    "report_claimed",
    metadata,
    Column("device", IDENTIFIER, primary_key=True),
    Column("counted", CLAIMER, nullable=False),
)

# At the home: revision of a claimer's last complete statement of its claims.
claim_floor = Table(
    "report_claim_floor",
    metadata,
    Column("claimer", CLAIMER, primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

# At the claimer: devices with an identifier of another home.
foreign_device = Table(
    "report_foreign_device",
    metadata,
    Column("device", IDENTIFIER, primary_key=True),
    Column("prefix", String(64), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("answer", BigInteger, nullable=False),
    Column("counts", Integer, nullable=False),
    Index("ix_report_foreign_device_prefix", "prefix"),
)

# Signed records of this node and those below.
record = Table(
    "report_record",
    metadata,
    # SHA-256 of the signed document.
    Column("digest", String(64), primary_key=True),
    Column("kind", KIND, nullable=False),
    Column("node", NODE, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("signed", LargeBinary, nullable=False),
    Index("ix_report_record_stream", "kind", "node", "sequence"),
    Index("ix_report_record_received", "received", "digest"),
)
