"""Training of SDT in one process: the objective, the optimiser, an epoch, and what going on takes."""
