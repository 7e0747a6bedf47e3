"""Numbers of the Handle protocol: operations, responses, flags, permissions (RFC 3652 §2.2, RFC 3651 §3)."""

from enum import IntEnum, IntFlag


class OpCode(IntEnum):
    """What a message asks for (RFC 3652 §2.2.2.1). 2001 is the login of China's national client, not in the RFC."""

    RESOLUTION = 1
    GET_SITE_INFO = 2
    CREATE_HANDLE = 100
    DELETE_HANDLE = 101
    ADD_VALUE = 102
    REMOVE_VALUE = 103
    MODIFY_VALUE = 104
    LIST_HANDLE = 105
    LIST_NA = 106
    CHALLENGE_RESPONSE = 200
    VERIFY_RESPONSE = 201
    HOME_NA = 300
    UNHOME_NA = 301
    LIST_HOMED_NA = 302
    SESSION_SETUP = 400
    SESSION_TERMINATE = 401
    SESSION_EXCHANGE_KEY = 402
    LOGIN = 2001


class ResponseCode(IntEnum):
    """What a server answers (RFC 3652 §2.2.2.2); 0 in requests. 603 to 605 are of China's national system."""

    RESERVED = 0
    SUCCESS = 1
    ERROR = 2
    SERVER_BUSY = 3
    PROTOCOL_ERROR = 4
    OPERATION_DENIED = 5
    RECURSION_LIMIT_EXCEEDED = 6
    HANDLE_NOT_FOUND = 100
    HANDLE_ALREADY_EXISTS = 101
    INVALID_HANDLE = 102
    VALUES_NOT_FOUND = 200
    VALUE_ALREADY_EXISTS = 201
    VALUE_INVALID = 202
    EXPIRED_SITE_INFO = 300
    SERVER_NOT_RESPONDING = 301
    SERVICE_REFERRAL = 302
    PREFIX_REFERRAL = 303
    NOT_AUTHORIZED = 400
    ACCESS_DENIED = 401
    AUTHENTICATION_NEEDED = 402
    AUTHENTICATION_FAILED = 403
    INVALID_CREDENTIAL = 404
    AUTHENTICATION_TIMEOUT = 405
    UNABLE_TO_AUTHENTICATE = 406
    SESSION_TIMEOUT = 500
    SESSION_FAILED = 501
    NO_SESSION_KEY = 502
    SESSION_NOT_SUPPORTED = 503
    SESSION_KEY_INVALID = 504
    DAILY_REQUEST_LIMIT = 603
    REGISTRATION_LIMIT = 604
    PREFIX_LIMIT = 605
    TRYING = 900
    FORWARDED = 901
    QUEUED = 902


class OpFlag(IntFlag):
    """Flags of an operation, bits of 32 (RFC 3652 §2.2.2.3); the last three are of later versions."""

    AUTHORITATIVE = 0x8000_0000
    CERTIFIED = 0x4000_0000
    ENCRYPTION = 0x2000_0000
    RECURSIVE = 0x1000_0000
    CACHE_AUTHENTICATION = 0x0800_0000
    CONTINUOUS = 0x0400_0000
    KEEP_CONNECTION = 0x0200_0000
    PUBLIC_ONLY = 0x0100_0000
    REQUEST_DIGEST = 0x0080_0000
    OVERWRITE = 0x0040_0000
    MINT_SUFFIX = 0x0020_0000
    DO_NOT_REFER = 0x0010_0000


class MessageFlag(IntFlag):
    """Flags of an envelope, bits of 16 (RFC 3652 §2.2.1.2)."""

    COMPRESSED = 0x8000
    ENCRYPTED = 0x4000
    TRUNCATED = 0x2000


class Permission(IntFlag):
    """Who may read or write one value (RFC 3651 §3.1)."""

    PUBLIC_WRITE = 0x01
    PUBLIC_READ = 0x02
    ADMIN_WRITE = 0x04
    ADMIN_READ = 0x08


class AdminPermission(IntFlag):
    """What an administrator may do, bits of 16 (RFC 3651 §3.2.1)."""

    ADD_HANDLE = 0x0001
    DELETE_HANDLE = 0x0002
    ADD_NA = 0x0004
    DELETE_NA = 0x0008
    MODIFY_VALUE = 0x0010
    DELETE_VALUE = 0x0020
    ADD_VALUE = 0x0040
    MODIFY_ADMIN = 0x0080
    REMOVE_ADMIN = 0x0100
    ADD_ADMIN = 0x0200
    AUTHORIZED_READ = 0x0400
    LIST_HANDLE = 0x0800


class TtlType(IntEnum):
    """How a time to live counts (RFC 3651 §3.1): seconds from now, or seconds since 1970 at which it ends."""

    RELATIVE = 0
    ABSOLUTE = 1


class DigestAlgorithm(IntEnum):
    """Which digest stands before a body that bears one (RFC 3652 §2.2.3)."""

    MD5 = 1
    SHA1 = 2
    SHA256 = 3
