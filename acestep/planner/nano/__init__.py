"""The nano planner: a small language model of this project's own that reads a sentence where the rules' vocabulary ends."""
