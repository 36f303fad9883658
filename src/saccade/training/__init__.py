"""How a network learns: loop, optimiser, schedule, checkpoint."""
