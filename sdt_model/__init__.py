"""The model: network, objective, batching, scores and the saved bundle. Knows torch, and neither Ray nor storage."""
