"""``gongfu app pack|verify|publish|key``; the group ``gongfu app`` takes them from ``COMMANDS``."""

import getpass
import json
import os
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.failures import FAILED, Failure
from gongfu.node.cli.node_api import connect, segment
from gongfu.node.cli.options import json_option, node_options
from gongfu.node.cli.output import ago, print_json, print_table, text_of

DEFAULT_KEY = Path("~/.config/gongfu/publisher.key")
_PASSPHRASE = "GONGFU_KEY_PASSPHRASE"  # noqa: S105 (the name of a variable)


def _passphrase(path: Path) -> str:
    """Return the passphrase of a key: of the environment, or asked for when the key has one."""
    if given := os.environ.get(_PASSPHRASE):
        return given
    try:
        encrypted = b"ENCRYPTED" in path.read_bytes()[:100]
    except OSError:
        return ""
    return getpass.getpass(f"Passphrase of {path}: ") if encrypted else ""


def _key_of(path: Path) -> Any:
    from gongfu.appkit.package.keys import PublisherKeyError, load_key

    try:
        return load_key(path, _passphrase(path))
    except PublisherKeyError as error:
        remedy = "make one with `gongfu app key new NAME`" if not path.exists() else ""
        raise Failure(str(error), remedy, code="key") from None


@click.command("pack")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File; default: ID-VERSION.gfapp here.")
@click.option("--key", "key_path", type=click.Path(path_type=Path), help=f"Private key; default {DEFAULT_KEY}.")
@click.option("--unsigned", is_flag=True, help="Leave it unsigned: only for nodes in development.")
@click.option("--built-by", default="", help="Who builds it; default: the user's name.")
@json_option
def pack(
    folder: Path, output: Path | None, key_path: Path | None, unsigned: bool, built_by: str, as_json: bool
) -> None:
    """Pack and sign an app. The same source and key give the same bytes."""
    from gongfu.appkit.manifest import ManifestError, parse_manifest
    from gongfu.appkit.package.keys import PublisherKeyError, load_public_key, public_path
    from gongfu.appkit.package.origin import origin_of
    from gongfu.appkit.package.packing import pack as pack_files
    from gongfu.appkit.package.packing import read_source
    from gongfu.appkit.package.refusal import PackageError
    from gongfu.appkit.package.types import MANIFEST

    try:
        files = read_source(folder)
        manifest = parse_manifest(files[MANIFEST], str(folder / MANIFEST))
        key, publisher = None, ""
        if not unsigned:
            path = (key_path or DEFAULT_KEY).expanduser()
            key, publisher = _key_of(path), load_public_key(public_path(path)).publisher
        data = pack_files(files, origin_of(folder, files, built_by=built_by), key, publisher)
    except (PackageError, ManifestError, PublisherKeyError) as error:
        raise Failure(str(error), "see docs/app-store.md", code="package-refused") from None
    target = output or Path(f"{manifest.app.id}-{manifest.app.version}.gfapp")
    try:
        target.write_bytes(data)
    except OSError as error:
        raise Failure(f"{target}: {error.strerror}") from None
    _show(target, as_json, trusted=None)


@click.command("verify")
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--key", "public", type=click.Path(path_type=Path), help="Public key (.pub) that must have signed it.")
@click.option("--local", is_flag=True, help="Ask no node whether the key is trusted.")
@node_options
def verify(package: Path, public: Path | None, local: bool, as_json: bool, **node: Any) -> None:
    """Check a package: every byte of it, the signature, and whether the node trusts its key."""
    from gongfu.appkit.package.keys import PublisherKeyError, load_public_key
    from gongfu.appkit.package.types import TrustedKeys

    if public is not None:
        try:
            key = load_public_key(public)
        except PublisherKeyError as error:
            raise Failure(str(error), code="key") from None
        trusted = TrustedKeys({key.id: key.publisher})
    elif local:
        trusted = None
    else:
        found = connect(**node).items("/store/publishers")
        trusted = TrustedKeys(
            {item["id"]: item["publisher"] for item in found if item["state"] == "trusted"},
            {item["id"]: item["reason"] for item in found if item["state"] == "revoked"},
        )
    _show(package, as_json, trusted)


def _show(path: Path, as_json: bool, trusted: Any) -> None:
    import msgspec

    from gongfu.appkit.manifest import ManifestError, parse_manifest
    from gongfu.appkit.package import PackageError, open_package
    from gongfu.appkit.store.permission_changes import asks_of

    try:
        package = open_package(path, trusted, allow_unsigned=trusted is None)
        manifest = parse_manifest(package.manifest)
    except (PackageError, ManifestError) as error:
        reason = str(getattr(error, "reason", "manifest-invalid"))
        raise Failure(f"{path} is refused: {error}", "see docs/app-store.md", FAILED, reason) from None
    asks = asks_of(manifest)
    if as_json:
        print_json(
            {
                "file": str(path), "id": manifest.app.id, "version": manifest.app.version, "sha256": package.sha256,
                "size": package.size, "files": len(package.names), "key": package.key,
                "trusted": bool(package.publisher),
                "publisher": package.signature.publisher if package.signature else "",
                "provenance": msgspec.to_builtins(package.provenance), "asks": msgspec.to_builtins(asks),
            }
        )  # fmt: skip
        return
    print(f"{path}: {manifest.app.id} {manifest.app.version}, {len(package.names)} files, {package.size} bytes")
    print(f"sha256 {package.sha256}")
    if package.signature is None:
        click.secho("UNSIGNED: nobody stands for it; only nodes in development take it", fg="red", err=True)
    else:
        words = (
            f"trusted as {text_of(package.publisher)}" if package.publisher else "the signature fits; trust not asked"
        )
        print(f"signed by {text_of(package.signature.publisher)}, {package.key} ({words})")
    if package.provenance is not None:
        built = package.provenance
        commit = f", commit {built.commit[:12]}{' with changes' if built.dirty else ''}" if built.commit else ""
        print(f"built by {text_of(built.built_by)} from a source of {built.source_time}{commit}")
    print_table(("asks for", "of"), [(ask.kind, ask.what or "its own") for ask in asks], "asks for nothing")


