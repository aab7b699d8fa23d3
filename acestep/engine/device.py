"""Which device and number type the networks run with: one choice for the whole program, made in `acestep.checkpoints.devices`."""

from acestep.checkpoints.devices import choose_device, choose_dtype, free_cache, hold_to_simulated, is_out_of_memory

__all__ = ["choose_device", "choose_dtype", "free_cache", "hold_to_simulated", "is_out_of_memory"]
