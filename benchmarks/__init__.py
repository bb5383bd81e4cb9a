"""What is measured, each a module that runs by itself: python -m benchmarks.NAME."""
