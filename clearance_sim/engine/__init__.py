"""The engine: a scenario as flat tables, and an event loop over them compiled to machine code."""
