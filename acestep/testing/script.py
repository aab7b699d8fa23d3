"""What a fake job should do, as a line of text: readable in a caption, settable over every door."""

from __future__ import annotations

import msgspec

from acestep.api.errors import ERRORS, BadRequest

PREFIX = "fake:"


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A fake job. Steps count from 1; 0 for ``*_at`` means before the first one; -1 never.

    ``fail``/``crash``/``hang`` happen after step ``fail_at``/``crash_at``/``hang_at``. A hanging job neither ticks nor hears
    a cancel, like a stuck kernel.
    """

    steps: int = 4
    delay: float = 0.0
    """Seconds per step."""
    load: float = 0.0
    """Seconds before the first step, as if a model were loaded; heard as one unit."""
    fail: str = "internal"
    """Code word of the error."""
    fail_at: int = -1
    crash_at: int = -1
    """The process dies at once, without a word."""
    hang_at: int = -1
    save_every: int = 0
    """Steps after which a job that steps aside has saved its place; a crash takes back what came after. 0: never."""
    memory: int = 0
    """MiB held while the job runs."""
    chatter: int = 0
    """Bytes printed to standard output, as careless libraries do."""
    preview: bool = False


_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def parse_script(text: str) -> Script:
    """``fake: steps=8 delay=0.1 crash_at=3`` as a `Script`; text without the prefix is the default script.

    Raises `BadRequest` for an unknown word.
    """
    if PREFIX not in text:
        return Script()
    words = text.split(PREFIX, 1)[1].replace(",", " ").split()
    kinds = Script.__annotations__
    values: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in kinds:
            raise BadRequest(f"a fake job has no {word!r}", field="caption", limits={"choices": list(kinds)})
        values[name] = _TRUTH.get(value, value) if name == "preview" else value
    try:
        script = msgspec.convert(values, Script, strict=False)
    except msgspec.ValidationError:
        given = ", ".join(f"{name}={value}" for name, value in values.items())
        raise BadRequest(f"the script of a fake job takes numbers, not all of {given}", field="caption") from None
    if script.fail not in ERRORS:
        raise BadRequest(f"there is no error code {script.fail!r}", field="caption", limits={"choices": list(ERRORS)})
    return script
