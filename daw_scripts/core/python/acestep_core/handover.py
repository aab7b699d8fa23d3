"""What somebody sent to this host from the studio page, taken out of the spool folder by renaming its file: one script has it."""

import json
import os

FORMAT, VERSION = "acestep-bridge/handover", 1


def _path(folder, host):
    return os.path.join(folder, f"handover-{host}.json")


def waits(folder, host):
    """Whether something waits for a host."""
    return os.path.isfile(_path(folder, host))


def take(folder, host, mark):
    """All that waits for a host: a list of ``{title, job}``. ``mark`` is a name that no other script uses."""
    own = os.path.join(folder, f"handover-{mark}.taken")
    try:
        os.rename(_path(folder, host), own)
    except OSError:  # another script was quicker
        return []
    try:
        with open(own, encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError):
        data = {}
    os.remove(own)
    if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != VERSION:
        return []
    return data.get("results", [])


def pending(sent, name, position, rate):
    """What has to be known to place it: on new tracks, from a sample of the timeline on."""
    return {
        "id": name,
        "group": name,
        "press": name,
        "action": "generate",
        "place": "track",
        "title": f"Sent: {sent['title']}",
        "operation": sent["job"]["operation"],
        "rate": rate,
        "origin": position,
        "first": position,
        "last": position,
    }
