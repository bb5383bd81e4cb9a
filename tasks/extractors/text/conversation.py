"""What a text encoder is given of a conversation: the words, and in context also who says them."""


def conversation_texts(
    speakers: list[str | None], texts: list[str | None], context: int
) -> tuple[list[int], list[str]]:
    """The turns that have a text, and what is read of each: the text alone, or after its speaker's name."""
    spoken = [index for index, text in enumerate(texts) if text and text.strip()]
    return spoken, [_read(speakers[index], texts[index] or "", context) for index in spoken]


def _read(speaker: str | None, text: str, context: int) -> str:
    return f"{speaker}: {text}" if context and speaker is not None else text
