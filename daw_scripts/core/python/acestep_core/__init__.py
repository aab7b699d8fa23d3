"""The host-independent core for Python hosts: standard library only, no host and no socket in here."""
