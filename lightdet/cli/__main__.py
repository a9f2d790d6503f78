"""`python -m lightdet.cli` is the command `lightdet`."""

import sys

from lightdet.cli.main import program

if __name__ == "__main__":
    sys.exit(program())
