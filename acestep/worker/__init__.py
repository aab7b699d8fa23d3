"""The worker process: holds the models, runs one job at a time, speaks frames over its pipes."""
