"""What the environment says of servers: whether any may be asked, and the Hugging Face Hub."""

import os

__all__ = ["HUB_OFFLINE", "OFFLINE", "is_offline", "is_told"]

OFFLINE, HUB_OFFLINE = "CURATE_OFFLINE", "HF_HUB_OFFLINE"


def is_told(name: str) -> bool:
    """Tell whether a variable of the environment is set to something that is no "no"."""
    return os.environ.get(name, "").strip().lower() not in ("", "0", "false", "no", "off")


def is_offline() -> bool:
    """Tell whether no model is to be fetched: CURATE_OFFLINE, or HF_HUB_OFFLINE, says so."""
    return is_told(OFFLINE) or is_told(HUB_OFFLINE)
