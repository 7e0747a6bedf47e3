"""Automatic checks of a version. Pure, but for the tests of the app, which somebody else runs in a sandbox."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gongfu.appkit.manifest import Manifest, ManifestError, parse_manifest
from gongfu.appkit.package import Package, PackageError, TrustedKeys, open_package_bytes
from gongfu.appkit.store.documents import Check
from gongfu.appkit.store.permission_changes import changes

# A package larger than this is looked at by a person.
LARGE = 16 << 20


class SelfTest(NamedTuple):
    """What came of the tests of an app: whether they passed, and words; ``ran`` is false when they could not run."""

    ran: bool
    passed: bool
    detail: str


# Runs the tests of the app in a folder, confined; blocks. Must not raise.
RunTests = Callable[[Path], SelfTest]


class Previous(NamedTuple):
    """The version published before, as far as it matters."""

    version: str
    manifest: Manifest
    key_id: str


def open_checked(data: bytes, trusted: TrustedKeys, *, allow_unsigned: bool) -> tuple[Package, Manifest]:
    """Return package and manifest.

    Raises:
        PackageError: see there.
        ManifestError: see there.
    """
    package = open_package_bytes(data, trusted, allow_unsigned=allow_unsigned)
    return package, parse_manifest(package.manifest)


def check_package(
    data: bytes, trusted: TrustedKeys, previous: Previous | None, *, allow_unsigned: bool
) -> tuple[list[Check], Package | None]:
    """Return what the checks say that read the package, and the package when it can be read.

    Args:
        data: the package.
        trusted: whose packages are taken.
        previous: the version published before, None for the first.
        allow_unsigned: of a node in development.
    """
    found: list[Check] = []
    try:
        package, manifest = open_checked(data, trusted, allow_unsigned=allow_unsigned)
    except PackageError as error:
        return [Check("signature", "failed", str(error))], None
    except ManifestError as error:
        return [Check("manifest", "failed", str(error))], None
    if package.unsigned:
        found.append(Check("signature", "noted", "nobody signed it: this node is in development mode"))
    else:
        found.append(Check("signature", "passed", f"{package.publisher}, {package.key}"))
    found.append(Check("manifest", "passed", f"{manifest.app.id} {manifest.app.version}"))
    large = package.size > LARGE
    words = f"{package.size} bytes, {len(package.names)} files"
    found.append(Check("size", "noted" if large else "passed", words))
    found.append(_permissions(previous, manifest))
    if previous is not None and previous.key_id != package.key:
        words = f"{previous.version} was signed with {previous.key_id or 'nothing'}, this one with {package.key}"
        found.append(Check("publisher", "noted", words))
    if missing := [file for file in _named(manifest) if file not in package.names]:
        found.append(Check("manifest", "failed", f"it names {missing[0]}, which is not in the package"))
    return found, package


def check_tests(package: Package, run: RunTests, scratch: Path) -> Check:
    """Return what the app's own tests say.

    Args:
        package: opened.
        run: runs them confined.
        scratch: folder that does not exist yet; left behind for the caller to remove.
    """
    if not any(name.endswith(".py") for name in package.below("tests")):
        return Check("tests", "noted", "it brings no tests")
    package.extract(scratch)
    came = run(scratch)
    if not came.ran:
        return Check("tests", "noted", f"they were not run: {came.detail}"[:2000])
    return Check("tests", "passed" if came.passed else "failed", came.detail[:2000])


def _permissions(previous: Previous | None, manifest: Manifest) -> Check:
    different = changes(previous.manifest if previous else None, manifest)
    more = [change for change in different if change.change in ("added", "more")]
    if not more:
        return Check("permissions", "passed", "it asks for nothing more than before" if previous else "for nothing")
    words = "; ".join(f"{change.kind} {change.what}".strip() for change in more[:8])
    against = f"more than {previous.version}: " if previous else ""
    return Check("permissions", "noted", f"{against}{words}"[:2000])


def _named(manifest: Manifest) -> list[str]:
    provides = manifest.provides
    files = [*(model.file for model in provides.models), *provides.rules, *provides.thing_models]
    return [*files, *(page.file for page in provides.pages)]
