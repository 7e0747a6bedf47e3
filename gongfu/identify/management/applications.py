"""Applications of enterprises for prefixes: use cases. What is granted or taken away is done by ``Prefixes``."""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from gongfu.identify.management import application_records as rows
from gongfu.identify.management.documents import (
    ApplicationPatch,
    ApplicationView,
    DocumentView,
    NewApplication,
    StepView,
)
from gongfu.identify.onboarding.application import (
    MAX_DOCUMENTS,
    Application,
    ApplicationState,
    Document,
    Step,
    StepError,
    next_steps,
    take,
)
from gongfu.kernel.errors import Problem, conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing

MAX_DOCUMENT_BYTES = 5 * 1024 * 1024
_OPEN = (ApplicationState.DRAFT, ApplicationState.RETURNED)
_MEMBERS = ("name", "credit_code", "region", "industry", "contact", "wanted_prefix")


class Applications:
    """All methods are for threads other than the event loop's."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        """Make it."""
        self._engine = engine
        self._clock = clock

    def create(self, subject: Subject, new: NewApplication) -> ApplicationView:
        """Begin an application; the subject is who applies."""
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            number = rows.insert(
                connection,
                {
                    **msgspec.structs.asdict(new),
                    "applicant": subject.name,
                    "prefix": "",
                    "state": ApplicationState.DRAFT.value,
                    "created_at": now,
                    "changed_at": now,
                },
            )
            _note(connection, subject, "create", number, now, new.name)
            return self._view(connection, number)

    def change(self, subject: Subject, number: int, patch: ApplicationPatch) -> ApplicationView:
        """Change what an application says that is not under review.

        Raises:
            Problem: 404; 409 ``application-state``.
        """
        now = self._clock.now_ns()
        given = {name: value for name in _MEMBERS if (value := getattr(patch, name)) is not None}
        with writing(self._engine) as connection:
            _check_open(_row(connection, number))
            rows.change(connection, number, {**given, "changed_at": now})
            _note(connection, subject, "change", number, now, ", ".join(given))
            return self._view(connection, number)

    def get(self, number: int) -> ApplicationView:
        """Return an application.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as connection:
            return self._view(connection, number)

    def page(self, state: str, search: str, before: int | None, limit: int) -> tuple[list[ApplicationView], int | None]:
        """Return applications, newest first, and the key of the next page."""
        if state and state not in {one.value for one in ApplicationState}:
            raise invalid(f"state must be one of {', '.join(ApplicationState)}")
        with reading(self._engine) as connection:
            found = rows.page(connection, state, search, before, limit + 1)
            handed = rows.documents(connection, [row.id for row in found])
        views = [_view(row, [one for one in handed if one.application_id == row.id]) for row in found[:limit]]
        return views, views[-1].id if len(found) > limit else None

    def states(self) -> dict[str, int]:
        """Return how many applications are in each state, all states."""
        with reading(self._engine) as connection:
            found = rows.states(connection)
        return {state.value: found.get(state.value, 0) for state in ApplicationState}

    def steps(self, number: int) -> list[StepView]:
        """Return what was done with an application, oldest first.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as connection:
            _row(connection, number)
            found = rows.steps(connection, number)
        return [StepView(format_rfc3339(row.at), row.person, row.step, row.words) for row in found]

    def take(
        self,
        subject: Subject,
        number: int,
        step: Step,
        words: str = "",
        grant: Callable[[ApplicationView], str] | None = None,
    ) -> ApplicationView:
        """Take a step.

        Args:
            subject: who does it.
            number: of the application.
            step: what is done.
            words: why.
            grant: of an approval: makes the prefix and returns its name.

        Raises:
            Problem: 404; 409 with the reason as its code.
        """
        now = self._clock.now_ns()
        with reading(self._engine) as connection:
            before = self._view(connection, number)
        # What cannot be done is refused before a prefix is made for it.
        after = _stepped(before, step, subject.name, now, words, "?" if step is Step.APPROVE else "")
        prefix = grant(before) if grant is not None else after.prefix
        with writing(self._engine) as connection:
            row = _row(connection, number)
            if row.state != before.state:
                raise Problem(409, "application-state", "The step cannot be taken", f"it is {row.state} by now")
            rows.change(connection, number, {"state": after.state.value, "prefix": prefix, "changed_at": now})
            rows.add_step(connection, number, step.value, subject.name, now, words[:1000])
            _note(connection, subject, step.value, number, now, " ".join(filter(None, (prefix, words))))
            return self._view(connection, number)

    def add_document(
        self, subject: Subject, number: int, kind: str, name: str, media_type: str, content: bytes
    ) -> ApplicationView:
        """Hand a document in; the same bytes again change nothing.

        Raises:
            Problem: 404; 409 ``application-state``, or too many; 413 too large; 400 empty.
        """
        if not content:
            raise invalid("the document is empty")
        if len(content) > MAX_DOCUMENT_BYTES:
            raise Problem(413, "body-too-large", "The body is too large", f"at most {MAX_DOCUMENT_BYTES} bytes")
        digest, now = hashlib.sha256(content).hexdigest(), self._clock.now_ns()
        with writing(self._engine) as connection:
            _check_open(_row(connection, number))
            there = rows.documents(connection, [number])
            if digest not in {row.digest for row in there}:
                if len(there) >= MAX_DOCUMENTS:
                    raise conflict(f"an application has at most {MAX_DOCUMENTS} documents")
                rows.add_document(
                    connection,
                    {
                        "application_id": number,
                        "digest": digest,
                        "kind": kind,
                        "name": name,
                        "media_type": media_type,
                        "size": len(content),
                        "content": content,
                        "at": now,
                    },
                )
                rows.change(connection, number, {"changed_at": now})
                _note(connection, subject, "document", number, now, f"{kind} {digest}")
            return self._view(connection, number)

    def document(self, number: int, digest: str) -> tuple[DocumentView, bytes]:
        """Return a document.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as connection:
            row = rows.document(connection, number, digest)
        if row is None:
            raise not_found(f"document {digest[:80]} of application {number}")
        return _document(row), bytes(row.content)

    def remove_document(self, subject: Subject, number: int, digest: str) -> ApplicationView:
        """Take a document back.

        Raises:
            Problem: 404; 409 ``application-state``.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            _check_open(_row(connection, number))
            if not rows.remove_document(connection, number, digest):
                raise not_found(f"document {digest[:80]} of application {number}")
            rows.change(connection, number, {"changed_at": now})
            _note(connection, subject, "document-removed", number, now, digest)
            return self._view(connection, number)

    def _view(self, connection: Connection, number: int) -> ApplicationView:
        return _view(_row(connection, number), rows.documents(connection, [number]))


def _stepped(view: ApplicationView, step: Step, person: str, now: int, words: str, prefix: str) -> Application:
    application = Application(
        name=view.name,
        credit_code=view.credit_code,
        region=view.region,
        industry=view.industry,
        applicant=view.applicant,
        documents=tuple(Document(one.kind, one.digest) for one in view.documents),
        prefix=view.prefix,
        state=ApplicationState(view.state),
    )
    try:
        return take(application, step, person, now, words=words, prefix=prefix)
    except StepError as error:
        raise Problem(
            409, error.reason.value, "The step cannot be taken", str(error).removeprefix(f"{error.reason}: ")
        ) from None


def _row(connection: Connection, number: int) -> Any:
    row = rows.find(connection, number)
    if row is None:
        raise not_found(f"application {number}")
    return row


def _check_open(row: Any) -> None:
    if row.state not in _OPEN:
        raise Problem(409, "application-state", "The application cannot be changed", f"it is {row.state}")


def _note(connection: Connection, subject: Subject, verb: str, number: int, now: int, detail: str) -> None:
    audit.record(connection, subject, f"identifier.application-{verb}", f"application/{number}", now, detail)


def _document(row: Any) -> DocumentView:
    return DocumentView(row.kind, row.name, row.media_type, row.size, row.digest)


def _view(row: Any, documents: Any) -> ApplicationView:
    return ApplicationView(
        row.id,
        row.name,
        row.credit_code,
        row.region,
        row.industry,
        row.contact,
        row.wanted_prefix,
        row.applicant,
        [_document(one) for one in documents],
        row.prefix,
        row.state,
        [step.value for step in next_steps(ApplicationState(row.state))],
        format_rfc3339(row.created_at),
        format_rfc3339(row.changed_at),
    )
