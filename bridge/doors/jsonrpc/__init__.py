"""The JSON-RPC 2.0 door: codec, connections over lines and WebSockets, listeners."""
