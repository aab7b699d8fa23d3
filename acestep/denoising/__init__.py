"""The denoising loop: drives any sampler over the model's velocity. `times` is torch-free."""
