"""What the benchmarks compare with: the padded network, and a count of operations."""
