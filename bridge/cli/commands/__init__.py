"""The commands that are not operations, a few to a module; each function adds its arguments and sets what runs it."""
