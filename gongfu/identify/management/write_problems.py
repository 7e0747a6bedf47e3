"""What became of a write, or why it was refused, as problems."""

from gongfu.identify.service.writes import BatchError, Outcome, WriteCode, WriteReason
from gongfu.kernel.errors import Problem

_STATUS = {
    WriteCode.ALREADY_EXISTS: (409, "It is there already"),
    WriteCode.NOT_FOUND: (404, "Not found"),
    WriteCode.VALUE_ALREADY_EXISTS: (409, "A value with this index is there already"),
    WriteCode.VALUE_NOT_FOUND: (404, "No value has this index"),
    WriteCode.INVALID: (400, "The identifier is not valid"),
    WriteCode.PREFIX_UNKNOWN: (404, "The prefix is not registered here"),
    WriteCode.PREFIX_SUSPENDED: (409, "The prefix takes no registrations"),
    WriteCode.DENIED: (403, "Not permitted"),
    WriteCode.QUOTA: (409, "The quota of the prefix is used up"),
}
_REFUSED = {
    WriteReason.TOO_MANY: 413,
    WriteReason.KEY_REUSED: 409,
    WriteReason.KEY_TOO_LONG: 400,
    WriteReason.BUSY: 503,
    WriteReason.CLOSED: 503,
    WriteReason.FAILED: 503,
}


def outcome_problem(handle: str, outcome: Outcome) -> Problem | None:
    """Return the problem of a write that was not done, None for one that was."""
    if outcome.done:
        return None
    status, title = _STATUS[outcome.code]
    return Problem(status, outcome.code.value, title, outcome.detail or handle[:300])


def batch_problem(error: BatchError) -> Problem:
    """Return the problem of writes that were refused as a whole."""
    return Problem(_REFUSED[error.reason], error.reason.value, "The writes were refused", error.detail)
