"""The forms that people fill in, and the lists that they choose from."""
