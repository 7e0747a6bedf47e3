"""Certificates of this node on its links: files for the ports for children and for the link up, made anew in time."""

from collections.abc import Sequence

from cryptography import x509

from gongfu.kernel.times import SECOND
from gongfu.tree.membership.certificates import CertificateAuthority, Usage, issue, make_request
from gongfu.tree.nodes.identity import Identity
from gongfu.tree.nodes.key_files import KeyFiles, new_serial
from gongfu.tree.nodes.validity import CERTIFICATE, is_due


def authority_of(identity: Identity, files: KeyFiles) -> CertificateAuthority:
    """Return the authority of this node with its key.

    Raises:
        OSError: the key cannot be read.
    """
    return CertificateAuthority(files.authority_key(), identity.authority)


def write_certificates(identity: Identity, files: KeyFiles, hosts: Sequence[str], now: int) -> bool:
    """See that the files which TLS reads are there and good for long enough; return whether one has changed.

    Args:
        identity: of this node.
        files: where they are.
        hosts: names and addresses by which children find this node.
        now: UTC ns.

    Raises:
        OSError: a file cannot be read or written.
        Refused: a host is not one.
    """
    changed = files.write(files.authority_certificate, identity.authority.encode())
    if not _is_good(files, identity, hosts, now):
        request = make_request(files.tls_key(files.server_key), identity.node)
        certificate = issue(
            authority_of(identity, files),
            request,
            identity.node,
            Usage.SERVER,
            serial=new_serial(),
            now=now,
            valid_until=now + CERTIFICATE,
            hosts=hosts,
        )
        changed |= files.write(files.server_certificate, certificate.encode())
    if identity.certificate:
        files.tls_key(files.link_key)
        changed |= files.write(files.link_certificate, identity.certificate.encode())
        changed |= files.write(files.parent_authority, identity.parent_authorities.encode())
    return changed


def ends_at(pem: str) -> int:
    """Return when a certificate ends, UTC ns; 0 for one that cannot be read."""
    try:
        return int(x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc.timestamp()) * SECOND
    except ValueError:
        return 0


def _is_good(files: KeyFiles, identity: Identity, hosts: Sequence[str], now: int) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(files.server_certificate.read_bytes())
        authority = x509.load_pem_x509_certificate(identity.authority.encode())
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # whatever is wrong with the file, it is made anew
        return False
    has = {str(name.value) for name in names}
    end = int(certificate.not_valid_after_utc.timestamp()) * SECOND
    return files.server_key.exists() and has.issuperset(hosts) and not is_due(end, now, CERTIFICATE)
