"""A model family: its models are JSON files that name a pitch, and what they make are sine tones. Uses ``acestep.api`` alone."""

from acestep.api import FamilySpec, hookimpl


@hookimpl
def register_families(register):
    """One family."""
    register(
        FamilySpec(
            name="sines",
            title="Sines",
            description="sines.family:Sines",
            target="sines.runtime:SineRuntime",
            summary="Sine tones that swell and fade.",
        )
    )
