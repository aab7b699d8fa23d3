"""The daemon: doors, jobs, worker supervision, audio library, client and CLI. Never imports torch."""
