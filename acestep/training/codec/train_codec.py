"""The two phases of codec training and the export of a finished codec.

Phase one never makes a sound: the decoder's trunk reads the encoder's own features back through the bottleneck, and the
oscillators aim at amplitudes read off the spectrum. Phase two compares sounds.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from acestep.networks.nano_codec import NanoCodec
from acestep.networks.spectra import FRAME, Analysis
from acestep.training.codec.codec_targets import oscillator_amplitudes
from acestep.training.codec.data import CropPool
from acestep.training.codec.loss import TRAINING, harmonic_distance, spectral_distance
from acestep.training.parallel import ProcessGroup, mixed_precision
from acestep.training.run import TrainingRun, decay, plot_history
from acestep.training.songs.bank import open_bank
from acestep.training.start import START_SHARE, start_codec
from acestep.training.weights import save_codec

FEATURE_WEIGHT, AMPLITUDE_WEIGHT, KL_WEIGHT = 0.3, 0.25, 3e-4
HARMONY_WEIGHT = 8.0  # in mixes only: on single stems, most of all drums, it costs level and colour
LEASH_WEIGHT = 0.5
LATER_SHARE = 0.4  # of the amplitude term's weight in phase two
MIN_SCALE = 0.05


@dataclass(frozen=True, slots=True)
class CodecSettings:
    """`feature_share` of the time goes to phase one. A process takes `batch` crops of `frames` latent frames a step.

    A run that begins from finished weights (`start`) has no phase one and half the learning rate: its encoder is on a leash,
    which keeps the latents near those that transformers were trained on, and their scale stays. `decoder_only` leaves the
    encoder as it is.
    """

    seconds: float
    feature_share: float = 0.16
    batch: int = 6
    frames: int = 48
    learning_rate: float = 1e-3
    pool: int = 48
    device: str = "cpu"
    start: Path | None = None
    decoder_only: bool = False
    renew_every: int = 3
    seed: int = 0


class CodecTrainer(nn.Module):
    """The codec plus what only training needs: a feature read-out, or the codec that a run began from."""

    def __init__(self, codec: NanoCodec, origin: NanoCodec | None = None, decoder_only: bool = False) -> None:
        super().__init__()
        self.codec, self.decoder_only = codec, decoder_only
        for module in (codec.encoder_in, codec.encoder, codec.posterior):
            module.requires_grad_(not decoder_only)
        self.origin = None if origin is None else origin.requires_grad_(False)
        self.readout = nn.Linear(codec.decoder_in.out_features, Analysis.WIDTH) if origin is None else None

    def losses(self, waveform: Tensor, mixed: Tensor, features_only: bool) -> dict[str, Tensor]:
        """[B, 2, T * 1920], and which are of several stems [B] -> weighted terms; their sum is the loss."""
        codec = self.codec
        with torch.no_grad():
            features = codec.analysis(waveform)
        with mixed_precision(waveform.device):
            mean, log_variance = (part.float() for part in codec.encode_features(features))
            raw = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
            hidden = codec.decode_hidden(raw)
            subframes = codec.subframe_hidden(hidden).float()
        aimed = slice(None if features_only else len(waveform) // 2 + 1)  # half of the crops keep the aim later on
        amplitude = AMPLITUDE_WEIGHT * self._amplitude_error(waveform[aimed], subframes[aimed])
        kl = KL_WEIGHT * 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        if features_only:
            return {"feature": self._feature_error(hidden, features), "kl": kl, "amplitude": amplitude}
        first = random.randrange(256)  # another place in the noise table and another phase each time
        losses = {"amplitude": LATER_SHARE * amplitude}
        losses |= compare_sounds(codec.synthesise(subframes, first), waveform, mixed)
        if self.decoder_only:
            return losses
        if self.origin is None:
            return losses | {"kl": kl, "feature": FEATURE_WEIGHT * self._feature_error(hidden, features)}
        return losses | {"kl": kl, "drift": LEASH_WEIGHT * self._drift(mean, features)}

    def _feature_error(self, hidden: Tensor, features: Tensor) -> Tensor:
        assert self.readout is not None
        with mixed_precision(features.device):
            return (self.readout(hidden) - features).abs().mean()

    def _drift(self, mean: Tensor, features: Tensor) -> Tensor:
        """How far the latents went from those of the origin: mean square, of unit variance."""
        assert self.origin is not None
        with torch.no_grad(), mixed_precision(features.device):
            before, _ = self.origin.encode_features(features)
        return ((mean - before) / self.codec.latent_scale).square().mean()

    def _amplitude_error(self, waveform: Tensor, subframes: Tensor) -> Tensor:
        with torch.no_grad():
            target = torch.log(oscillator_amplitudes(waveform, self.codec.oscillators.frequencies) + 1e-4)
        made = self.codec.log_amplitudes(subframes)
        made = made.unflatten(2, (-1, 2)).mean(3)  # 100 Hz -> 50 Hz
        return (made - target[:, None]).abs().mean()


def compare_sounds(made: Tensor, wanted: Tensor, mixed: Tensor) -> dict[str, Tensor]:
    """Spectral distance of the mid signal and one side at two of the resolutions, drawn anew each time; distance of the
    harmony where several stems sound (`mixed`). A random offset lets frames fall everywhere.
    """
    side, start = random.randrange(2), random.randrange(2048)

    def lines(sound: Tensor) -> Tensor:
        sound = sound[..., start:]
        return torch.cat([sound.sum(1), sound[:, side]])

    outputs, targets = lines(made), lines(wanted)
    mids = mixed.nonzero()[:, 0]
    harmony = harmonic_distance(outputs[mids], targets[mids]) if len(mids) else outputs.new_zeros(())
    sound = spectral_distance(outputs, targets, tuple(random.sample(TRAINING, 2)))
    return {"sound": sound, "harmony": HARMONY_WEIGHT * harmony}


def train_codec(group: ProcessGroup, folder: Path, settings: CodecSettings) -> None:
    """Train (or go on training) in `folder` for the given time; leaves `vae/` and `loss.png` there.

    A fresh run with `settings.start` begins from that checkpoint's codec.
    """
    torch.manual_seed(settings.seed)
    codec, origin = NanoCodec(), None
    if settings.start:
        start_codec(codec, settings.start)
        origin = None if settings.decoder_only else copy.deepcopy(codec)
    trainer = CodecTrainer(codec, origin, settings.decoder_only).to(settings.device)
    torch.manual_seed(settings.seed + group.rank)
    random.seed(settings.seed + group.rank)
    optimizer = torch.optim.AdamW(
        [value for value in trainer.parameters() if value.requires_grad],
        lr=settings.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=1e-3,
        foreach=True,
    )
    run = TrainingRun(folder, settings.seconds, leads=group.leads)
    state = run.resume()
    if state:
        trainer.load_state_dict(state["trainer"])
        optimizer.load_state_dict(state["optimizer"])
    first = state["next_song"] if state else 0
    pool = CropPool(open_bank(), settings.pool, first + group.rank, stride=group.size)

    def snapshot() -> dict:
        return {"trainer": trainer.state_dict(), "optimizer": optimizer.state_dict(), "next_song": pool.next_song}

    feature_share, rate = settings.feature_share, settings.learning_rate
    if settings.start:
        feature_share, rate = 0.0, START_SHARE * rate
    for step in run.steps(snapshot):
        if step % settings.renew_every == 0:
            pool.renew()
        for parameters in optimizer.param_groups:
            parameters["lr"] = rate * decay(run.fraction, step)
        waveform, mixed = (part.to(settings.device) for part in pool.batch(settings.batch, settings.frames * FRAME))
        losses = trainer.losses(waveform, mixed, features_only=run.fraction < feature_share)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        run.elapsed = group.average_gradients(trainer, run.clock())
        nn.utils.clip_grad_norm_(trainer.parameters(), 1.0)
        optimizer.step()
        run.track(**{name: loss.item() for name, loss in losses.items()})
        run.report()
    if group.leads:
        if not settings.start:
            calibrate(trainer.codec.eval(), pool)
        save_codec(trainer.codec, folder / "vae")
        plot_history(run.history, folder / "loss.png", "codec")


@torch.inference_mode()
def calibrate(codec: NanoCodec, pool: CropPool, batches: int = 24) -> None:
    """Measure mean and scale of every latent channel, so that `encode` gives about unit variance."""
    codec.latent_mean.zero_()
    codec.latent_scale.fill_(1.0)
    crops = (pool.batch(8, 96 * FRAME)[0].to(codec.device) for _ in range(batches))
    latents = torch.cat([codec.encode(crop).transpose(1, 2).flatten(0, 1) for crop in crops])
    codec.latent_mean.copy_(latents.mean(0))
    codec.latent_scale.copy_(latents.std(0).clamp(min=MIN_SCALE))
