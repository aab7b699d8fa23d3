"""Adapters on one's own music: songs become latents and conditions once, and a LoRA, DoRA or LoKr is trained on them."""
