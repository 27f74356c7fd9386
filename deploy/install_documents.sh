#!/bin/sh
# Copies the documents, and what they link to, into a folder in which their links work: `install_documents.sh FOLDER`.
set -eu
umask 022

source=$(cd "$(dirname "$0")/.." && pwd)
folder=$1
# Whatever an earlier release had there.
rm -rf "$folder/daemon" "$folder/deploy" "$folder/sinks" "$folder/systemd"
mkdir -p "$folder/daemon" "$folder/deploy/subscribers" "$folder/sinks" "$folder/systemd/user"
install -m 644 "$source/README.md" "$source/CHANGELOG.md" "$source/LICENSE" "$folder/"
install -m 644 "$source/daemon/README.md" "$folder/daemon/"
install -m 644 "$source/deploy/audio.md" "$source/deploy/minuted.toml" "$folder/deploy/"
install -m 644 "$source"/deploy/subscribers/* "$folder/deploy/subscribers/"
install -m 644 "$source"/sinks/README.md "$source"/sinks/*.py "$folder/sinks/"
install -m 644 "$source"/systemd/*.service "$source"/systemd/*.target "$folder/systemd/"
install -m 644 "$source"/systemd/user/*.service "$folder/systemd/user/"
