"""How good a checkpoint is, on songs it never saw: measures, tasks, a table and pictures."""
