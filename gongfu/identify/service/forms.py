"""Templates made ready for writes: by number, and by the names that writes call them by."""

from collections.abc import Mapping

from gongfu.identify.service.deciding import Form, Refused, names_of
from gongfu.identify.service.encoding import Encoder
from gongfu.identify.service.writes import WriteCode
from gongfu.identify.templates.types import Template, TemplateState
from gongfu.identify.templates.validation import Checker


class Forms:
    """All versions of all templates of a node. Checkers are compiled when they are first needed."""

    def __init__(self, templates: Mapping[int, Template]) -> None:
        """Take templates by number."""
        self._templates = templates
        self._made: dict[int, Form] = {}
        self._numbers: dict[str, int] = {}
        for number, template in sorted(templates.items(), key=lambda item: item[1].version):
            name, exact = names_of(template)
            self._numbers[exact] = number
            if template.state is TemplateState.PUBLISHED:
                self._numbers[name] = number

    def of(self, number: int) -> Form | None:
        """Return the template with a number; None for 0, which is none.

        Raises:
            Refused: INVALID: it is not known.
        """
        if not number:
            return None
        form = self._made.get(number)
        if form is None:
            template = self._templates.get(number)
            if template is None:
                raise Refused(WriteCode.INVALID, f"template number {number} is lost")
            checker = Checker(template)
            form = self._made[number] = Form(number, checker, Encoder(number, checker))
        return form

    def published(self, name: str) -> Form | None:
        """Return the published version that ``name`` or ``name@version`` means; None for "".

        Raises:
            Refused: INVALID: there is none.
        """
        if not name:
            return None
        number = self._numbers.get(name)
        if number is None:
            raise Refused(WriteCode.INVALID, f"no published template {name[:100]}")
        form = self.of(number)
        assert form is not None
        if form.template.state is not TemplateState.PUBLISHED:
            raise Refused(WriteCode.INVALID, f"template {name} is {form.template.state}")
        return form
