#!/bin/sh
# Builds minuted_VERSION_ARCH.deb for machines with this one's Debian release: `deploy/build_deb.sh [FOLDER]`.
# It brings all it needs of Python along, so that a room's machine needs no network, pip or compiler.
set -eu
# Before anything is made: the package installs what is here with its modes.
umask 022

source=$(cd "$(dirname "$0")/.." && pwd)
folder=$(cd "${1:-.}" && pwd)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$source/pyproject.toml" | head -n 1)
architecture=$(dpkg --print-architecture)
python=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
next=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % (sys.version_info[0], sys.version_info[1] + 1))')
home=/opt/minuted/releases/$version
root=$stage$home

mkdir -p "$stage/opt/minuted/releases"
/usr/bin/python3 -m venv "$root"
pip="$root/bin/pip --quiet --disable-pip-version-check --no-input"
$pip install --no-compile --require-hashes -r "$source/deploy/requirements.txt"
copy=$stage/source
mkdir "$copy"
for part in pyproject.toml README.md LICENSE daemon sinks; do cp -R "$source/$part" "$copy/"; done
mkdir "$copy/deploy"
cp -R "$source/deploy/shell" "$copy/deploy/"
$pip install --no-compile --no-deps --no-build-isolation "$copy"
rm -rf "$copy"
"$root/bin/python" -m minuted.config > "$root/minuted.toml"
# What has built it stays here, and so does every mention of this folder.
$pip uninstall --yes hatchling setuptools pip
find "$root/bin" -type f ! -name minuted -delete
sed -i "1s|.*|#!$home/bin/python3|" "$root/bin/minuted"
sed -i '/^command = /d' "$root/pyvenv.cfg"
find "$root" -name __pycache__ -prune -exec rm -rf {} +
"$root/bin/python" -m compileall -q -s "$stage" -p / "$root/lib"
if grep -rIlq "$stage" "$root"; then
  grep -rIl "$stage" "$root" | grep -v 'direct_url.json$' >&2 && exit 1
fi
ln -s "releases/$version" "$stage/opt/minuted/current"

units=$stage/usr/lib/systemd
mkdir -p "$units/system" "$units/user" "$units/system-generators" "$stage/usr/lib/sysusers.d" "$stage/usr/lib/tmpfiles.d" \
  "$stage/usr/bin" "$stage/usr/share/doc/minuted" "$stage/DEBIAN"
cp "$source"/systemd/*.service "$source"/systemd/*.target "$units/system/"
cp "$source/systemd/user/minuted.service" "$units/user/"
install -m 755 "$source/systemd/minuted-generator" "$units/system-generators/"
sed -i 's|/usr/local/share|/usr/share|' "$units"/*/*.service "$units"/system/*.target
if [ "$(systemctl --version | sed -n '1s/[^0-9]*\([0-9]*\).*/\1/p')" -ge 254 ]; then
  mkdir "$units/system/minuted.service.d"
  cp "$source/systemd/newer/minuted.conf" "$units/system/minuted.service.d/newer.conf"
fi
cp "$source/deploy/minuted.sysusers.conf" "$stage/usr/lib/sysusers.d/minuted.conf"
cp "$source/deploy/minuted.tmpfiles.conf" "$stage/usr/lib/tmpfiles.d/minuted.conf"
"$source/deploy/install_documents.sh" "$stage/usr/share/doc/minuted"
mv "$stage/usr/share/doc/minuted/LICENSE" "$stage/usr/share/doc/minuted/copyright"
ln -s /opt/minuted/current/bin/minuted "$stage/usr/bin/minuted"
# Completion and the manual page, which the wheel has brought.
for part in bash-completion zsh fish man; do cp -R "$root/share/$part" "$stage/usr/share/"; done
gzip -9n "$stage/usr/share/man/man1/minuted.1"
# Debian's zsh looks for a package's there alone.
mv "$stage/usr/share/zsh/site-functions" "$stage/usr/share/zsh/vendor-completions"

cat > "$stage/DEBIAN/control" <<END
Package: minuted
Version: $version
Architecture: $architecture
Maintainer: the administrators of this machine <root@localhost>
Depends: python3 (>= $python), python3 (<< $next~), ca-certificates, libportaudio2, libasound2-plugins, systemd (>= 252)
Section: sound
Priority: optional
Installed-Size: $(du -sk "$stage" | cut -f 1)
Description: takes the minutes of a room
 Listens to a meeting room's microphone, streams what it hears to AssemblyAI or to the recogniser that
 comes with it, and hands every turn of speech to files, webhooks and other programs, live.
END
for script in preinst postinst prerm postrm; do
  install -m 755 "$source/deploy/debian/$script" "$stage/DEBIAN/$script"
done
find "$stage" -type d -exec chmod g-s {} +
dpkg-deb --root-owner-group -Zxz -z1 --build "$stage" "$folder/minuted_${version}_$architecture.deb"
