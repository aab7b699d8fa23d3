"""The commands that are no operations, a few to a module; each function adds its arguments and sets what runs it."""
