"""The tests, a package of their own name: others leave a package called tests beside the installed ones."""
