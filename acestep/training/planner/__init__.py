"""Training of the nano planner: sentences about the generator's songs, their answers, the loop, and its examination."""
