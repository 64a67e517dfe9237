"""Motion capture, and the virtual cameras and detector noise that make training pairs of it."""
