"""What became of a write, as the Handle protocol says it."""

from gongfu.identify.handle.codes import ResponseCode
from gongfu.identify.service.writes import BatchError, WriteCode, WriteReason

RESPONSES: dict[WriteCode, ResponseCode] = {
    WriteCode.CREATED: ResponseCode.SUCCESS,
    WriteCode.REPLACED: ResponseCode.SUCCESS,
    WriteCode.DELETED: ResponseCode.SUCCESS,
    WriteCode.UNCHANGED: ResponseCode.SUCCESS,
    WriteCode.ALREADY_EXISTS: ResponseCode.HANDLE_ALREADY_EXISTS,
    WriteCode.NOT_FOUND: ResponseCode.HANDLE_NOT_FOUND,
    WriteCode.VALUE_ALREADY_EXISTS: ResponseCode.VALUE_ALREADY_EXISTS,
    WriteCode.VALUE_NOT_FOUND: ResponseCode.VALUES_NOT_FOUND,
    WriteCode.INVALID: ResponseCode.VALUE_INVALID,
    # Not "not responding", as the RFC's abbreviation is read: not responsible for the handle.
    WriteCode.PREFIX_UNKNOWN: ResponseCode.SERVER_NOT_RESPONDING,
    WriteCode.PREFIX_SUSPENDED: ResponseCode.OPERATION_DENIED,
    WriteCode.DENIED: ResponseCode.ACCESS_DENIED,
    WriteCode.QUOTA: ResponseCode.REGISTRATION_LIMIT,
}


def response_of(error: BatchError) -> ResponseCode:
    """Return what is answered where the writer does not take a write."""
    return ResponseCode.ERROR if error.reason is WriteReason.FAILED else ResponseCode.SERVER_BUSY
