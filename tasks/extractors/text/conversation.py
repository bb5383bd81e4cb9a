"""A conversation's turns as input of a text encoder: the words, and in context also their speaker."""


def conversation_texts(
    speakers: list[str | None], texts: list[str | None], context: int
) -> tuple[list[int], list[str]]:
    """Choose the turns that have a text, and write the input of each.

    Args:
        speakers: of each turn.
        texts: of each turn.
        context: earlier turns that a window begins with; where there are any, the speaker stands before the text.

    Returns:
        The turns' indices, and their inputs.
    """
    indices = [index for index, text in enumerate(texts) if text and text.strip()]
    prefixes = (f"{speakers[index]}: " if context and speakers[index] is not None else "" for index in indices)
    return indices, [f"{prefix}{texts[index]}" for prefix, index in zip(prefixes, indices, strict=True)]
