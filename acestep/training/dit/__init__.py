"""Joint training of text encoder, condition encoder, tokenizer pair and diffusion transformer on codec latents."""
