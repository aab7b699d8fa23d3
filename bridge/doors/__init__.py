"""The doors: OSC, MessagePack-RPC, spool folder, HTTP. Each only translates into calls of the core."""
