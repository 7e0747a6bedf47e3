"""Tables of installed apps. Times are UTC nanoseconds."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Integer, String, Table, Text

from gongfu.store.records.engine import Key, metadata, name_text

installed_app = Table(
    "installed_app",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False, index=True),
    # Identifier of the app: of one tenant of the node only, since its models have ids of the node.
    Column("app", name_text(120), nullable=False, unique=True),
    # installing, installed, upgrading, rolling-back, removing: what is under way, and is finished or undone at a start.
    Column("status", String(16), nullable=False),
    Column("enabled", Boolean, nullable=False),
    # The version that runs, and the one before it (null: none): InstalledVersion as JSON.
    Column("current", JSON, nullable=False),
    Column("previous", JSON, nullable=True),
    # The version that is being put in place (null: none): if that is broken off, what it has brought goes with it.
    Column("pending", JSON, nullable=True),
    # That an administrator lets it run although its publisher's key was revoked (null: nobody does).
    Column("key_override", JSON, nullable=True),
    # Counts up; names the folders of a version.
    Column("generation", Integer, nullable=False),
    Column("installed_by", String(120), nullable=False),
    Column("installed_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    # What the last step that failed said; empty when it did not.
    Column("trouble", Text, nullable=False, default=""),
    sqlite_autoincrement=True,
)
