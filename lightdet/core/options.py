"""The options of a command, from its words."""

import argparse
import re
from difflib import get_close_matches
from typing import NoReturn

from lightdet.core.errors import LightdetError

UNKNOWN, MISSING = "unrecognized arguments: ", "the following arguments are required: "  # argparse's words
WRONG_VALUE = re.compile(r"invalid (\w+) value: (.*)", re.DOTALL)  # the name of the function that reads it


class OptionParser(argparse.ArgumentParser):
    """argparse's parser, which raises LightdetError for words that are wrong: it prints no usage and ends nothing."""

    def error(self, message: str) -> NoReturn:
        """`message` is argparse's."""
        raise LightdetError(f"{self._plain(message)}; `{self.prog} --help` lists the options")

    def _plain(self, message: str) -> str:
        if message.startswith(UNKNOWN):
            return self._unknown(message.removeprefix(UNKNOWN).split(" ")[0])
        if message.startswith(MISSING):
            return f"{message.removeprefix(MISSING)}: missing"
        message = message.removeprefix("argument ")
        if wrong := WRONG_VALUE.search(message):
            kind = "whole number" if wrong[1] == "int" else "number"
            return f"{message[: wrong.start()]}{wrong[2]} is no {kind}"
        return message

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"{word!r} is one word too many"
        flag = word.partition("=")[0]
        near = get_close_matches(flag, self._option_string_actions, 1)
        return f"no option {flag}" + (f", did you mean {near[0]}?" if near else "")
