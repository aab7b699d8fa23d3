"""Sound to latents and back, tile by tile, around any codec class."""
