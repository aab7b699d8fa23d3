"""Checkpoints as their authors publish them: found, recognised, opened strictly, downloaded.

`info`, `layout`, `digest` and `download` are torch-free and serve the daemon; `load` and `tiny` belong to the worker.
"""
