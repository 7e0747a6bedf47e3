"""Texts of alarms: in one language, or in Chinese and English."""

from collections.abc import Mapping

# A text, or ``{"zh": …, "en": …}``.
Text = str | Mapping[str, str]


def texts_of(message: Text) -> tuple[str, str]:
    """Return the text for everybody (English where there are two), and the Chinese one, empty when there is none.

    Raises:
        ValueError: it is a mapping without exactly a text for ``zh`` and one for ``en``.
    """
    if isinstance(message, str):
        return message, ""
    if set(message) != {"zh", "en"} or not all(isinstance(text, str) and text for text in message.values()):
        raise ValueError("a message is a text, or {'zh': …, 'en': …} with both")
    return message["en"], message["zh"]
