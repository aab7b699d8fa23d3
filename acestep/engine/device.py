"""Which device and number type the networks run with: one choice for the whole program, made in `acestep.checkpoints.devices`."""

from acestep.checkpoints.devices import choose_device, choose_dtype, free_cache

__all__ = ["choose_device", "choose_dtype", "free_cache"]
