"""The two phases of codec training and the export of a finished codec.

Phase one never makes a sound: the decoder's trunk reads the encoder's own features back through the bottleneck, and the
oscillators aim at amplitudes read off the spectrum. Phase two compares sounds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from acestep.networks.nano_codec import NanoCodec
from acestep.networks.spectra import FRAME, Analysis
from acestep.training.codec.data import CropPool
from acestep.training.codec.loss import TRAINING, harmonic_distance, spectral_distance
from acestep.training.codec.targets import oscillator_amplitudes
from acestep.training.parallel import Group, mixed_precision
from acestep.training.run import Run, decay, plot_history
from acestep.training.songs.bank import open_bank
from acestep.training.start import start_codec

FEATURE_WEIGHT, AMPLITUDE_WEIGHT, KL_WEIGHT = 0.3, 0.25, 3e-4
HARMONY_WEIGHT = 2.0  # at 4, single stems got worse
LATER_SHARE = 0.4  # of the amplitude term's weight in phase two
MIN_SCALE = 0.05


@dataclass(frozen=True, slots=True)
class CodecSettings:
    """`feature_share` of the time goes to phase one, half as much in a run that begins from finished weights: the read-out
    is not shipped and must be learned anew. A process takes `batch` crops of `frames` latent frames a step.

    `decoder_only` leaves the encoder and the latents' scale as they are, so that transformers trained on them stay valid;
    there is no phase one then.
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
    """The codec plus the feature read-out that only training needs."""

    def __init__(self, codec: NanoCodec, decoder_only: bool = False) -> None:
        super().__init__()
        self.codec, self.decoder_only = codec, decoder_only
        for module in (codec.encoder_in, codec.encoder, codec.posterior):
            module.requires_grad_(not decoder_only)
        self.readout = nn.Linear(codec.config.decoder_width, Analysis.WIDTH)

    def losses(self, waveform: Tensor, features_only: bool) -> dict[str, Tensor]:
        """[B, 2, T * 1920] -> weighted terms; their sum is the loss."""
        codec = self.codec
        with torch.no_grad():
            features = codec.analysis(waveform)
        with mixed_precision(waveform.device):
            mean, log_variance = (part.float() for part in codec.encode_features(features))
            raw = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
            hidden = codec.decode_hidden(raw)
            feature = (self.readout(hidden) - features).abs().mean()
            subframes = codec.subframe_hidden(hidden).float()
        aimed = (
            slice(None) if features_only else slice(len(waveform) // 2 + 1)
        )  # half of the crops keep the aim later on
        amplitude = AMPLITUDE_WEIGHT * self._amplitude_error(waveform[aimed], subframes[aimed])
        kl = KL_WEIGHT * 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        if features_only:
            return {"feature": feature, "kl": kl, "amplitude": amplitude}
        first = random.randrange(256)  # another place in the noise table and another phase each time
        sound = compare_sounds(codec.synthesise(subframes, first), waveform)
        heard = {"sound": sound, "amplitude": LATER_SHARE * amplitude}
        return heard if self.decoder_only else heard | {"feature": FEATURE_WEIGHT * feature, "kl": kl}

    def _amplitude_error(self, waveform: Tensor, subframes: Tensor) -> Tensor:
        with torch.no_grad():
            target = torch.log(oscillator_amplitudes(waveform, self.codec.oscillators.frequencies) + 1e-4)
        made = self.codec.log_amplitudes(subframes)
        made = made.unflatten(2, (-1, 2)).mean(3)  # 100 Hz -> 50 Hz
        return (made - target[:, None]).abs().mean()


def compare_sounds(made: Tensor, wanted: Tensor) -> Tensor:
    """Spectral distance of the mid signal and one side at two of the resolutions, drawn anew each time, and of the harmony.

    A random offset lets frames fall everywhere.
    """
    side, start = random.randrange(2), random.randrange(2048)

    def lines(sound: Tensor) -> Tensor:
        sound = sound[..., start:]
        return torch.cat([sound.sum(1), sound[:, side]])

    outputs, targets = lines(made), lines(wanted)
    mids = slice(len(made))
    harmony = harmonic_distance(outputs[mids], targets[mids])
    return spectral_distance(outputs, targets, tuple(random.sample(TRAINING, 2))) + HARMONY_WEIGHT * harmony


def train_codec(group: Group, folder: Path, settings: CodecSettings) -> None:
    """Train (or go on training) in `folder` for the given time; leaves `vae/` and `loss.png` there.

    A fresh run with `settings.start` begins from that checkpoint's codec.
    """
    torch.manual_seed(settings.seed)
    trainer = CodecTrainer(NanoCodec(), settings.decoder_only).to(settings.device)
    torch.manual_seed(settings.seed + group.rank)
    random.seed(settings.seed + group.rank)
    optimizer = torch.optim.AdamW(
        [value for value in trainer.parameters() if value.requires_grad],
        lr=settings.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=1e-3,
        foreach=True,
    )
    run = Run(folder, settings.seconds, leads=group.leads)
    state = run.resume()
    if state:
        trainer.load_state_dict(state["trainer"])
        optimizer.load_state_dict(state["optimizer"])
    elif settings.start:
        start_codec(trainer.codec, settings.start)
    first = state["next_song"] if state else 0
    pool = CropPool(open_bank(), settings.pool, first + group.rank, stride=group.size)

    def snapshot() -> dict:
        return {"trainer": trainer.state_dict(), "optimizer": optimizer.state_dict(), "next_song": pool.next_song}

    feature_share = 0 if settings.decoder_only else settings.feature_share / (2 if settings.start else 1)
    for step in run.steps(snapshot):
        if step % settings.renew_every == 0:
            pool.renew()
        for parameters in optimizer.param_groups:
            parameters["lr"] = settings.learning_rate * decay(run.fraction, step)
        losses = trainer.losses(
            pool.batch(settings.batch, settings.frames * FRAME).to(settings.device),
            features_only=run.fraction < feature_share,
        )
        optimizer.zero_grad()
        sum(losses.values()).backward()
        run.elapsed = group.average_gradients(trainer, run.clock())
        nn.utils.clip_grad_norm_(trainer.parameters(), 1.0)
        optimizer.step()
        run.track(**{name: loss.item() for name, loss in losses.items()})
        run.report()
    if group.leads:
        if not settings.decoder_only:
            calibrate(trainer.codec.eval(), pool)
        trainer.codec.save_pretrained(folder / "vae")
        plot_history(run.history, folder / "loss.png", "codec")


@torch.inference_mode()
def calibrate(codec: NanoCodec, pool: CropPool, batches: int = 24) -> None:
    """Measure mean and scale of every latent channel, so that `encode` gives about unit variance."""
    codec.latent_mean.zero_()
    codec.latent_scale.fill_(1.0)
    crops = (pool.batch(8, 96 * FRAME).to(codec.device) for _ in range(batches))
    latents = torch.cat([codec.encode(crop).transpose(1, 2).flatten(0, 1) for crop in crops])
    codec.latent_mean.copy_(latents.mean(0))
    codec.latent_scale.copy_(latents.std(0).clamp(min=MIN_SCALE))
