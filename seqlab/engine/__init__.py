"""Training: loop, optimisers, schedules, checkpoints, curves, and the machine underneath."""
