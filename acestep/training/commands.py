"""The training commands. Torch is imported by the command that needs it, so `--help` and `songs` start at once."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from acestep.api.variants import VARIANTS
from acestep.training.errors import TrainingError

RESUMES = "continues from the last checkpoint"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a known error becomes one sentence on standard error and exit status 2."""
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except TrainingError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted; the same command {options.again}", file=sys.stderr)
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m acestep.training", description="Train the nano checkpoint.")
    parser.set_defaults(again="begins anew")
    commands = parser.add_subparsers(required=True, metavar="command")
    songs = commands.add_parser("songs", help="write synthetic songs: mix, stems, MIDI, caption")
    songs.add_argument("--out", type=Path, required=True)
    songs.add_argument("--split", choices=("train", "validation", "test"), default="train")
    songs.add_argument("--first", type=int, default=0, help="index of the first song (default 0)")
    songs.add_argument("--count", type=int, default=1)
    songs.add_argument("--seconds", type=float, default=12.0)
    songs.set_defaults(run=_songs)
    codec = commands.add_parser("codec", help="train the codec; run the same command again to resume")
    _add_training_options(codec, seconds=7200.0)
    codec.add_argument("--decoder-only", action="store_true", help="keep encoder and latents (needs --start)")
    codec.set_defaults(run=_codec, again=RESUMES)
    dit = commands.add_parser("dit", help="train text encoder and diffusion transformer on a frozen codec; resumes")
    _add_training_options(dit, seconds=14400.0)
    dit.add_argument("--codec", type=Path, required=True, help="folder of the finished codec (vae/)")
    dit.add_argument("--songs", type=int, default=160, help="songs per process (default 160)")
    dit.set_defaults(run=_dit, again=RESUMES)
    evaluate = commands.add_parser("evaluate", help="measure a trained model on songs it has never seen")
    _add_model_options(evaluate)
    evaluate.add_argument("--start", type=Path, help="checkpoint folder whose weights to use for a run without any")
    evaluate.add_argument("--out", type=Path, required=True, help="folder for figures.json, figures.md and pictures")
    evaluate.add_argument("--split", choices=("validation", "test"), default="validation")
    evaluate.add_argument("--count", type=int, default=24, help="songs (default 24)")
    evaluate.add_argument("--only", nargs="*", metavar="TRIAL", help="names of trials, all by default")
    nano = VARIANTS["nano"]
    evaluate.add_argument("--steps", type=int, help="default: the task's own")
    evaluate.add_argument("--shift", type=float, default=nano.shift)
    evaluate.add_argument("--guidance", type=float, help="scale; 1 is off; default: the task's own")
    _add_processes(evaluate)
    evaluate.set_defaults(run=_evaluate)
    blend = commands.add_parser("blend", help="blend a dit run with the checkpoint that it started from")
    blend.add_argument("--run", dest="folder", type=Path, required=True, help="folder of the dit run")
    blend.add_argument("--start", type=Path, required=True, help="the checkpoint folder it began from")
    blend.add_argument("--share", type=_share, default=0.7, help="how much of the run, 0 to 1 (default 0.7)")
    blend.add_argument("--out", type=Path, required=True, help="folder of the blended run, for evaluate and export")
    blend.set_defaults(run=_blend)
    export = commands.add_parser("export", help="write a checkpoint folder: half precision, published layout, manifest")
    _add_model_options(export)
    export.add_argument("--out", type=Path, required=True)
    export.set_defaults(run=_export)
    planner = commands.add_parser("planner", help="train the nano planner from nothing, on sentences about songs")
    planner.add_argument("--run", dest="folder", type=Path, required=True, help="folder of the trained planner")
    planner.add_argument("--seconds", type=float, default=3600.0, help="wall-clock time (default 3600)")
    planner.add_argument("--threads", type=int, default=1, help="threads (default 1)")
    planner.set_defaults(run=_planner)
    examine = commands.add_parser(
        "planner-examine", help="measure how sentences are read: rules, and rules with the nano planner"
    )
    examine.add_argument(
        "--run", dest="folder", type=Path, help="folder of a trained planner (default: the one that is shipped)"
    )
    examine.add_argument("--songs", type=int, default=300, help="sentences about test songs (default 300)")
    examine.set_defaults(run=_planner_examine)
    return parser


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", dest="folder", type=Path, required=True, help="folder of the dit run")
    parser.add_argument("--codec", type=Path, required=True, help="folder of the codec (vae/)")


