"""The folder for temporary files, where sockets must fit as well. No torch here."""

import os
import tempfile

SOCKET = 107  # bytes of the longest path of a socket that Linux takes
NAME = 48  # of them for what multiprocessing, torch and trackers append
SHORT = "/tmp"


def settle_temporary_folder() -> None:
    """Replaces a $TMPDIR in which no socket fits by /tmp, for this process and its children.

    Processes that share work talk through sockets there. lightdet keeps nothing large in it.
    """
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) > SOCKET - NAME and os.access(SHORT, os.W_OK | os.X_OK):
        os.environ["TMPDIR"] = tempfile.tempdir = SHORT
