"""Errors in the standard's form: problem documents whose type is an EPCIS exception (EPCIS 2.0 §12.9)."""

from collections.abc import Sequence
from enum import StrEnum

import orjson

from gongfu.identify.epcis.findings import Finding
from gongfu.identify.http.types import Response

VERSIONS = (("GS1-EPCIS-Version", "2.0.0"), ("GS1-CBV-Version", "2.0.0"))


class Kind(StrEnum):
    """EPCIS exceptions."""

    VALIDATION = "epcisException:ValidationException"
    PARAMETER = "epcisException:QueryParameterException"
    QUERY = "epcisException:QueryValidationException"
    TOO_LARGE = "epcisException:QueryTooLargeException"
    LIMIT = "epcisException:CaptureLimitExceededException"
    NO_RESOURCE = "epcisException:NoSuchResourceException"
    NO_NAME = "epcisException:NoSuchNameException"
    NAME_TAKEN = "epcisException:DuplicateNameException"
    SUBSCRIBE = "epcisException:SubscribeNotPermittedException"
    CONTROLS = "epcisException:SubscriptionControlsException"
    DESTINATION = "epcisException:InvalidURIException"
    SECURITY = "epcisException:SecurityException"
    MEDIA_TYPE = "epcisException:UnsupportedMediaTypeException"
    NOT_ACCEPTABLE = "epcisException:NotAcceptableException"
    IMPLEMENTATION = "epcisException:ImplementationException"


_TITLES = {
    Kind.VALIDATION: "The document is not valid",
    Kind.PARAMETER: "A query parameter is not valid",
    Kind.QUERY: "The query is not valid",
    Kind.TOO_LARGE: "The result is too large",
    Kind.LIMIT: "The capture limit is exceeded",
    Kind.NO_RESOURCE: "There is no such resource",
    Kind.NO_NAME: "There is no such name",
    Kind.NAME_TAKEN: "The name is taken",
    Kind.SUBSCRIBE: "The query cannot be subscribed to",
    Kind.CONTROLS: "The subscription's controls are not valid",
    Kind.DESTINATION: "Results cannot be sent there",
    Kind.SECURITY: "Not permitted",
    Kind.MEDIA_TYPE: "The media type is not supported",
    Kind.NOT_ACCEPTABLE: "Nothing acceptable can be answered",
    Kind.IMPLEMENTATION: "The node cannot do this now",
}


class EpcisProblem(Exception):
    """What is answered instead of a result."""

    def __init__(
        self,
        kind: Kind,
        status: int,
        detail: str = "",
        *,
        findings: Sequence[Finding] = (),
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status = status
        self.detail = detail
        self.findings = findings
        self.headers = headers

    def response(self, instance: str) -> Response:
        """Return the answer.

        Args:
            instance: path that was asked for.
        """
        body: dict[str, object] = {
            "type": str(self.kind),
            "title": _TITLES[self.kind],
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
        }
        if self.findings:
            body["errors"] = [{"pointer": path, "detail": reason} for path, reason, _ in self.findings[:100]]
        headers = (("Content-Type", "application/problem+json"), *VERSIONS, *self.headers)
        return Response(self.status, orjson.dumps(body), headers)


def no_resource(what: str) -> EpcisProblem:
    """Return the problem of something that is not there."""
    return EpcisProblem(Kind.NO_RESOURCE, 404, what)


def no_name(what: str) -> EpcisProblem:
    """Return the problem of a name that nothing has."""
    return EpcisProblem(Kind.NO_NAME, 404, what)
