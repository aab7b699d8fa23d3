"""Sound files and sample positions: probing, reading windows, resampling, splicing, writing. Torch-free."""
