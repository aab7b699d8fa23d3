"""The wordings of training: how a sentence may say tempo, key, metre, length, style and instruments.

`{}` stands for the value. The sentences of the examination (``held_out.toml``) use none of these.
"""

from __future__ import annotations

OPENINGS = (
    "", "", "", "", "give me ", "i need ", "make ", "please write ", "create ", "we want ", "a track: ", "something like ",
    "can you do ", "looking for ", "compose ", "produce ", "i'd like ", "generate ", "let's have ", "cook up ", "quick one, ",
    "for tonight: ", "my client wants ", "write me ", "request: ", "play ", "start ", "the next one: ",
)  # fmt: skip

ABOUT = (
    "about the sea", "for my podcast", "for a video of my cat", "for the school play", "like in the old days",
    "for a rainy night",
    "to study to", "for running", "for our wedding", "that nobody expects", "for three friends", "with a good ending",
    "for a game",
    "thanks", "nothing fancy", "as soon as you can", "you know what i mean", "like last time but better", "for the intro",
    "about two people who never meet", "for my sister's birthday", "with plenty of room", "make it count", "for the credits",
    "and surprise me", "for a small stage", "to fall asleep to", "not too busy", "for take seven", "for the second scene",
    "like the demo from monday", "as an opener", "to end the set with",
)  # fmt: skip

PADDING = tuple(
    """we they you he she it that this there here now then again also maybe really only just still even so very quite rather please
    should could would can will must may let want need like love know think feel say tell ask keep hold put get go come stay start
    end play hear listen write record mix dance move wait follow match fit suit work sound look turn leave take bring give
    band player friend brother mother teacher boss director client crowd room stage house street city
    night morning evening summer winter rain snow fire light water river mountain train car road window door table chair coffee
    film scene story book page poem dream heart hand eye word name thing place time day week year hour game team school
    party wedding club kitchen garden market shop boat ship plane star moon sun sky cloud wind storm dog cat bird
    horse fish tree flower apple bread wine glass paper letter phone picture colour red blue green black white gold silver old
    new young big small long short high low loud quiet soft hard good bad nice fine great strange simple plain rich empty full
    first last next same other every each some any all both nothing something everything somebody nobody everybody because when
    where while until before after under over near far behind between against through toward upon within without but and or if
    for of to in on at by from up down out off as than of course of all to begin as agreed as usual once more by the way""".split()
)
"""Words that say nothing of the music, put around what does."""

MOODS = (
    "dark",
    "happy",
    "moody",
    "bright",
    "calm",
    "angry",
    "tender",
    "cold",
    "heavy",
    "light",
    "odd",
    "sweet",
    "wild",
    "lazy",
)

TEMPO_UNITS = ("bpm", "BPM", "beats per minute", "beats a minute", "beats each minute", "clicks a minute", "clicks per minute",
               "quarters a minute", "b.p.m.", "beats/min", "bts per min", "pulses a minute",
               "quarter notes per minute")  # fmt: skip
TEMPO = (
    "at {}", "at {} {u}", "{} {u}", "{} {u}", "{} {u}", "tempo {}", "tempo: {}", "with a tempo of {}", "tempo around {}",
    "around {} {u}",
    "about {} {u}", "metronome at {}", "metronome on {}", "the metronome says {}", "click at {}", "set the click to {}",
    "running at {}",
    "running at {} {u}", "paced at {}", "a pace of {} {u}", "pulse of {}", "{} on the metronome", "speed {}",
    "the speed is {} {u}",
    "make it {} {u}", "keep it at {}", "clocked at {} {u}", "which goes {} {u}", "moving at {}", "the beat at {}",
    "let it run at {}",
    "exactly {} {u}", "roughly {} {u}", "bpm {}", "bpm = {}", "bpm: {}", "going {}", "sitting at {}", "locked to {}",
    "{} as the tempo",
)  # fmt: skip

