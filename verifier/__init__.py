"""Independent verifiers of evidence (one Python program, one HTML page), the schemas of their files, and test vectors.

The verifiers share no code with the backend. The package only tells where the files lie, so that the server can hand
them out.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
PROGRAM = FOLDER / "verify.py"
PAGE = FOLDER / "verifier.html"
