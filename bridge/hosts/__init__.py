"""Put the host scripts where a DAW finds them. The scripts themselves lie in ``daw_scripts``; nothing here runs inside a host."""

from bridge.hosts.install import HOSTS, Installed, install
from bridge.hosts.remove import remove

__all__ = ["HOSTS", "Installed", "install", "remove"]
