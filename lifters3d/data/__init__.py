"""Motion-capture data and the virtual cameras and detector noise that turn it into training pairs."""
