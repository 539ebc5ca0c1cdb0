"""Training: state, step, loop, checkpoints and distribution over devices."""