def _add_training_options(parser: argparse.ArgumentParser, seconds: float) -> None:
    parser.add_argument("--run", dest="folder", type=Path, required=True, help="folder of the run")
    parser.add_argument("--seconds", type=float, default=seconds, help=f"wall-clock time (default {seconds:.0f})")
    _add_processes(parser)
    parser.add_argument("--start", type=Path, help="checkpoint folder from whose weights a new run begins")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")


def _add_processes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--processes", type=int, help="default: one per core on a CPU, one on a GPU")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process (default 1)")


def _share(text: str) -> float:
    if not 0.0 <= (share := float(text)) <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is outside 0 to 1")
    return share


def _songs(options: argparse.Namespace) -> None:
    from acestep.training.songs.song_files import write_song

    for index in range(options.first, options.first + options.count):
        print(write_song(options.out, options.split, index, options.seconds))


def _processes(options: argparse.Namespace, device: str = "cpu") -> int:
    return options.processes or (os.cpu_count() or 1 if device == "cpu" else 1)


def _codec(options: argparse.Namespace) -> None:
    from acestep.training.codec.train_codec import CodecSettings, train_codec
    from acestep.training.parallel import launch
    from acestep.training.songs.bank import open_bank

    open_bank()  # rendered once, before every process wants it
    settings = CodecSettings(
        seconds=options.seconds, device=options.device, start=options.start, decoder_only=options.decoder_only
    )
    launch(train_codec, _processes(options, options.device), options.threads, options.folder, settings)


def _dit(options: argparse.Namespace) -> None:
    from acestep.training.dit.train_dit import DitSettings, train_dit
    from acestep.training.parallel import launch
    from acestep.training.songs.bank import open_bank

    open_bank()
    settings = DitSettings(seconds=options.seconds, songs=options.songs, device=options.device,
                           start=options.start)  # fmt: skip
    launch(train_dit, _processes(options, options.device), options.threads, options.folder, options.codec, settings)


def _evaluate(options: argparse.Namespace) -> None:
    from acestep.training.evaluation.report import Examination, write_report
    from acestep.training.evaluation.trained_model import TrainedModel
    from acestep.training.start import start_run

    trained = partial(TrainedModel, options.folder, options.codec, options.steps, options.shift, options.guidance)
    examination = Examination(trained, options.split, options.count, tuple(options.only or ()))
    if options.start is not None:
        start_run(options.folder, options.start)
    write_report(examination, options.out, _processes(options), options.threads)


def _blend(options: argparse.Namespace) -> None:
    from acestep.training.blend import blend_run

    blend_run(options.folder, options.start, options.share, options.out)


def _export(options: argparse.Namespace) -> None:
    from acestep.training.export import export_checkpoint

    export_checkpoint(options.folder, options.codec, options.out)


def _planner(options: argparse.Namespace) -> None:
    import torch

    from acestep.training.planner.train_planner import ReaderTraining, train_planner

    torch.set_num_threads(options.threads)
    train_planner(options.folder, ReaderTraining(seconds=options.seconds))


def _planner_examine(options: argparse.Namespace) -> None:
    from acestep.planner.nano.nano_planner import further_reader
    from acestep.planner.nano.network import WEIGHTS
    from acestep.training.planner.examine import held_out, report, test_songs

    sets = {"by hand": list(held_out()), "test songs": list(test_songs(options.songs))}
    readers = {"rules": None, "rules and nano": further_reader(options.folder or WEIGHTS)}
    for line in report(sets, readers):
        print(line)
