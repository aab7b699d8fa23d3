"""Stored latents as tensors: written, read and decoded. Headers and folders, without torch: `acestep.audio`."""
