"""Print deploy/constraints.txt: exact versions and hashes of everything pyproject.toml asks for.

Needs pip-tools (`pip install pip-tools`). Names, versions and hashes only: where packages come from
is the installer's own configuration.
"""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path


def main() -> int:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["local"],
        *project["dependency-groups"]["dev"],
    ]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "requirements.in"), Path(folder, "constraints.txt")
        source.write_text("\n".join(wanted), encoding="utf-8")
        options = (
            "generate-hashes allow-unsafe strip-extras "
            "no-emit-index-url no-emit-find-links no-emit-trusted-host"
        )
        subprocess.check_call(
            [
                *(sys.executable, "-m", "piptools", "compile", "--quiet", "--no-annotate", "--no-header"),
                *(f"--{option}" for option in options.split()),
                *("--output-file", str(target), str(source)),
            ],
            stdout=sys.stderr,
        )
        print(target.read_text(encoding="utf-8"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
