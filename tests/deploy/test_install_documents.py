"""The documents as they are installed: whoever follows a link in them arrives."""

import re
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy/install_documents.sh"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    folder = tmp_path / "doc"
    # Twice: an upgrade takes away what is no longer there.
    (folder / "sinks/gone").mkdir(parents=True)
    for _ in range(2):
        subprocess.run([SCRIPT, folder], check=True)
    return folder


def test_every_link_of_an_installed_document_leads_somewhere(installed: Path) -> None:
    documents = sorted(installed.rglob("*.md"))
    assert {"README.md", "sinks/README.md", "daemon/README.md", "deploy/audio.md"} <= {
        str(document.relative_to(installed)) for document in documents
    }
    links = [
        (document, target)
        for document in documents
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8"))
        if "://" not in target
    ]
    assert len(links) > 5
    assert [
        (str(document), target) for document, target in links if not (document.parent / target).exists()
    ] == []


def test_the_subscribers_and_the_sinks_are_there_and_nothing_old_is(installed: Path) -> None:
    assert (installed / "deploy/subscribers/network.py").is_file()
    assert (installed / "sinks/webhook.py").is_file()
    assert not (installed / "sinks/gone").exists()


@pytest.mark.parametrize("script", ["install.sh", "build_deb.sh"])
def test_whoever_installs_installs_them(script: str) -> None:
    assert "install_documents.sh" in (SCRIPT.parent / script).read_text()
