"""A text encoder that is fine-tuned on emotions: the network, what it reads, and its training."""
