"""Model families beside ACE-Step 1.5, one package each: networks, codec, words, loops and checkpoint layouts."""
