"""Whether a description of music asks for drums: by what it says of them, else by its genre, else by the instruments it names.

A guide gives a model its time, by default with a kit. Where nobody asked for one the pulse is carried by what plays. The rules, in
this order: drums that are excluded ("no drums", "drumless", "ohne Schlagzeug") stay out; drums that are named are in; solo and
other music that has none by its nature ("solo piano", "string quartet", "ambient") has none unless a genre says otherwise; a genre
that lives by its beat has them; a list of instruments without drums among them has none; of anything else nothing is known, and
the kit stays.
"""

from __future__ import annotations

import re

_DRUMS = (
    r"(?:drum\s?(?:s|kit|set|machine)?|drummers?|drumming|percussions?|percussive|perc|beats?|kicks?|snares?|"
    r"hi-?\s?hats?|cymbals?|kit|"
    r"schlagzeug|schlagwerk|trommeln?|perkussion|bater[ií]as?|percusi[oó]n|batterie|percussions|batteria|"
    r"percussioni|percuss[aã]o|"
    r"slagwerk|drumstel|trummor|perkusja|ударны\w*|барабан\w*|ドラム|打楽器|鼓|드럼)"
)
_WITHOUT = (
    r"(?:no|not any|without|with no|w/o|minus|free of|lacking|zero|ohne|keine?|kein|sin|sans|pas de|senza|sem|"
    r"zonder|geen|utan|bez|без)"
    r"(?:\s(?:any|an?|the|other|audible|kind of|sort of|type of|la|le|de|das))?"
)
_ITEM = r"(?!with\b)[\w'-]+(?:\s[\w'-]+)?"
_NOR = r"(?:or|nor|oder|ou|ni)"
_OR = rf"(?:{_NOR}|and|&|/|und)"

EXCLUDED = (
    rf"\b{_WITHOUT}\s(?:{_ITEM}\s{_OR}\s)?(?:any\s)?{_DRUMS}(?!\w)"
    rf"|\b{_WITHOUT}\s(?:{_ITEM},\s?){{1,3}}(?:(?:{_NOR}|{_ITEM}\s{_NOR})\s{_DRUMS}(?!\w)|{_DRUMS},?\s{_NOR}\s)"
    r"|\b(?:drum|beat|percussion)-?\s?(?:less|free)\b|\bschlagzeuglos\b|\bunpercussive\b|\bnon-percussive\b"
    r"|(?:ドラム|打楽器|ビート)(?:なし|無し|抜き|レス)|(?:无|無|没有|沒有|不要)(?:任何)?(?:鼓|打击乐|打擊樂|节拍)|드럼\s?없"
)
NAMED = (
    r"\bdrum(?!less)|\bpercussi|\bkicks?\b|\bsnares?\b|\bhi-?\s?hats?\b|\bcymbals?\b|\bbreakbeats?\b|\bbackbeats?\b|"
    r"\b(?:808|909)s?\b"
    r"|\bbeats?\b(?!\s?(?:per|less))|\bgroov(?:e|y)\b|\bfour[ -]on[ -]the[ -]floor\b|\bbrush(?:es|ed)\b|\btambourine|\bshaker"
    r"|\bcongas?\b|\bbongos?\b|\bcaj[oó]n\b|\bdjembe|\btimpani\b|\btaiko|\btabla|\bclaps?\b|\brhythm section\b|\bfull band\b"
    r"|\bschlagzeug|\btrommel|\bbater[ií]a|\bbatteri[ea]\b|\bpercus|ドラム|打楽器|鼓|打击乐|드럼"
)
NEVER = (
    r"\b(?:solo|drone|soundscape|ambient|nocturne|lullaby|sonata|etude|étude|prelude|fugue|"
    r"hymn|chorale?|gregorian|plainsong|chant|choir|requiem|madrigal|string (?:quartet|trio|orchestra|quintet)|chamber music|"
    r"piano (?:trio|quartet|duo|piece|ballad)|duet|fingerpick(?:ed|ing)|fingerstyle|classical|baroque|renaissance|"
    r"new age|meditati\w+|"
    r"sleep|spa|rubato|free time|klaviersolo|wiegenlied|nana|berceuse|ninna nanna)\b|ソロ|独奏|独唱|獨奏|솔로|子守唄|アンビエント"
)
GENRES = (
    r"\b(?:rock|metal|punk|grunge|emo|pop|hip[ -]?hop|rap|trap|drill|r ?& ?b|rnb|soul|funk\w*|disco|house|techno|"
    r"trance|edm|electro|dance|"
    r"club|rave|garage|dubstep|dnb|d&b|jungle|breaks?|breakcore|hardstyle|gabber|idm|synth-?wave|synth-?pop|"
    r"city pop|reggae\w*|dub|ska|"
    r"dancehall|afrobeats?|amapiano|latin|salsa|samba|bossa(?: nova)?|cumbia|bachata|merengue|mambo|jazz|swing|"
    r"bebop|big band|blues|"
    r"boogie|shuffle|rockabilly|country|bluegrass|gospel|march(?:ing)?|lo-?fi|phonk|vaporwave|chiptune|8-?bit|industrial|"
    r"k-?pop|j-?pop|schlager|polka|danceable)\b"
)
_PLAYED = (
    r"pianos?|rhodes|organs?|harpsichord|celesta|keys|keyboards?|guitars?|ukulele|banjo|mandolin|lute|oud|sitar|"
    r"koto|harps?|zither|"
    r"violins?|violas?|cellos?|double bass|contrabass|fiddle|strings?|flutes?|recorder|piccolo|clarinets?|oboes?|"
    r"bassoons?|sax\w*|"
    r"woodwinds?|trumpets?|trombones?|horns?|tuba|brass|synths?|synthesi[sz]ers?|pads?|bells?|vibraphone|marimba|"
    r"music box|accordion|"
    r"harmonica|bagpipes?|vocals?|voices?|singer|orchestra\w*|klavier|gitarren?|geigen?|violinen?|bratsche|fl[oö]te|"
    r"orgel|harfe|"
    r"streicher|guitarra|viol[ií]n|flauta|guitare|violon|fl[uû]te|chitarra|violino|flauto"
)
INSTRUMENTS = rf"\b(?:{_PLAYED})\b|ピアノ|ギター|バイオリン|フルート|钢琴|吉他|小提琴|笛|피아노|기타"
ALONE = (
    rf"\bsolo\s(?:[\w-]+\s){{0,2}}(?:{_PLAYED})\b|\b(?:{_PLAYED})\s(?:alone|only)\b|\bonly\s(?:an?\s)?(?:{_PLAYED})\b"
    r"|\b(?:unaccompanied|a ?cappella)\b"
)
"""One that plays by itself, whatever the style: "solo jazz piano" has no kit, a "guitar solo" in a rock song may have one."""


def wants_drums(caption: str) -> bool:
    """Whether music of this description has drums, as far as the words tell."""
    text = " ".join(caption.replace("’", "'").split())
    if _says(text, EXCLUDED):
        return False
    if _says(text, NAMED):
        return True
    if _says(text, ALONE):
        return False
    if _says(text, GENRES):
        return True
    return not _says(text, NEVER) and not _says(text, INSTRUMENTS)


def _says(text: str, pattern: str) -> bool:
    """Whether a text has one of these words. The patterns take ten milliseconds to compile, so the first use does it, no start."""
    return re.search(pattern, text, re.IGNORECASE) is not None
