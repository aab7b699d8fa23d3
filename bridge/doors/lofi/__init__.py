"""The lofi door: what lofi.nvim asks of its daemon, on standard input and output, done by a daemon of ours."""
