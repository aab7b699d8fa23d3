"""One line of lyrics as the model learned it: lower case, signs and numbers as words, foreign scripts romanised. No torch."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

from acestep.families.ace_step_v1 import romanise

AND_AT_PERCENT = {
    "en": ("and", "at", "percent"),
    "de": ("und", "at", "prozent"),
    "fr": ("et", "arobase", "pour cent"),
    "es": ("y", "arroba", "por ciento"),
    "it": ("e", "chiocciola", "per cento"),
    "pt": ("e", "arroba", "por cento"),
    "pl": ("i", "małpa", "procent"),
    "nl": ("en", "bij", "procent"),
    "cs": ("a", "na", "procento"),
    "ru": ("и", "собака", "процентов"),
    "tr": ("ve", "at", "yüzde"),
    "hu": ("és", "kukac", "százalék"),
}
"""Language -> what ``&``, ``@`` and ``%`` are called."""

SHORT_FORMS = {
    "en": {"mr": "mister", "mrs": "misess", "dr": "doctor", "st": "saint", "jr": "junior", "sgt": "sergeant"},
    "de": {"fr": "frau", "dr": "doktor", "st": "sankt"},
    "fr": {"m": "monsieur", "mr": "monsieur", "mme": "madame", "mlle": "mademoiselle", "dr": "docteur", "st": "saint"},
    "es": {"sra": "señora", "sr": "señor", "dr": "doctor", "dra": "doctora", "st": "santo"},
    "it": {"sig": "signore", "dr": "dottore", "st": "santo"},
    "pt": {"sra": "senhora", "sr": "senhor", "dr": "doutor", "dra": "doutora"},
    "nl": {"dhr": "de heer", "mevr": "mevrouw", "dr": "dokter"},
}
"""Language -> words that a full stop shortens -> the words themselves."""

CURRENCIES = {"$": "USD", "£": "GBP", "€": "EUR"}
CENTS_BEHIND = {
    "en": ", ",
    "es": " con ",
    "fr": " et ",
    "de": " und ",
    "pt": " e ",
    "it": " e ",
}
"""Language -> what stands between the whole and the cents of an amount, which is cut off where there are none; others: a comma."""

ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)\b")
MONEY = re.compile(r"([$£€])\s?(\d+(?:\.\d+)?)|(\d+(?:\.\d+)?)\s?([$£€])")
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
NUMBER = re.compile(r"\d+(?:\.\d+)?")

DIGITS = "零一二三四五六七八九"
UNITS = ("", "十", "百", "千")
GROUPS = ("", "万", "亿")


def clean(line: str, language: str) -> tuple[str, bool]:
    """A line as the tokenizer wants it, and whether numbers were left as figures. Raises `Unavailable` for a missing package."""
    line = line.replace('"', "")
    if language == "ja":
        return _spaced(romanise.romaji(line).lower()), False
    if language == "hi":
        return _spaced(line.lower()), False
    if language == "zh":
        return _spaced(romanise.pinyin(NUMBER.sub(_chinese, line)).lower()), False
    line = _lowered(line, language)
    line, figures = _spell_numbers(line, language)
    for short, word in SHORT_FORMS.get(language, {}).items():
        line = re.sub(rf"\b{short}\.", word, line)
    for sign, word in zip("&@%", AND_AT_PERCENT.get(language, ()), strict=False):
        line = line.replace(sign, f" {word} ")
    return _spaced(romanise.romanised_korean(line) if language == "ko" else line.lower()), figures


def _spaced(line: str) -> str:
    return re.sub(r"\s+", " ", line).strip()


def _lowered(line: str, language: str) -> str:
    if language == "tr":
        line = line.replace("İ", "i").replace("I", "ı")
    return line.lower()


def _spell_numbers(line: str, language: str) -> tuple[str, bool]:
    """Numbers in words where the speller is installed and knows the language; otherwise they stay, and True says so."""
    if not NUMBER.search(line):
        return line, False
    try:
        speller: Any = importlib.import_module("num2words").num2words
    except ImportError:
        return line, True
    line = THOUSANDS.sub("", line)

    def spelt(number: str, **kind: str) -> str:
        value = float(number) if "." in number else int(number)
        return f"{speller(value, lang=language, **kind)}"

    def money(found: re.Match[str]) -> str:
        sign, amount = (found[1], found[2]) if found[1] else (found[4], found[3])
        text = speller(float(amount), lang=language, to="currency", currency=CURRENCIES[sign])
        return text.rpartition(CENTS_BEHIND.get(language, ", "))[0] or text if float(amount).is_integer() else text

    steps: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
        (MONEY, money),
        (ORDINAL, lambda found: spelt(found[1], to="ordinal")),
        (NUMBER, lambda found: spelt(found[0])),
    ]
    for pattern, word in steps:
        try:
            line = pattern.sub(word, line)
        except (NotImplementedError, KeyError, OverflowError, TypeError):
            continue  # the speller lacks this form, or this language
    return line, bool(NUMBER.search(line))


def _chinese(found: re.Match[str]) -> str:
    """A number in Chinese figures; beyond what has a common name, and behind a point, figure by figure."""
    whole, _, rest = found[0].partition(".")
    text = _chinese_whole(int(whole)) if len(whole) <= 12 else "".join(DIGITS[int(digit)] for digit in whole)
    return text + ("点" + "".join(DIGITS[int(digit)] for digit in rest) if rest else "")


def _chinese_whole(number: int) -> str:
    if number == 0:
        return DIGITS[0]
    parts: list[str] = []
    for index, group in reversed(list(enumerate(GROUPS))):
        value = number // 10_000**index % 10_000
        if value:
            gap = DIGITS[0] if parts and value < 1000 else ""
            parts.append(gap + _chinese_group(value) + group)
    text = "".join(parts)
    return text[1:] if text.startswith("一十") else text


def _chinese_group(value: int) -> str:
    """1 to 9999."""
    text, gap = "", False
    for index in reversed(range(4)):
        digit = value // 10**index % 10
        if digit:
            text += (DIGITS[0] if gap and text else "") + DIGITS[digit] + UNITS[index]
            gap = False
        else:
            gap = True
    return text
