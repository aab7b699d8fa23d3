"""ACE-Step v1 (3.5B): UMT5 and a conformer for the words, a linear-attention transformer, a mel autoencoder and a vocoder.

Facts that hold throughout: latents are [B, 8, 16, T] with one frame per 4096 samples at 44.1 kHz (10.77 frames a second); the
flow's noise level sigma falls from 1 to 0, and the transformer is told ``1000 * sigma``. Modules whose docstring says "No torch"
may be imported by the daemon.
"""
