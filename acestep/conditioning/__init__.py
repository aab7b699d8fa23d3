"""What the model is told besides noise: prompts, masks, source latents, guides."""
