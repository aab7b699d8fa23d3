"""The model variants as data: what ``auto`` means for each, and which tasks it was trained for.

Figures from the model authors' recommendations (turbo: 8 steps, shift 3, no guidance; base and sft: 50 steps, shift 1,
APG 7). Variants differ in this table only, never in code.
"""

from __future__ import annotations

from typing import Any

import msgspec

from acestep.api import limits
from acestep.api.grid import LatentGrid
from acestep.api.schema import FieldInfo

TURBO_TASKS = ("text2music", "repaint", "cover")
ALL_TASKS = (*TURBO_TASKS, "extract", "lego", "complete")


CODE_TASKS = ("cover",)
"""Tasks whose source passes the networks for semantic codes, which some checkpoints do not have."""


class TaskDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """How a variant runs one task when the job leaves it open."""

    steps: int
    guidance_scale: float
    guidance_start: float
    """Lowest timestep at which guidance acts: what is asked for is settled early, and each guided step costs two."""
    takes: int = 1
    """At most, of a masked stem, which is made of what each cuts out: one take may miss what the next one hears."""
    noise_strength: float = 0.0
    """How much of the source's own latents a run begins with. A share tells a small model the harmony that codes lose (cover),
    keeps a new part to the chords it hears (lego) and makes it listen for faint instruments (extract)."""


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults and abilities of one family of weights."""

    name: str
    steps: int
    shift: float
    schedule: str = "linear"
    guidance: str = "none"
    guidance_scale: float = 1.0
    guidance_start: float = 0.0
    by_task: dict[str, TaskDefaults] = {}
    """Tasks that want something else. Much guidance pulls from the audio towards the words: users of the published base models
    report that added parts follow what is there at guidance 1."""
    tasks: tuple[str, ...] = TURBO_TASKS
    distilled: bool = True
    """Distilled models have no unconditional branch: guidance is forced off."""
    guide_bottleneck: bool = True
    """Guides pass the semantic bottleneck, as the published weights know hints; the small model reads them as they are."""
    guide: str = ""
    """The guide of jobs that name none (``none`` turns it off); for models that do not keep a beat by themselves."""
    sings: bool = True
    """Whether lyrics are heard; the small model was trained without voices."""
    plays_drums: bool = False
    """Whether it plays drums also where nobody asked for them: there they are taken out of what it made."""
    narrow: bool = False
    """Whether its codec hardly tells left from right: what it plays is made as wide as the music around it."""
    hints: dict[str, str] = {}
    """Field -> what serves well in it, in a clause (`acestep.api.hints`): their authors' figures, and what users of them report."""
    repository: str = ""
    """Where the weights are published."""

    def for_task(self, task: str) -> TaskDefaults:
        """What a task gets."""
        usual = TaskDefaults(steps=self.steps, guidance_scale=self.guidance_scale, guidance_start=self.guidance_start)
        return self.by_task.get(task, usual)


TURBO_HINTS = {
    "steps": "8 steps are what it was trained for; more change little.",
    "guidance_scale": "has no effect, as guidance was distilled into the weights.",
}

GUIDED_HINTS = {"steps": "50 is usual, 32 to 64 are worth trying.", "shift": "1 is usual."}

BASE_HINTS = {
    **GUIDED_HINTS,
    "guidance_scale": "7 is usual, 1 with lego and complete, which then follow what is there.",
}

SFT_HINTS = {
    **GUIDED_HINTS,
    "guidance_scale": "3 to 5 sound more natural than 7, with guidance_start 0.15 and guidance_end 0.85.",
    "guidance_start": "0.15 leaves the finest detail unguided.",
    "guidance_end": "0.85 leaves the first outline unguided.",
}

NANO_HINTS = {
    "steps": "8 are enough, 4 with extract.",
    "guidance_scale": "2 is usual; more follows the words more closely and sounds harder.",
}


def _shift_hint(shift: float, schedule: str) -> str:
    return (
        "1 to 5 all work; more settles the outline, less the detail."
        if schedule == "continuous"
        else f"{shift:g} is what it was trained for."
    )


def _turbo(name: str, repository: str, *, shift: float = 3.0, schedule: str = "discrete") -> Variant:
    hints = {**TURBO_HINTS, "shift": _shift_hint(shift, schedule)}
    return Variant(name=name, steps=8, shift=shift, schedule=schedule, hints=hints, repository=repository)