SHARP = ("#", "♯", " sharp", "-sharp", " sharp")
FLAT = ("b", "♭", " flat", "-flat", " flat")
MINOR = ("minor", "minor", "min", "min.", "minor mode", "minor key", "minor scale", "mineur")
MAJOR = ("major", "major", "maj", "maj.", "major mode", "major key", "major scale", "majeur")
KEY = (
    "in {}", "in {}", "in {}", "key of {}", "in the key of {}", "key: {}", "key {}", "{}", "the key is {}", "written in {}",
    "centred on {}",
    "home key {}", "tonality {}", "tuned to {}", "based on {}", "around {}", "it should be in {}",
    "starting and ending in {}", "sung in {}",
    "in the tonality of {}", "that stays in {}", "the scale is {}", "root and mode {}", "using {}", "with {} as its key",
    "keep to {}",
)  # fmt: skip
KEY_PARTS = (
    "tonic {t}, {m}", "{t} as tonic and {m}", "{m}, on {t}", "root {t}, {m}", "the root is {t} and the mode {m}", "{m} on {t}",
    "the {m} of {t}", "key {t}, mode {m}", "{m} with {t} as home", "the tonic is {t}, in {m}", "with {t} for a root, {m}",
)  # fmt: skip
MODE_ONLY = ("in a {} key", "in some {} key", "in {}", "a {} key", "{} key please", "any {} key", "{} tonality",
"something in {}",
             "keep it {}", "key: {}", "in the {} mode")  # fmt: skip

METRES = {
    "3": ("in 3/4", "3/4", "in three four", "three-four", "three-four time", "in three", "three beats to the bar", "3/4 time",
          "with three beats in each bar", "counted in three", "a bar of three", "metre 3/4", "triple metre", "in 3",
          "waltz time",
          "counting one two three", "three to the bar", "time signature 3/4"),
    "6": ("in 6/8", "6/8", "in six eight", "six-eight", "six-eight time", "in six", "six beats to the bar", "6/8 time",
          "with six eighths in a bar", "counted in six", "metre 6/8", "six-eight feel", "in 6", "time signature 6/8",
          "six to the bar"),
    "4": ("in 4/4", "4/4", "four four", "in four-four", "four-four time", "in four", "four beats to the bar", "common time",
          "with four beats in each bar", "counted in four", "metre 4/4", "time signature 4/4", "four to the bar"),
    "2": ("in 2/4", "2/4", "in two four", "two-four", "two-four time", "in two", "two beats to the bar", "counted in two",
          "metre 2/4", "time signature 2/4", "two to the bar"),
}  # fmt: skip

LENGTH = (
    "{}", "{}", "{} long", "for {}", "lasting {}", "of {}", "a length of {}", "length: {}", "duration {}", "it lasts {}",
    "about {}",
    "should take {}", "that takes {}", "running for {}", "over {}", "stop after {}", "ends after {}", "cut at {}",
    "{} in total", "{} altogether",
    "no more than {}", "with a run time of {}", "make it {} long", "give it {}", "i have {} to fill", "the clip is {}",
    "fit {}", "stretch it to {}",
    "done in {}", "{} of it", "{} please", "keep it to {}",
)  # fmt: skip
BARS = ("bars", "measures", "bars", "bar loop", "-bar loop", "bar phrase", "measures long", "bars in all")

STYLES = {
    "rock": ("rock", "driving rock", "guitar rock", "rock song", "rocking tune", "rock band music", "loud rock"),
    "house": ("house", "dance music", "club music", "a club track", "house music", "four-on-the-floor club thing",
    "disco house"),
    "ballad": ("ballad", "slow ballad", "tender song", "love ballad", "slow song", "candlelight song"),
    "funk": ("funk", "groovy funk", "funky jam", "funky tune", "slap funk", "funk groove"),
    "lo-fi hip hop": ("lo-fi hip hop", "lofi", "chill beat", "lo-fi", "study beat", "lofi beat", "chillhop"),
    "folk": ("folk", "acoustic folk", "singer-songwriter", "folk tune", "campfire song", "folksy song"),
    "jazz": ("jazz", "swing jazz", "jazz combo", "jazz trio", "swinging jazz", "smoky jazz club music", "jazzy number"),
    "waltz": ("waltz", "slow waltz", "waltz tune", "ballroom waltz"),
    "blues": ("blues", "slow blues in six", "blues number", "twelve-bar blues", "bluesy song"),
    "synthwave": ("synthwave", "retro electronic", "eighties synth pop", "outrun", "eighties electronic music",
    "neon synth music"),
    "cinematic": ("cinematic", "film score", "epic orchestral", "movie music", "trailer music", "film music"),
    "punk": ("punk", "fast punk", "uptempo rock", "punk song", "three-chord punk", "garage punk"),
    "drum and bass": ("drum and bass", "breakbeat", "jungle", "dnb", "drum'n'bass", "d&b", "jungle breaks"),
}  # fmt: skip

