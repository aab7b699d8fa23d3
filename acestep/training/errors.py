"""What can go wrong in training, each with its code word; flat, one class per cause."""

from __future__ import annotations

from pathlib import Path


class TrainingError(Exception):
    code = "training_failed"


class SoundFontMissing(TrainingError):
    """No sound font where one is looked for; the sentence names the command that installs it."""

    code = "sound_font_missing"

    def __init__(self, named: str | None = None) -> None:
        place = f"{named} (ACESTEP_BRIDGE_SOUND_FONT) is not a file" if named else "FluidR3_GM.sf2 was not found"
        super().__init__(
            f"{place}. Install it with `apt install fluid-soundfont-gm` (Debian, Ubuntu), `dnf install "
            "fluid-soundfont-gm` (Fedora) or point ACESTEP_BRIDGE_SOUND_FONT at the file."
        )


class SynthesiserMissing(TrainingError):
    """The library that plays the sound font is not a dependency of the package: only training needs it."""

    code = "synthesiser_missing"

    def __init__(self) -> None:
        super().__init__("rendering the sound font needs tinysoundfont: `pip install --no-deps tinysoundfont`")


class CheckpointUnwritable(TrainingError):
    """The disk refused a checkpoint; the one before it is untouched."""

    code = "checkpoint_unwritable"

    def __init__(self, path: Path, cause: Exception) -> None:
        super().__init__(f"could not write {path} ({cause}); the previous checkpoint is unchanged")


class CheckpointUnreadable(TrainingError):
    code = "checkpoint_unreadable"

    def __init__(self, path: Path, cause: Exception) -> None:
        super().__init__(f"{path} is not a training checkpoint of this version ({cause}); remove it to start afresh")


class CodecUnreadable(TrainingError):
    code = "codec_unreadable"

    def __init__(self, path: Path, cause: Exception) -> None:
        reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        super().__init__(
            f"{path} holds no codec of this version ({reason}); name the folder that `codec` or `export` wrote, vae/"
        )


class NoSuchTrial(TrainingError):
    code = "no_such_trial"

    def __init__(self, unknown: list[str], known: list[str]) -> None:
        super().__init__(f"there is no trial {', '.join(map(repr, unknown))}; there are {', '.join(map(repr, known))}")


class RunMissing(TrainingError):
    code = "run_missing"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"there is no {path}: `dit` trains a run; `evaluate --start` makes one of a checkpoint's weights"
        )


class StartUnsuited(TrainingError):
    """The checkpoint that training should go on from cannot be used."""

    code = "start_unsuited"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"training cannot continue from {path}: {reason}")


class ProcessEnded(TrainingError):
    """One of several processes is gone, and has said nothing: killed, mostly for memory."""

    code = "process_ended"

    def __init__(self, exit_code: int | None = None) -> None:
        how = "" if exit_code is None else f" (exit code {exit_code})"
        super().__init__(
            f"one of the processes ended unexpectedly{how}, perhaps because memory ran out; run the same command again to continue"
        )
