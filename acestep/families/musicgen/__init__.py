"""MusicGen through transformers: a language model of EnCodec's codes, 50 frames a second of 4 codebooks (stereo: 8).

Its latents are those codes as numbers, so that what is kept of a source goes through the model code by code. transformers and torch
are imported by `runtime` and `network` alone, and transformers only inside functions.
"""
