"""Training: songs, codec, DiT, evaluation, export. Imported by the training commands and the worker only, never by
the daemon."""
