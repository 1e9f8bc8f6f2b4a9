"""Which texts PostgreSQL can store."""


def unstorable(text: str) -> str | None:
    """What a text holds that no column can; `None` if it can be stored."""
    if "\0" in text:
        return "the character U+0000"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "a lone surrogate, which UTF-8 cannot carry"
    return None
