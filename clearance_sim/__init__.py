"""A simulator of customs clearance: does 72 hours become 8, and under which conditions?"""
