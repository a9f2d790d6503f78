"""Whether W&B runs online, offline or not at all, decided so that it can neither ask nor hang.

W&B itself, without a key, prompts on a terminal and raises elsewhere; with a key and no network it waits for 90 s; and
an empty WANDB_MODE is an error to it. So the question is answered here and W&B is told.
"""

import netrc
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

ANSWER_SECONDS = 5.0
SPELLINGS = {"run": "online", "shared": "online", "dryrun": "offline"}
CLOUD = "api.wandb.ai"  # the netrc entry that W&B accepts for its cloud, whatever the cloud's present name
CLOUD_ALIASES = ("https://api.wandb.ai", "https://api.forge.coreweave.com")
MODES = ("auto", "online", "offline", "disabled")


def decide(asked: str, environment: Mapping[str, str], base_url: str, api_key: str | None = None) -> tuple[str, str]:
    """(mode, reason): mode is online, offline or disabled; reason says in a few words why it is not online.

    `asked` is the option's own mode; with "auto" WANDB_MODE decides. Online needs a key, and a host that answers.
    """
    said = environment.get("WANDB_MODE", "").strip().lower() if asked == "auto" else asked
    said = SPELLINGS.get(said, said) or "auto"
    if environment.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes") or said == "disabled":
        return "disabled", "it is switched off"
    if said == "offline":
        return "offline", "offline was asked for"
    unknown = "" if said in MODES else f"; WANDB_MODE={said} is none of {', '.join(MODES)}"
    if not (api_key or has_key(environment, base_url)):
        return "offline", "no API key was found" + unknown
    if not answers(base_url):
        return "offline", f"{base_url} did not answer within {ANSWER_SECONDS:.0f} s" + unknown
    return "online", ""


def has_key(environment: Mapping[str, str], base_url: str) -> bool:
    """Whether W&B would find a key without asking: in the environment or in a netrc file."""
    if environment.get("WANDB_API_KEY", "").strip() or environment.get("WANDB_IDENTITY_TOKEN_FILE", "").strip():
        return True
    hosts = {urlparse(base_url).netloc, CLOUD if base_url in CLOUD_ALIASES else ""} - {""}
    home = Path.home()
    for path in (environment.get("NETRC"), home / ".netrc", home / "_netrc"):
        try:
            if path and Path(path).is_file() and any(map(netrc.netrc(path).authenticators, hosts)):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def answers(base_url: str, seconds: float = ANSWER_SECONDS) -> bool:
    """Whether the host sends any HTTP response in time, through the proxy that the environment names.

    In a thread of its own, because no timeout bounds the look-up of a name.
    """
    heard = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{base_url.rstrip('/')}/healthz", timeout=seconds):
                heard.set()
        except urllib.error.HTTPError:
            heard.set()  # a refusal is an answer
        except (OSError, ValueError):
            return

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return heard.is_set()


@contextmanager
def without_mode() -> Iterator[None]:
    """WANDB_MODE out of the environment while W&B reads its settings; what it said goes to W&B as an argument."""
    said = os.environ.pop("WANDB_MODE", None)
    try:
        yield
    finally:
        if said is not None:
            os.environ["WANDB_MODE"] = said
