"""Stored latents: written, read, decoded, and looked for in the library; what looks for them needs no torch.

Their header is read in `acestep.audio`, below this package: a source may be a latent as well as a sound, and `sniff` tells which.
"""
