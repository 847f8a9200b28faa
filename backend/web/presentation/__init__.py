"""How states, fields, figures and comparisons are shown to people."""
