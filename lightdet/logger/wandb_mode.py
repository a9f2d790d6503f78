"""Decides whether W&B runs online, offline or not at all, so that it neither prompts nor hangs.

Left alone without a key, W&B prompts on a terminal and raises elsewhere; with a key and no network it waits for 90 s;
and it rejects an empty WANDB_MODE. The mode is therefore decided here and passed to `wandb.init`.
"""

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

ANSWER_SECONDS = 5.0
SPELLINGS = {"run": "online", "shared": "online", "dryrun": "offline"}
MODES = ("auto", "online", "offline", "disabled")


def has_key() -> bool:
    """Whether W&B has credentials for its server: in the environment, its settings or a netrc file."""
    import wandb

    return wandb.run is not None or wandb.login(prompt=False, verify=False)


def decide(
    option: str, environment: Mapping[str, str], base_url: str, key: Callable[[], bool] = has_key
) -> tuple[str, str]:
    """(mode, reason): mode is online, offline or disabled; reason states why it is not online.

    `option` is logger.wandb.mode; with "auto" WANDB_MODE decides. Online needs a key and a host that answers.
    """
    wanted = environment.get("WANDB_MODE", "").strip().lower() if option == "auto" else option
    wanted = SPELLINGS.get(wanted, wanted) or "auto"
    if environment.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes") or wanted == "disabled":
        return "disabled", "it is switched off"
    if wanted == "offline":
        return "offline", "as configured"
    unknown = "" if wanted in MODES else f"; WANDB_MODE={wanted} is none of {', '.join(MODES)}"
    if not key():
        return "offline", "there is no API key" + unknown
    if not answers(base_url):
        return "offline", f"{base_url} did not answer within {ANSWER_SECONDS:.0f} s" + unknown
    return "online", ""


def answers(base_url: str, seconds: float = ANSWER_SECONDS) -> bool:
    """Whether the host sends any HTTP response in time, through the proxy that the environment names.

    Runs in a thread, because no timeout bounds the resolution of a host name.
    """
    answered = threading.Event()

    def request() -> None:
        try:
            with urllib.request.urlopen(f"{base_url.rstrip('/')}/healthz", timeout=seconds):
                answered.set()
        except urllib.error.HTTPError:
            answered.set()  # a refusal is an answer
        except (OSError, ValueError):
            return

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()


@contextmanager
def without_mode() -> Iterator[None]:
    """WANDB_MODE removed from the environment while W&B reads its settings; its value is passed as an argument."""
    value = os.environ.pop("WANDB_MODE", None)
    try:
        yield
    finally:
        if value is not None:
            os.environ["WANDB_MODE"] = value