@click.command("publish")
@click.argument("package", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--notes", default="", help="What is new, for people.")
@click.option("--draft", is_flag=True, help="Leave it a draft; default: hand it in for review.")
@node_options
def publish(package: Path, notes: str, draft: bool, as_json: bool, **node: Any) -> None:
    """Bring a package to the node's store. Somebody else reviews it before it is in the catalogue."""
    api = connect(**node)
    with package.open("rb") as file:
        headers = {"Content-Type": "application/vnd.gongfu.app"}
        answer = b"".join(api.upload("/store/versions", file, headers, {"notes": notes}))
    made = json.loads(answer)
    if not draft and made["state"] == "draft":
        made = api.post(f"/store/versions/{segment(made['id'])}:submit", None)
    if as_json:
        print_json(made)
        return
    print(f"{made['app']} {made['version']} is {made['state']} as version {made['id']} of the store")
    if made["state"] in ("submitted", "reviewed"):
        print(f"next: another person decides, with `gongfu store decide {made['id']}` or in the console")


@click.group("key")
def key() -> None:
    """Keys of publishers: make one, and say whose packages this node takes."""


@key.command("new")
@click.argument("publisher")
@click.option("--key", "path", type=click.Path(path_type=Path), default=DEFAULT_KEY, show_default=True)
@click.option("--passphrase", is_flag=True, help=f"Encrypt it; asks for a passphrase, or takes ${_PASSPHRASE}.")
@json_option
def new(publisher: str, path: Path, passphrase: bool, as_json: bool) -> None:
    """Make a key for PUBLISHER: a private one (0600), and a .pub to give away."""
    from gongfu.appkit.package.keys import PublisherKeyError, new_key, public_path

    words = ""
    if passphrase:
        words = os.environ.get(_PASSPHRASE) or click.prompt("Passphrase", hide_input=True, confirmation_prompt=True)
    path = path.expanduser()
    try:
        made = new_key(path, publisher, words)
    except PublisherKeyError as error:
        raise Failure(str(error), "give another file with --key", code="key") from None
    if as_json:
        print_json({"id": made.id, "publisher": made.publisher, "key": str(path), "public": str(public_path(path))})
        return
    print(f"{made.id}: {path} (keep it), {public_path(path)} (give it away)")


@key.command("show")
@click.argument("path", type=click.Path(path_type=Path), default=DEFAULT_KEY)
@json_option
def show(path: Path, as_json: bool) -> None:
    """Show a public key: of a .pub, or of the private key beside it."""
    from gongfu.appkit.package.keys import PublisherKeyError, load_public_key, public_path

    path = path.expanduser()
    try:
        public = load_public_key(path if path.suffix == ".pub" else public_path(path))
    except PublisherKeyError as error:
        raise Failure(str(error), "", code="key") from None
    if as_json:
        print_json({"id": public.id, "publisher": public.publisher})
        return
    print(f"{public.id}  {text_of(public.publisher)}")


@key.command("trust")
@click.argument("public", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--id", "identifier", default="", help="Id of the key as the publisher told it by another way.")
@click.option("--as", "name", default="", help="What this node calls the publisher.")
@node_options
def trust(public: Path, identifier: str, name: str, as_json: bool, **node: Any) -> None:
    """Take packages signed with a key (.pub) from now on."""
    try:
        document = json.loads(public.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"{public}: {error}", "give the .pub file of the publisher", code="key") from None
    made = connect(**node).post("/store/publishers", {"key": document, "id": identifier, "publisher": name})
    if as_json:
        print_json(made)
        return
    print(f"{made['id']} is trusted as {text_of(made['publisher'])}")


@key.command("distrust")
@click.argument("identifier")
@click.option("--reason", required=True, help="Why; shown to whoever installs what it signed.")
@node_options
def distrust(identifier: str, reason: str, as_json: bool, **node: Any) -> None:
    """Take nothing more that is signed with a key. What is installed stays."""
    made = connect(**node).post(f"/store/publishers/{segment(identifier)}:revoke", {"reason": reason})
    if as_json:
        print_json(made)
        return
    print(f"{made['id']} ({text_of(made['publisher'])}) is revoked")


@key.command("list")
@node_options
def list_(as_json: bool, **node: Any) -> None:
    """List the keys that the node trusts, or trusts no more."""
    import time

    items = connect(**node).items("/store/publishers")
    if as_json:
        print_json(items)
        return
    now = time.time_ns()
    rows = [
        (item["id"], item["publisher"], item["state"], item["reason"], item["changed_by"], ago(item["changed_at"], now))
        for item in items
    ]
    print_table(("id", "publisher", "state", "why", "by", "changed"), rows, "no keys: nothing can be installed")


COMMANDS = (pack, verify, publish, key)
