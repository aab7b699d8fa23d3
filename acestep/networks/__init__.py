"""Networks of our own; everything else comes from diffusers and transformers."""
