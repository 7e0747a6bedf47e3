"""Membership: who is a node, and what its parent says of it. Pure; time (UTC ns) and random bytes are arguments.

Whatever is not believed raises ``refusals.Refused`` with a ``refusals.Reason``.

- ``keys``: ``NodeKey``, ``key_from_pem``, ``node_id``; ``Signed``, ``sign``, ``verify``, ``encode_signed``,
  ``decode_signed``
- ``documents``: ``encode_document``, ``decode_document`` (JSON that is signed), ``pack``, ``unpack`` (what carries
  it)
- ``types``: ``Membership``, ``Attributes``, ``NodeState``, ``PrefixGrant``, ``Chain``; field types ``Tier``,
  ``Prefix``, …
- ``prefixes``: the rule of prefixes; ``check_prefix``, ``extends``, ``overlapping``, ``grant_prefix``
- ``chain``: ``root_membership``, ``sign_membership``, ``verify_chain``, ``extend_chain``, ``check_revision``,
  ``known_of``, ``ancestor_key``, ``encode_chain``, ``decode_chain``
- ``transitions``: ``suspend``, ``resume``, ``retire``, ``renew``; ``Transition``, ``AuditNote``
- ``rehome``: ``release``, ``verify_release``, ``accept_release``, ``take_chain``; ``Release``
- ``token``: ``JoinToken``, ``encode_token``, ``decode_token``, ``verify_token``; ``TokenRecord``, ``issue_record``,
  ``redeem``, ``revoke``
- ``certificates``: ``make_authority``, ``make_request``, ``issue``, ``check_issued``, ``certificate_node``,
  ``fingerprint``
- ``join``: ``sign_request``, ``open_request``, ``answer_join``, ``accept_answer``; ``join_documents``:
  ``JoinRequest``, ``Former``, ``JoinAnswer``
"""
