"""The parts that every kind is built from."""
