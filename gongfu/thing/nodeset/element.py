"""Elements of an XML document to be written."""

import io
from xml.sax.saxutils import XMLGenerator


class Element:
    """An element with its attributes, its text and what is in it."""

    __slots__ = ("_inside", "_name", "_text", "attributes")

    def __init__(self, name: str, text: str = "", **attributes: str) -> None:
        self._name = name
        self._text = text
        self._inside: list[Element] = []
        self.attributes = attributes

    def add(self, name: str, text: str = "", **attributes: str) -> "Element":
        """Add an element inside and return it."""
        element = Element(name, text, **attributes)
        self._inside.append(element)
        return element

    def document(self) -> bytes:
        """Return the XML in UTF-8 of a document with this element as its root."""
        output = io.StringIO()
        generator = XMLGenerator(output, "utf-8", short_empty_elements=True)
        generator.startDocument()
        self._write(generator)
        generator.endDocument()
        return output.getvalue().encode()

    def _write(self, generator: XMLGenerator) -> None:
        generator.startElement(self._name, dict(self.attributes))  # pyright: ignore[reportArgumentType]
        # A carriage return as it is would be read as an end of line (XML 1.0 §2.11).
        for number, part in enumerate(self._text.split("\r")):
            if number:
                generator.ignorableWhitespace("&#13;")
            generator.characters(part)
        for element in self._inside:
            element._write(generator)
        generator.endElement(self._name)
