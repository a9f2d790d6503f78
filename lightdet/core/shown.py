"""Text of files, as a terminal may show it. No torch here."""

import unicodedata

UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # categories of Unicode that a terminal acts on or hides
JOINERS = "\u200c\u200d"  # inside of words of some languages and of emoji


def shown(text: object) -> str:
    """The text with control characters, direction marks and halves of characters written out (`\\x1b`, `\\u202e`).

    Names and reasons come from files of others: printed as they are, they could move the cursor, recolour the
    terminal, forge lines or hide a part of themselves.
    """
    plain = str(text)
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(map(_visible, plain))


def shown_lines(text: str) -> str:
    """Text of several lines, each as `shown` gives it."""
    return "\n".join(map(shown, text.split("\n")))


def counted(number: int, noun: str) -> str:
    """ "1 image", "1,260 images"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _visible(letter: str) -> str:
    if letter in JOINERS or unicodedata.category(letter) not in UNSEEN:
        return letter
    return letter.encode("unicode_escape").decode("ascii")
