"""The one trainer: optimizers, schedule, checkpoints, distribution, metrics. Blind to algorithms."""
