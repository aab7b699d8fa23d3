"""Played, not clicked: MIDI triggers, musical time, capture, slots and launching on the bar.

The musical logic (timeline, clock, triggers, chords, mixer, capture ring) is pure and knows neither MIDI ports nor sound
cards; `ports` and the player process bring those in and say what is missing when the machine has none.
"""
