"""Names of a study's jobs: what their command sweeps, or what differs from the jobs that exist. No torch here."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightdet.config.names import counts, short_slug, slug
from lightdet.config.tree import digest
from lightdet.core.errors import LightdetError

Words = tuple[str, ...]  # the overrides of a row that count, sorted, seed apart


def counted(overrides: Sequence[Any]) -> Words:
    """What tells a row from the others of its study: the overrides that change the training, the seed apart."""
    words = (str(word) for word in overrides)
    return tuple(sorted(word.lstrip("+") for word in words if counts(word.partition("=")[0])))


def row_slugs(rows: Sequence[tuple[Words, str]], noted: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The folder name of each row of a command, which its seeds share.

    `rows`: the words of each, and the name that it was given, or "". `noted`: the rows of the study by their names,
    "<slug>__s<seed>", with their "overrides". A row whose words are noted keeps its name. Another one is named after
    the words in which the rows of the command differ, or after all of them where they do not; where that name belongs
    to other words, those are added that the other row does not have. Raises LightdetError for one given name on rows
    that differ in more than the seed.
    """
    owners = {
        name.rpartition("__s")[0]: counted(facts["overrides"])
        for name, facts in noted.items()
        if isinstance(facts.get("overrides"), list)
    }
    varied = _varied([words for words, _ in rows])
    slugs = []
    for words, given in rows:
        if given and any(other == given and others != words for others, other in rows):
            raise LightdetError(f"name={given}: the rows of this sweep differ in more than the seed; take study=NAME")
        known = None if given else next((slug for slug, owner in owners.items() if owner == words), None)
        names = [known] if known else _names(words, given, varied, owners)
        chosen = next(name for name in names if owners.get(name, words) == words)
        owners[chosen] = words
        slugs.append(chosen)
    return slugs


def _names(words: Words, given: str, varied: set[str], owners: Mapping[str, Words]) -> list[str]:
    """What a row could be called, the best first; the last one is nobody else's."""
    tail = digest(list(words))
    swept = [word for word in words if word.partition("=")[0] in varied] or list(words)
    first = given or short_slug(swept)
    names = [first]
    if not given:
        beside = [word for word in words if word not in owners.get(first, words) or word in swept]
        names += [short_slug(beside), slug(list(words))]
    return [*names, f"{first}-{tail[:6]}", f"{first}-{tail}"]


def _varied(rows: Sequence[Words]) -> set[str]:
    """The keys whose words are not the same in all rows."""
    everywhere = set(rows[0]).intersection(*rows) if rows else set()
    return {word.partition("=")[0] for words in rows for word in words if word not in everywhere}
