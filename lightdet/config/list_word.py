"""The form in which a text, or a list of names, is written on the command line. No torch here."""

import re
import shlex
from collections.abc import Sequence

# A name in quotes, or what lies between commas outside of parentheses.
ITEM = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?:\([^()]*\)|[^,])+)\s*""")


def list_word(key: str, names: Sequence[str]) -> str:
    """`key=[names]` for a shell, each name in the quotes that Hydra needs for what is no plain word."""
    return shlex.quote(f"{key}=[" + ",".join(map(quoted, names)) + "]")


def quoted(text: str) -> str:
    """A text in the quotes of Hydra, to which a backslash means something only before a quote or `${`."""
    escaped = re.sub(r'(\\*)("|$)', lambda match: match[1] * 2 + ('\\"' if match[2] else ""), text)
    return '"' + re.sub(r"(\\*)\$\{", r"\1\1\\${", escaped) + '"'


def names_in(text: str) -> list[str]:
    """The names in a text that was meant as a list, `[a,b (c),"d,e"]` or `a`."""
    inner = text.strip().removeprefix("[").removesuffix("]")
    return [name.strip()[1:-1] if name.strip()[:1] in ("'", '"') else name.strip() for name in ITEM.findall(inner)]
