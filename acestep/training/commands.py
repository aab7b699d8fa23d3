"""The training commands. Torch is imported by the command that needs it, so `--help` and `songs` start at once."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from acestep.training.errors import TrainingError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a known error becomes one sentence on standard error and exit status 2."""
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except TrainingError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m acestep.training", description="Train the nano checkpoint.")
    commands = parser.add_subparsers(required=True, metavar="command")
    songs = commands.add_parser("songs", help="write synthetic songs: mix, stems, MIDI, caption")
    songs.add_argument("--out", type=Path, required=True)
    songs.add_argument("--split", choices=("train", "validation", "test"), default="train")
    songs.add_argument("--first", type=int, default=0, help="index of the first song (default 0)")
    songs.add_argument("--count", type=int, default=1)
    songs.add_argument("--seconds", type=float, default=12.0)
    songs.set_defaults(run=_songs)
    codec = commands.add_parser("codec", help="train the codec; the same command resumes")
    _add_training_options(codec, seconds=7200.0)
    codec.set_defaults(run=_codec)
    return parser


def _add_training_options(parser: argparse.ArgumentParser, seconds: float) -> None:
    parser.add_argument("--run", dest="folder", type=Path, required=True, help="folder of the run")
    parser.add_argument("--seconds", type=float, default=seconds, help=f"wall-clock time (default {seconds:.0f})")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="one per core is fastest")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process (default 1)")


def _songs(options: argparse.Namespace) -> None:
    from acestep.training.songs.files import write_song

    for index in range(options.first, options.first + options.count):
        print(write_song(options.out, options.split, index, options.seconds))


def _codec(options: argparse.Namespace) -> None:
    from acestep.training.codec.train import CodecSettings, train_codec
    from acestep.training.parallel import launch

    launch(train_codec, options.processes, options.threads, options.folder, CodecSettings(seconds=options.seconds))
