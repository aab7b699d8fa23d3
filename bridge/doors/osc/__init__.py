"""The OSC door: strict codec, stream framing, grammar, sockets."""
