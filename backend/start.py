"""Where the command ``provenport`` starts: verifying needs a small part of the system, so it waits for no more."""

import sys


def main() -> None:
    """The console script."""
    if sys.argv[1:2] == ["verify"]:
        from backend.cli_verify import verify_command

        verify_command(sys.argv[2:], prog_name="provenport verify")
        return
    from backend.cli import main as everything

    everything()


if __name__ == "__main__":
    main()
