"""What of a README counts as a line to run."""

import pytest

from readme.lines import Piece, pieces
from readme.ways import never_run, not_there

TEXT = """\
# Title

```sh
make demo    # a real recording
# a comment alone

minuted run --title "No. #1" # done
```

## Next

```
$ shown, not run
```

```toml
# minuted.toml
room = "a"   # stays
```
"""


def test_commands_are_taken_one_by_one_without_their_comments_and_blocks_whole() -> None:
    assert list(pieces(TEXT)) == [
        Piece("Title", "sh", 4, "make demo"),
        Piece("Title", "sh", 7, 'minuted run --title "No. #1"'),
        Piece("Next", "toml", 16, '# minuted.toml\nroom = "a"   # stays\n'),
    ]


def test_a_language_nobody_knows_is_told() -> None:
    with pytest.raises(ValueError, match=r"README\.md:1: rust is none of sh, toml"):
        list(pieces("```rust\nfn main() {}\n```\n"))


def test_a_line_that_nothing_runs_is_named_and_a_way_without_a_line_too() -> None:
    assert never_run("# A\n```sh\nminuted fly\n```\n") == ["README.md:3 (A): minuted fly"]
    assert "sh: minuted check" in not_there("")
