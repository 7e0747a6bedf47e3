"""One step before the roles: migrate the records, make the first administrator and the token of the command line.

A process of its own, so that the supervisor need not hold SQLAlchemy in memory. Prints one line of JSON on standard
output: ``{"admin": [name, one-time password] or null}``; on failure, a line for people on standard error and status 1.
"""

import json
import sys
from pathlib import Path


def prepare() -> str:
    """Do it and return the JSON line."""
    from gongfu.kernel.times import SystemClock
    from gongfu.node.runtime import load_runtime
    from gongfu.registry.prepared import is_prepared

    runtime = load_runtime()
    if is_prepared(runtime.records_url, runtime.data_dir, SystemClock().now_ns()):
        return json.dumps({"admin": None})
    # Imported here: takes 0.2 s, which a node that has been prepared never needs.
    from sqlalchemy.exc import IntegrityError

    from gongfu.registry.sessions import ensure_cli_token
    from gongfu.registry.users import ensure_first_admin
    from gongfu.store.records.engine import open_records
    from gongfu.store.records.migrations import migrate

    engine = open_records(runtime.records_url)
    try:
        migrate(engine)
        try:
            password = ensure_first_admin(engine)
        except IntegrityError:
            password = None  # another machine of the cluster was first
        ensure_cli_token(Path(runtime.data_dir), engine)
    finally:
        engine.dispose()
    return json.dumps({"admin": ["admin", password] if password else None})


def main() -> int:
    """Return the exit status."""
    try:
        line = prepare()
    except Exception as error:
        # The text of a database error may hold the URL, hence only its kind and the driver's own first line.
        cause = getattr(error, "orig", None) or error
        text = (str(cause).splitlines() or [""])[0][:300]
        print(f"the records cannot be prepared: {type(cause).__name__}: {text}", file=sys.stderr)
        return 1
    print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
