"""What a connection may be: URL, options and addresses are checked before anything is stored or opened. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from gongfu.connect.connections.types import MAX_ADDRESSES
from gongfu.connect.kit.loading import Available, driver_of, driver_of_scheme
from gongfu.connect.kit.manifest import OptionsError, address_problems, check_options, secret_names
from gongfu.connect.kit.types import VALUE_TYPE_NAMES, Address, DriverError
from gongfu.kernel.errors import Problem, invalid
from gongfu.registry.names import check_name, check_path

_URL_LIMIT = 2000


def problem_of(error: DriverError) -> Problem:
    """Return what a driver could not do as a problem: 400 when the request is wrong, else 502."""
    status = 400 if error.reason in ("unsupported", "address-unknown", "type-mismatch", "range") else 502
    extra = {"reason": error.reason.value, "what": error.what, "advice": error.advice}
    return Problem(status, "machine-failed", "The machine could not be asked", str(error), extra)


def check_url(url: str, protocol: str = "") -> tuple[str, dict[str, str], Available]:
    """Return (URL without user and password, those as options, driver).

    Raises:
        Problem: 400; not a URL, or no driver takes it.
    """
    if not 1 <= len(url) <= _URL_LIMIT or not url.isprintable():
        raise invalid(f"url must have 1 to {_URL_LIMIT} printable characters")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise invalid(f"url: {error}") from None
    if not parts.scheme or "://" not in url:
        raise invalid(f"url must begin with the protocol, such as modbus://10.0.0.5:502/1, not {url[:80]!r}")
    try:
        driver = driver_of(protocol) if protocol else driver_of_scheme(parts.scheme)
    except DriverError as error:
        raise problem_of(error) from None
    credentials: dict[str, str] = {}
    if "@" in parts.netloc:
        if parts.username:
            credentials["username"] = unquote(parts.username)
        if parts.password:
            credentials["password"] = unquote(parts.password)
        url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return url, credentials, driver


def check_driver_options(
    driver: Available, given: Mapping[str, Any], credentials: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (options without secrets, secrets); defaults are not filled in, so that a later default holds.

    Raises:
        Problem: 400; an option does not fit the driver's schema.
    """
    options = {**credentials, **given}
    try:
        check_options(driver.manifest, options)
    except OptionsError as error:
        raise invalid(f"{driver.manifest.protocol}: {error}") from None
    secret = secret_names(driver.manifest)
    return (
        {name: value for name, value in options.items() if name not in secret},
        {name: value for name, value in options.items() if name in secret},
    )


def check_addresses(addresses: Sequence[Address]) -> None:
    """Check what does not depend on the driver.

    Raises:
        Problem: 400; the first addresses that are wrong, and why.
    """
    if len(addresses) > MAX_ADDRESSES:
        raise invalid(f"a connection has at most {MAX_ADDRESSES} addresses, not {len(addresses)}")
    seen: set[tuple[str, str]] = set()
    wrong: list[str] = []
    for address in addresses:
        problems = list(address_problems(address))
        if address.value_type not in VALUE_TYPE_NAMES:
            problems.append(f"value_type must be one of {', '.join(VALUE_TYPE_NAMES)}, not {address.value_type!r}")
        if address.unit and (problem := _unit_problem(address.unit)):
            problems.append(problem)
        if not address.where or len(address.where) > _URL_LIMIT:
            problems.append("where is empty or too long")
        try:
            check_name(address.point, "point")
            if address.asset:
                check_path(address.asset)
        except Problem as problem:
            problems.append(problem.detail)
        if (address.asset, address.point) in seen:
            problems.append("the point is there twice")
        seen.add((address.asset, address.point))
        wrong += [f"{address.point or address.where!r}: {problem}" for problem in problems]
        if len(wrong) >= 5:
            break
    if wrong:
        raise invalid("; ".join(wrong))


def _unit_problem(unit: str) -> str:
    # Imported here: the UCUM tables take memory that most processes never need.
    from gongfu.kernel.units import check_unit

    try:
        check_unit(unit)
    except ValueError as error:
        return f"unit: {error}"
    return ""
