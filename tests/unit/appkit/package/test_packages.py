"""A package is opened only when every byte of it is accounted for and a trusted key signed it."""

import io
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.appkit.package import PackageError, Reason, TrustedKeys, open_package, open_package_bytes
from gongfu.appkit.package.archive import write_archive
from gongfu.appkit.package.keys import PublisherKeyError, load_key, load_public_key, new_key
from gongfu.appkit.package.names import check_names
from gongfu.appkit.package.origin import origin_of
from gongfu.appkit.package.packing import pack, read_source
from gongfu.appkit.package.sums import write_sums
from gongfu.appkit.package.types import SIGNATURE, SUMS, Bounds, key_id
from tests.unit.appkit.package.example import FILES, KEY, OTHER, TRUSTED, packed

PACKED = packed()


def refusal(data: bytes, trusted: TrustedKeys = TRUSTED, bounds: Bounds | None = None) -> Reason:
    with pytest.raises(PackageError) as caught:
        open_package_bytes(data, trusted, bounds=bounds)
    return caught.value.reason


def test_a_package_is_the_same_bytes_every_time_and_opens() -> None:
    assert packed(dict(reversed(FILES.items()))) == PACKED
    package = open_package_bytes(PACKED, TRUSTED)
    assert package.publisher == "Works"
    assert package.signature is not None
    assert package.signature.publisher == "Example works"
    assert package.key == key_id(KEY.public_key)
    assert {name: package.read(name) for name in FILES} == FILES
    assert list(package.below("pages")) == ["pages/泵/index.html"]
    assert package.provenance is not None
    assert package.provenance.built_by == "a test"


def test_foreign_programs_read_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(PACKED)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in FILES} == FILES
        archive.extractall(tmp_path)
    done = subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_any_flipped_byte_is_refused() -> None:
    """Every byte of the package, each by another value: a bit, and all bits."""
    for at in range(len(PACKED)):
        for change in (1, 0xFF):
            data = bytearray(PACKED)
            data[at] ^= change
            with pytest.raises(PackageError) as caught:
                open_package_bytes(bytes(data), TRUSTED)
            assert caught.value.reason in Reason, at


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_cut_grown_or_spliced_it_is_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(PACKED)))
    until = data.draw(st.integers(at, len(PACKED)))
    changed = PACKED[:at] + data.draw(st.binary(max_size=40)) + PACKED[until:]
    if changed != PACKED:
        refusal(changed)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_rubbish_is_refused(data: bytes) -> None:
    refusal(data)
    refusal(PACKED[:4] + data)


def test_who_signed_it_counts() -> None:
    theirs = packed(key=OTHER)
    assert refusal(theirs) is Reason.KEY_UNKNOWN
    assert refusal(PACKED, TrustedKeys()) is Reason.KEY_UNKNOWN
    revoked = TrustedKeys(TRUSTED.trusted, {key_id(KEY.public_key): "stolen"})
    assert refusal(PACKED, revoked) is Reason.KEY_REVOKED
    # The same files under another name, or with another's key, need another signature.
    files = open_package_bytes(PACKED, TRUSTED)
    renamed = files.read(SIGNATURE).replace(b"Example works", b"Example Works")
    assert refusal(_with_signature(renamed)) is Reason.SIGNATURE_WRONG
    # Whose key it is does not matter to who only looks at it.
    assert open_package_bytes(theirs, None).key == key_id(OTHER.public_key)


def _with_signature(signature: bytes) -> bytes:
    opened = open_package_bytes(PACKED, TRUSTED)
    return write_archive({**{name: opened.read(name) for name in opened.names}, SIGNATURE: signature})


def test_an_unsigned_package_needs_a_word() -> None:
    unsigned = packed(key=None)
    assert refusal(unsigned) is Reason.UNSIGNED
    package = open_package_bytes(unsigned, TRUSTED, allow_unsigned=True)
    assert package.unsigned
    assert package.publisher == ""
    assert package.key == ""
    # The word is no help to one that somebody unknown signed.
    with pytest.raises(PackageError, match="key-unknown"):
        open_package_bytes(packed(key=OTHER), TRUSTED, allow_unsigned=True)


