"""Training of the nano codec in two phases: spectral features first, sound second."""
