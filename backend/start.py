"""Where the command ``provenport`` starts: what readers of evidence do needs a small part of the system.

So verifying, and signing snapshots, wait for no more than that.
"""

import sys


def main() -> None:
    """The console script."""
    if sys.argv[1:2] == ["verify"]:
        from backend.cli_verify import verify_command

        verify_command(sys.argv[2:], prog_name="provenport verify")
        return
    if sys.argv[1:2] == ["snapshot"]:
        from backend.cli_snapshot import snapshot_command

        snapshot_command(sys.argv[2:], prog_name="provenport snapshot")
        return
    from backend.cli import main as everything

    everything()


if __name__ == "__main__":
    main()
