"""A planner without a language model: a sentence becomes caption, tempo, key, metre and length by rules. No torch.

Reading order: `vocabulary` (words and what they say), `matching` (where they stand), `figures` (tempo, key, metre, length),
`reading` (a sentence as facts), `writing` (facts and a seed become a plan), `rules_planner` (what the planner's operations call).

It knows words, not music: what it can't know it draws from the seed within what is usual for the style, and says so. It writes
neither lyrics nor codes, and can't listen.
"""
