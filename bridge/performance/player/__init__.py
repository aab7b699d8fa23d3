"""The player: a process of its own that owns the sound card, plays slots on the bar and keeps the capture ring.

It shares no interpreter with the daemon, so neither a busy queue nor a garbage collection there can be heard.
"""
