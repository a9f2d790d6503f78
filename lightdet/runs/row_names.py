"""Folder names of a study's rows: the swept choices, or what differs from registered rows. No torch here."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightdet.config.names import counts, short_slug, slug
from lightdet.config.tree import digest
from lightdet.core.errors import LightdetError

Words = tuple[str, ...]  # the overrides of a row that change its training, sorted, without the seed


def counted(overrides: Sequence[Any]) -> Words:
    """The overrides that change the training, without the seed; they identify a row of a study."""
    words = (str(word) for word in overrides)
    return tuple(sorted(word.lstrip("+") for word in words if counts(word.partition("=")[0])))


def row_slugs(jobs: Sequence[tuple[Words, str]], registered: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The folder name of the row of each job of a command; jobs that differ in the seed alone get the same one.

    `jobs`: the overrides of each, and its `name`, or "". `registered`: the jobs of the study by their names,
    "<slug>__s<seed>", with their "overrides". A row with registered overrides keeps its name. A new one is named after
    the overrides in which the jobs of the command differ, or after all of them where none differ; where that name is
    taken by another row, the overrides that the other row lacks are added. Raises LightdetError for one `name` given to
    jobs that differ in more than the seed.
    """
    owners = {
        name.rpartition("__s")[0]: counted(facts["overrides"])
        for name, facts in registered.items()
        if isinstance(facts.get("overrides"), list)
    }
    varied = _varied([words for words, _ in jobs])
    slugs = []
    for words, given in jobs:
        if given and any(other == given and others != words for others, other in jobs):
            raise LightdetError(f"name={given}: the jobs of this sweep differ in more than the seed; take study=NAME")
        known = None if given else next((slug for slug, owner in owners.items() if owner == words), None)
        names = [known] if known else _names(words, given, varied, owners)
        chosen = next(name for name in names if owners.get(name, words) == words)
        owners[chosen] = words
        slugs.append(chosen)
    return slugs


def _names(words: Words, given: str, varied: set[str], owners: Mapping[str, Words]) -> list[str]:
    """Possible names of a row, the preferred one first; the last one is unique."""
    tail = digest(list(words))
    swept = [word for word in words if word.partition("=")[0] in varied] or list(words)
    first = given or short_slug(swept)
    names = [first]
    if not given:
        beside = [word for word in words if word not in owners.get(first, words) or word in swept]
        names += [short_slug(beside), slug(list(words))]
    return [*names, f"{first}-{tail[:6]}", f"{first}-{tail}"]


def _varied(jobs: Sequence[Words]) -> set[str]:
    """The keys whose overrides are not the same in all jobs."""
    everywhere = set(jobs[0]).intersection(*jobs) if jobs else set()
    return {word.partition("=")[0] for words in jobs for word in words if word not in everywhere}