def _guided(name: str, repository: str, *, tasks: tuple[str, ...] = ALL_TASKS) -> Variant:
    return Variant(
        name=name,
        steps=50,
        shift=1.0,
        guidance="apg",
        guidance_scale=7.0,
        tasks=tasks,
        distilled=False,
        by_task={task: TaskDefaults(steps=50, guidance_scale=1.0, guidance_start=0.0) for task in ("lego", "complete")},
        hints=SFT_HINTS if name.endswith("sft") else BASE_HINTS,
        repository=repository,
    )


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        _turbo("turbo", "ACE-Step/Ace-Step1.5"),
        _turbo("turbo-shift1", "ACE-Step/acestep-v15-turbo-shift1", shift=1.0),
        _turbo("turbo-shift3", "ACE-Step/acestep-v15-turbo-shift3"),
        _turbo("turbo-continuous", "ACE-Step/acestep-v15-turbo-continuous", schedule="continuous"),
        _guided("base", "ACE-Step/acestep-v15-base"),
        _guided("sft", "ACE-Step/acestep-v15-sft", tasks=TURBO_TASKS),
        _turbo("xl-turbo", "ACE-Step/acestep-v15-xl-turbo"),
        _guided("xl-base", "ACE-Step/acestep-v15-xl-base"),
        _guided("xl-sft", "ACE-Step/acestep-v15-xl-sft", tasks=TURBO_TASKS),
        Variant(
            name="nano",
            steps=8,
            shift=3.0,
            guidance="cfg",
            guidance_scale=2.0,
            guidance_start=0.96,
            by_task={
                "cover": TaskDefaults(steps=8, guidance_scale=2.0, guidance_start=0.94, noise_strength=0.05),
                "extract": TaskDefaults(steps=4, guidance_scale=1.0, guidance_start=0.0, noise_strength=0.01, takes=8),
                "lego": TaskDefaults(steps=8, guidance_scale=1.0, guidance_start=0.0, noise_strength=0.01),
            },
            tasks=ALL_TASKS,
            distilled=False,
            guide_bottleneck=False,
            guide="auto",
            sings=False,
            plays_drums=True,
            narrow=True,
            hints=NANO_HINTS,
        ),
        Variant(name="tiny", steps=8, shift=3.0, guidance="apg", guidance_scale=1.0, tasks=ALL_TASKS, distilled=False),
    )
}
"""Name -> variant. ``nano`` is the embedded default, ``tiny`` the random checkpoint of the tests."""


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the torch-free side knows about a checkpoint, read from its config files and folder names."""

    name: str
    path: str
    variant: str
    task_types: tuple[str, ...]
    hidden_size: int = 0
    layers: int = 0
    xl: bool = False
    trained: bool = True
    """False for random weights: whatever they render is noise, and every result says so."""
    stem_captions: bool = False
    """Whether captions have the form of models that were tuned on stems (`is_lego_sft`): the whole song, the part, the mask."""
    codec: str = "AutoencoderOobleck"
    latent_family: str = "acestep-1.5"
    """Latents can be passed between models of one family only (same codec)."""
    size_bytes: int = 0
    license: str = ""
    origin: str = ""
    """In which form its files lie here (original, diffusers, ComfyUI, GGUF), and of which repository a cached one is."""
    lacks: tuple[str, ...] = ()
    """Parts that its files do not hold and nobody lends; what needs them is refused by name."""
    borrowed: dict[str, str] = {}
    """Part -> where it lies, of those that belong to another model here."""
    assumed: str = ""
    """What its files do not tell and was assumed, in a sentence; every result made with it says so."""
    near: tuple[str, ...] = ()
    """Folders from which missing parts are borrowed."""
    family: str = "ace-step-15"
    """Name of its model family (`acestep.api.family`)."""
    family_title: str = "ACE-Step 1.5"
    """What people call the family."""
    grid: LatentGrid = LatentGrid()
    """Rate of its codec and shape of its latents."""
    seconds: tuple[float, float] = (limits.MIN_DURATION, limits.MAX_DURATION)
    """Shortest and longest piece that it makes at once. Shorter ones are padded and trimmed, longer ones are refused."""
    operations: tuple[str, ...] = ()
    """Operations that it can do; empty: those of its tasks."""
    forward: bool = False
    """Whether it makes only what follows: an extension before the start is refused."""
    refuses: tuple[str, ...] = ()
    """Fields of a request that it cannot follow; a request that uses one is refused."""
    choices: dict[str, tuple[str, ...]] = {}
    """Field -> those of its choices that the model knows."""
    ranges: dict[str, tuple[float, float]] = {}
    """Field -> smallest and largest value, where the model's own are narrower."""
    qualities: dict[str, dict[str, Any]] = {}
    """Name in the field ``quality`` -> values of parameters that the request leaves open."""
    options: tuple[FieldInfo, ...] = ()
    """Parameters of its family alone."""
    languages: tuple[str, ...] = ()
    """Languages that it sings; empty: all that the bridge knows."""
    exports: tuple[str, ...] = ()
    """Parts that can be written as graphs for other programs (`acestep.onnx`)."""
    unexported: dict[str, str] = {}
    """Parts that its family could export, and what its files lack for that."""
    weight_files: tuple[str, ...] = ()
    """Its weight files, each once, where the parts of its family are not those of `acestep.checkpoints`."""
    memory_bytes: dict[str, int] = {}
    """Number format -> bytes of all weights in it, likewise."""
    remark: str = ""
    """What every result that it makes says of it (a licence that forbids commercial use), in a sentence."""
    usual: Variant | None = None
    """Its defaults, where they stand in no table of this module."""

    @property
    def defaults(self) -> Variant:
        """The variant's row."""
        return VARIANTS[self.variant] if self.usual is None else self.usual