INSTRUMENTS = {
    "drums": ("drums", "drum kit", "drum set", "a kit", "a drummer", "live drums"),
    "drum machine": ("drum machine", "808 drums", "programmed drums", "electronic drums", "a beat box", "drum computer"),
    "brushed drums": ("brushed drums", "brushes", "drums with brushes", "soft brushes on the snare"),
    "percussion": ("percussion", "hand percussion", "congas", "shakers and congas", "bongos"),
    "bass": ("bass", "a bass line", "some bass"),
    "upright bass": ("upright bass", "acoustic bass", "double bass", "a contrabass", "plucked upright", "stand-up bass"),
    "bass guitar": ("bass guitar", "electric bass", "picked bass", "four-string bass", "bass played with a pick"),
    "synth bass": ("synth bass", "sub bass", "synthesizer bass", "electronic bass"),
    "piano": ("piano", "grand piano", "a pianist", "ivories", "concert grand", "a baby grand", "piano chords"),
    "electric piano": ("electric piano", "rhodes", "e-piano", "wurli", "fender rhodes"),
    "vibraphone": ("vibraphone", "vibes", "mallets", "vibraharp"),
    "organ": ("organ", "hammond organ", "church organ", "a hammond", "drawbar organ"),
    "nylon guitar": ("nylon guitar", "classical guitar", "nylon strings guitar", "spanish guitar"),
    "acoustic guitar": ("acoustic guitar", "steel guitar", "strummed acoustic", "unplugged guitar", "acoustic six-string"),
    "clean guitar": ("clean guitar", "clean electric guitar", "jangly guitar", "guitar without distortion"),
    "overdriven guitar": ("overdriven guitar", "rock guitar", "distorted guitar", "fuzzy guitar", "crunchy guitar",
    "power chords"),
    "guitar": ("guitar", "a guitar", "some guitar", "guitarist"),
    "violin": ("violin", "fiddle", "a violinist", "solo violin"),
    "cello": ("cello", "a cellist", "violoncello"),
    "strings": ("strings", "string section", "string ensemble", "a wall of strings", "orchestra strings"),
    "synth lead": ("synth lead", "square synth", "saw synth", "lead synth", "chip lead", "synthesizer melody"),
    "synth pad": ("synth pad", "warm pad", "pads", "soft pads", "a pad underneath"),
    "trumpet": ("trumpet", "a trumpeter", "muted trumpet"),
    "trombone": ("trombone", "a trombonist", "slide trombone"),
    "brass": ("brass", "horn section", "brass section", "horns", "brass stabs"),
    "saxophone": ("saxophone", "alto sax", "sax", "tenor sax", "a saxophonist"),
    "clarinet": ("clarinet", "a clarinettist", "bass clarinet"),
    "flute": ("flute", "a flautist", "wooden flute"),
}  # fmt: skip

WITH = (
    "with {}", "with {}", "featuring {}", "{}", "{} playing", "played by {}", "plus {}", "led by {}", "{} on top",
    "carried by {}", "using {}",
    "built on {}", "i want to hear {}", "let {} play", "and there is {}", "where {} takes over", "scored for {}",
    "{} in front", "add {}",
    "bring in {}", "over {}", "{} and nothing else",
)  # fmt: skip

REFUSED = {
    "drums": ("drums", "drum kit", "any drums", "drumming"),
    "percussion": ("percussion", "any percussion", "congas"),
    "bass": ("bass", "any bass", "a bass line"),
    "piano": ("piano", "a piano", "any piano"),
    "guitar": ("guitar", "guitars", "any guitars"),
    "strings": ("strings", "any strings", "string section"),
    "synth lead": ("synths", "synthesizers", "any synth"),
    "brass": ("brass", "horns", "any brass"),
    "vocals": ("vocals", "singing", "a singer", "voices", "any vocals"),
}  # fmt: skip
REFUSING = (
    "no {}", "no {}", "without {}", "skip the {}", "leave out the {}", "leave the {} out", "minus the {}", "hold the {}",
    "keep the {} out of it",
    "i don't want {}", "don't use {}", "never mind the {}", "nothing with {}", "free of {}", "drop the {}", "avoid {}",
    "not a trace of {}",
    "spare me the {}", "mute the {}", "the {} can stay home", "there should be no {}", "zero {}", "forget the {}",
)  # fmt: skip
