"""A seeded world, drawn and described: input for the demo, the tests and the benchmarks."""
