"""`python -m clearance_sim` is `clearance-sim`."""

from clearance_sim.cli import main

if __name__ == "__main__":
    main()
