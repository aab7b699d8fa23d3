"""The nano checkpoint's text tokenizer: byte-level BPE trained on the prompts it will read, so nothing is unknown to it.

Lower-cased, because a closed world of captions does not need case; numbers of tempo and length become single tokens.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from acestep.api.instructions import instruction
from acestep.training.dit.tasks import TASKS, spell_key
from acestep.training.dit.text_prompts import lyric_prompt, text_prompt
from acestep.training.songs import compose, song_seed
from acestep.training.songs.song_tracks import TRACKS

END = "<|endoftext|>"
VOCABULARY = 2048
EXTRA_WORDS = (
    "the a of and with without in on for to from by no very new old big small soft hard loud quiet intro verse chorus bridge "
    "outro solo break drop build groove melody harmony chord beat rhythm riff hook theme song music tune instrumental vocal "
    "male female singer voice lyrics pop metal blues country reggae latin techno trance ambient classical orchestra hip hop "
    "trap soul disco indie epic sad romantic dreamy aggressive peaceful nostalgic uplifting smooth gritty clean distorted"
)


def corpus(songs: int = 3000) -> Iterator[str]:
    """Prompts of training songs in all tasks, plus words a user may well write."""
    rng = random.Random(0)
    for index in range(songs):
        song = compose(song_seed("train", index), 4.0)
        task, track = rng.choice(TASKS), rng.choice(sorted(TRACKS))
        yield text_prompt(instruction(task, track), song.caption, rng.randint(30, 300), song.metre,
                          spell_key(song.key, rng), rng.randint(1, 600))  # fmt: skip
        yield lyric_prompt(song.lyrics)
        yield EXTRA_WORDS


def train_tokenizer(songs: int = 3000) -> PreTrainedTokenizerFast:
    """Right padding with the end token, as the model's prompts expect."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=[END], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())  # fmt: skip
    tokenizer.train_from_iterator(corpus(songs), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END, padding_side="right",
                                   model_max_length=4096)  # fmt: skip


def open_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The run's tokenizer, trained on first use (about 20 s)."""
    if not (folder / "tokenizer.json").is_file():
        train_tokenizer().save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)
