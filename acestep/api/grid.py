"""The grid of a codec's latent frames: how sound of any rate becomes frames and comes back to the sample. No torch."""

from __future__ import annotations

from math import gcd

import msgspec

from acestep.api import limits


class LatentGrid(msgspec.Struct, frozen=True, kw_only=True):
    """Frames of ``hop`` samples at ``rate``, each with ``channels`` numbers. The default is that of the 25-frame codec.

    A window has at least ``least`` frames, a whole number of ``multiple``, and where ``most`` is not 0 at most so many.
    """

    rate: int = limits.CODEC_RATE
    hop: int = limits.HOP
    channels: int = limits.LATENT_CHANNELS
    least: int = round(limits.MIN_DURATION * limits.FRAMES_PER_SECOND)
    multiple: int = 10
    """Windows are whole DiT patches (2 frames) and whole semantic codes (5 frames)."""
    most: int = 0

    def samples(self, frames: int, rate: int) -> int:
        """Samples at ``rate`` before frame ``frames``, rounded down."""
        return frames * self.hop * rate // self.rate

    def frame_at(self, samples: int, rate: int) -> int:
        """The frame in which a sample at ``rate`` lies."""
        return samples * self.rate // (self.hop * rate)

    def covering(self, samples: int, rate: int) -> int:
        """Frames that hold so many samples at ``rate``."""
        return -(-samples * self.rate // (self.hop * rate))

    def grain(self, rate: int) -> int:
        """The least number of frames that is a whole number of samples at ``rate``: 1 at usual rates for 40 ms frames."""
        return self.rate // gcd(self.rate, self.hop * rate)

    def seconds(self, frames: int) -> float:
        """How long frames last."""
        return frames * self.hop / self.rate

    def window(self, samples: int, rate: int) -> int:
        """Frames of a window that holds ``samples``: within the model's minimum, and a multiple of what it needs."""
        return -(-max(self.covering(samples, rate), self.least) // self.multiple) * self.multiple
