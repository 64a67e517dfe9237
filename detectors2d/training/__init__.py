"""Training of 2D networks."""
