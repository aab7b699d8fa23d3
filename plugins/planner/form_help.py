"""Help for whoever writes captions and lyrics, as data: `describe` publishes it, the docs show it.

Captions are free text; the tags are words that have served well, not a vocabulary. Track names and languages are the
model's own closed lists.
"""

from __future__ import annotations

from acestep.api import music
from plugins.planner.examples import EXAMPLES

CAPTION_TAGS: dict[str, tuple[str, ...]] = {
    "genre": tuple(
        "ambient,bluegrass,blues,bossa nova,breakbeat,classical,country,dance pop,disco,drum and bass,dub,dubstep,"
        "electro swing,folk,funk,garage rock,gospel,grunge,hard techno,heavy metal,hip hop,house,indie pop,jazz,"
        "k-pop,latin pop,lo-fi hip hop,neo soul,opera,post-rock,punk,reggae,rhythm and blues,salsa,shoegaze,ska,"
        "soul,synthwave,tango,techno,trance,trap,trip hop,uk garage,vaporwave".split(",")
    ),
    "mood": tuple(
        "aggressive,bittersweet,bright,brooding,calm,carefree,dark,dreamy,driving,epic,euphoric,hopeful,hypnotic,"
        "intimate,joyful,lonely,melancholic,mysterious,nostalgic,playful,restless,romantic,serene,tense,triumphant,"
        "warm,wistful".split(",")
    ),
    "instrument": tuple(
        "acoustic guitar,analog synth,banjo,brushed drums,cello,clarinet,clean electric guitar,congas,distorted guitar,"
        "double bass,drum machine,electric piano,fingerpicked guitar,flute,grand piano,hammond organ,harp,harpsichord,"
        "lap steel,marimba,muted trumpet,pizzicato strings,saxophone,sitar,string quartet,sub bass,"
        "synth pad,tabla,tambourine,timpani,trombone,upright piano,vibraphone,violin,wurlitzer".split(",")
    ),
    "voice": tuple(
        "a cappella,baritone,breathy female vocal,call and response,choir,close harmony,deep male vocal,falsetto,"
        "female vocal,humming,male vocal,mezzo-soprano,rap,raspy vocal,spoken word,vocal chops,whispered vocal".split(
            ","
        )
    ),
    "production": tuple(
        "analog warmth,bone dry,crisp,distorted,gated reverb,hall reverb,heavily compressed,intimate close-mic,live room,"
        "lo-fi,minimal,polished,sidechained,slapback echo,spacious,stereo wide,tape hiss,vinyl crackle,wall of sound".split(
            ","
        )
    ),
    "rhythm": tuple(
        "backbeat,boom bap,four on the floor,half-time,laid back,off-beat hats,shuffle,straight eighths,swing,"
        "syncopated,triplet feel,waltz".split(",")
    ),
    "form": tuple("beat drop,breakdown,build-up,cold ending,fade-out,key change,long intro,quiet-loud".split(",")),
}
"""Words for captions, by what they say."""

CAPTION_TAG_KINDS: dict[str, str] = {
    "genre": "The style decides most: rhythm, instruments and sound follow it. One or two; more are mixed.",
    "mood": "How it feels. Two that contradict each other are averaged.",
    "instrument": "What plays. What you leave out is filled in to suit the style.",
    "voice": "Who sings and how. With lyrics only; without them these words ask for wordless voices at most.",
    "production": "How it is recorded and mixed: room, distance, age.",
    "rhythm": "How the beat goes. The tempo itself belongs into bpm.",
    "form": "What happens along the way. Where it happens is for the tags of the lyrics to say.",
}
"""What each kind of caption tag does."""

LYRIC_TAGS: dict[str, str] = {
    "[Intro]": "The beginning, mostly without words.",
    "[Verse]": "Tells the story; the words change each time.",
    "[Pre-Chorus]": "Rises towards the chorus.",
    "[Chorus]": "The part that returns, with the same words and the most energy.",
    "[Post-Chorus]": "A tail to the chorus, often a single line over and over.",
    "[Bridge]": "Something new, once, before the last chorus.",
    "[Hook]": "The line that sticks, short and repeated.",
    "[Breakdown]": "Most instruments stop.",
    "[Build]": "Tension grows towards the drop.",
    "[Drop]": "Everything comes in at once; mostly without words.",
    "[Instrumental]": "A section without a voice; alone in the lyrics, a whole piece without one.",
    "[Guitar Solo]": "A section in which a guitar leads.",
    "[Piano Solo]": "A section in which a piano leads.",
    "[Interlude]": "A pause between sections, without words.",
    "[Spoken]": "Words that are said and not sung.",
    "[Outro]": "The end, which winds down.",
    "[Fade Out]": "The end, which grows quieter.",
    "[End]": "Nothing follows.",
}
"""Structure tags for lyrics, each on a line of its own, and what they mean."""

RULES: tuple[str, ...] = (
    "Say the style first, then the instruments, then voice and mood: a caption is read as one description.",
    "Keep tempo, key and metre out of the caption; they have fields of their own.",
    "Let nothing in the caption contradict something else in it, or the lyrics.",
    "Write 6 to 10 syllables a line, and lines of a verse about equally long.",
    "Set a blank line between sections and a tag such as [Chorus] above each.",
    "Put background voices in (parentheses) and shouts in CAPITALS.",
    "Leave the lyrics empty, or write [Instrumental], for music without a voice.",
)
"""What makes captions and lyrics work, in a sentence each."""

FORM_HELP = {
    "caption_tags": {name: list(words) for name, words in CAPTION_TAGS.items()},
    "caption_tag_kinds": CAPTION_TAG_KINDS,
    "lyric_tags": list(LYRIC_TAGS),
    "lyric_tag_meanings": LYRIC_TAGS,
    "tracks": list(music.TRACKS),
    "languages": list(music.LANGUAGES),
    "rules": list(RULES),
    "examples": [
        {"caption": entry.caption, "lyrics": entry.lyrics, "language": entry.language, "bpm": entry.bpm}
        for entry in EXAMPLES[:4]
    ],
}
"""All of it, as `describe` publishes it with the operations it helps to fill in."""
