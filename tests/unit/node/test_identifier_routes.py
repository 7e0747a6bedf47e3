"""What the web role loads for identifiers: documents and routes, neither store nor keys."""

import subprocess
import sys

HEAVY = ("rocksdict", "pyroaring", "gmssl_pyx", "gongfu.identify.service.identifiers")


def test_the_web_role_loads_neither_store_nor_signing_keys() -> None:
    program = f"import sys, gongfu.node.identifier_routes; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
