"""Training: one step, its state, and what keeps and spreads them."""
