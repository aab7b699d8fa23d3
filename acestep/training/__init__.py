"""Training: songs, codec, DiT, evaluation, export. Imported by the training commands only, never by the daemon."""