def hostile(*entries: tuple[str, bytes], link: bool = False, compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return what the standard library writes: the names as they are, perhaps compressed, perhaps a link."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = archive.compression
            info.external_attr = (0o120777 if link else 0o100644) << 16
            archive.writestr(info, content)
    return stream.getvalue()


def test_hostile_archives_are_refused_with_their_reason() -> None:
    assert refusal(hostile(("a", bytes(1 << 20)), compression=zipfile.ZIP_DEFLATED)) is Reason.COMPRESSED
    assert refusal(hostile(("a", b"/etc/passwd"), link=True)) is Reason.LINK
    assert refusal(hostile(("a", b"x"))) is Reason.NOT_CANONICAL
    assert refusal(PACKED, bounds=Bounds(bytes=100)) is Reason.TOO_LARGE
    assert refusal(PACKED, bounds=Bounds(file_bytes=20)) is Reason.TOO_LARGE
    assert refusal(PACKED, bounds=Bounds(files=3)) is Reason.TOO_MANY_FILES
    assert refusal(PACKED, bounds=Bounds(document_bytes=50)) is Reason.TOO_LARGE
    assert refusal(PACKED + b"\0") is Reason.NOT_AN_ARCHIVE
    # Something hidden before the first file, or after the last, as self-extracting archives have it.
    assert refusal(b"#!/bin/sh\n" + PACKED) is Reason.NOT_AN_ARCHIVE
    encrypted = bytearray(PACKED)
    encrypted[6] |= 1
    assert refusal(bytes(encrypted)) is Reason.ENCRYPTED


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../up", "a/../b", "a//b", "a/", ".", "", "a\\b", "C:/x", "nul", "pages/CON.txt", "a\0b", "a\nb",
     "end.", "end ", " begin", "a\u202eb", "e\u0301", "x" * 201, "/".join("d" * 20), "\ud800"],
)  # fmt: skip
def test_names_that_are_not_the_same_file_everywhere_are_refused(name: str) -> None:
    with pytest.raises(PackageError) as caught:
        check_names([name])
    assert caught.value.reason is Reason.NAME_INVALID


@pytest.mark.parametrize(
    "names",
    [("a.py", "A.py"), ("Straße", "STRASSE"), ("é", "É"), ("a", "a/b"), ("Pages/x", "pages/y"), ("ﬁ", "fi")],
)
def test_names_that_meet_on_some_file_system_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(PackageError) as caught:
        check_names(names)
    assert caught.value.reason is Reason.NAME_TWICE


def test_sums_cover_everything_and_nothing_else() -> None:
    opened = open_package_bytes(PACKED, TRUSTED)
    files = {name: opened.read(name) for name in opened.names}

    def changed(**parts: bytes | None) -> Reason:
        with_changes = {**files, **parts}
        return refusal(write_archive({name: content for name, content in with_changes.items() if content is not None}))

    assert changed(**{"app.py": b"app = 1\n"}) is Reason.FILE_CHANGED
    assert changed(**{"extra.py": b""}) is Reason.FILE_UNLISTED
    assert changed(**{"app.py": None}) is Reason.FILE_MISSING
    assert changed(**{SUMS: None}) is Reason.SUMS_MISSING
    assert changed(**{SUMS: files[SUMS][:-1]}) is Reason.SUMS_MALFORMED
    lines = files[SUMS].splitlines(keepends=True)
    assert changed(**{SUMS: b"".join(reversed(lines))}) is Reason.SUMS_MALFORMED
    without = {name: content for name, content in files.items() if name not in (SIGNATURE, SUMS, "app.toml")}
    without[SUMS] = write_sums(without)
    with pytest.raises(PackageError, match="manifest-missing"):
        open_package_bytes(write_archive(without), TRUSTED, allow_unsigned=True)


def test_a_source_folder_is_packed_and_extracted(tmp_path: Path) -> None:
    source = tmp_path / "vibration"
    for name, content in {**FILES, "__pycache__/app.pyc": b"x", ".git/config": b"x", "old.gfapp": b"x"}.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (source / "publisher.key").write_bytes(b"secret")
    files = read_source(source)
    assert files == FILES
    origin = origin_of(source, files, built_by="a test")
    assert origin.source_time == "2023-11-14T22:13:20Z" or origin.commit
    data = pack(files, origin, KEY, "Example works")
    target = tmp_path / "out"
    path = tmp_path / "a.gfapp"
    path.write_bytes(data)
    open_package(path, TRUSTED).extract(target)
    assert (target / "pages" / "泵" / "index.html").read_text() == "<p>泵</p>"
    # Again, from what came out: the same bytes.
    for name in FILES:
        os.utime(target / name, (1_700_000_000, 1_700_000_000))
    assert pack(read_source(target), origin_of(target, FILES, built_by="a test"), KEY, "Example works") == data
    (source / "link.py").symlink_to("/etc/passwd")
    with pytest.raises(PackageError, match="link"):
        read_source(source)
    with pytest.raises(PackageError, match="unreadable"):
        open_package(tmp_path / "nothing.gfapp", TRUSTED)


def test_keys_are_for_their_owner_and_may_have_a_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "works.key"
    public = new_key(path, "Works 工厂", "open sesame")
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_public_key(tmp_path / "works.key.pub") == public
    assert key_id(load_key(path, "open sesame").public_key) == public.id
    for passphrase, says in (("", "needs its passphrase"), ("wrong", "passphrase is wrong")):
        with pytest.raises(PublisherKeyError, match=says):
            load_key(path, passphrase)
    with pytest.raises(PublisherKeyError, match="exists"):
        new_key(path, "Works")
    path.chmod(0o644)
    with pytest.raises(PublisherKeyError, match="chmod 600"):
        load_key(path, "open sesame")
    forged = tmp_path / "forged.pub"
    forged.write_bytes((tmp_path / "works.key.pub").read_bytes().replace(public.id.encode(), b"gfk-" + b"a" * 32))
    with pytest.raises(PublisherKeyError, match="not that of the key"):
        load_public_key(forged)
