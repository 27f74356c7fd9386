#!/bin/sh
# Installs minuted as a service on Debian, or upgrades what is installed; `--help` says how.
set -eu
# Before anything is made: what others could write to would be run as root.
umask 022

readonly PREFIX=/opt/minuted
readonly CONFIG=/etc/minuted/minuted.toml
readonly LIBRARY=/usr/local/lib
readonly GENERATORS=/usr/local/lib/systemd/system-generators
readonly DOCUMENTS=/usr/local/share/doc/minuted
readonly PACKAGES="python3 python3-venv ca-certificates libportaudio2 libasound2-plugins"
readonly SHARED="bash-completion/completions/minuted zsh/site-functions/_minuted fish/vendor_completions.d/minuted.fish man/man1/minuted.1"
readonly UNITS="minuted minuted-capture minuted-capture@ minuted-transcription minuted-engine minuted-sink@ minuted-sink-network@ minuted-token-server minuted-metrics"

usage() {
  cat <<'END'
Usage: deploy/install.sh [options]          as root, in a checkout or an unpacked release

Installs minuted, or upgrades it in place; what is configured and what has been recorded stays.

  --room NAME          the room's name, for a new configuration
  --device TEXT        part of the microphone's name, for a new configuration
  --service SERVICE    assemblyai or local, for a new configuration; unset: assemblyai where there is a key
  --key-file FILE      take the AssemblyAI key from FILE ("-": standard input)
  --no-key             do not ask for a key
  --no-start           install only
  --despite-check      at an upgrade: start the new release though `minuted check` finds something wrong
  --uninstall          remove it; the configuration, the key and everything recorded stay
  --purge              with --uninstall: remove these too, and the user
  --help

Without a terminal nothing is asked. Where it can, the key is stored encrypted for this machine.
END
}

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

room='' device='' service='' key_file='' ask_key=yes start=yes despite_check=no uninstall=no purge=no checked=no
while [ $# -gt 0 ]; do
  case $1 in
    --room | --device | --service | --key-file)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case $1 in
        --room) room=$2 ;;
        --device) device=$2 ;;
        --service) service=$2 ;;
        --key-file) key_file=$2 ;;
      esac
      shift
      ;;
    --no-key) ask_key=no ;;
    --no-start) start=no ;;
    --despite-check) despite_check=yes ;;
    --uninstall) uninstall=yes ;;
    --purge) purge=yes ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; fail "unknown option $1" ;;
  esac
  shift
done
case $service in '' | assemblyai | local) ;; *) fail "--service is assemblyai or local, not $service" ;; esac
[ $purge = no ] || [ $uninstall = yes ] || fail "--purge goes with --uninstall"
[ "$(id -u)" = 0 ] || fail "only root can install a service: sudo $0"
source=$(cd "$(dirname "$0")/.." && pwd)
is_booted() { [ -d /run/systemd/system ]; }

remove() {
  if is_booted; then
    systemctl disable --quiet --now minuted.service minuted.target 2>/dev/null || true
    systemctl stop 'minuted*.service' 2>/dev/null || true
    # Their links, where the split form was enabled, and those of what runs beside either form.
    systemctl disable --quiet minuted-capture minuted-transcription minuted-engine 2>/dev/null || true
    systemctl disable --quiet minuted-token-server minuted-metrics 2>/dev/null || true
  fi
  for unit in $UNITS; do rm -f "$LIBRARY/systemd/system/$unit.service"; done
  rm -f "$LIBRARY/systemd/system/minuted.target" "$LIBRARY/systemd/user/minuted.service" "$GENERATORS/minuted-generator"
  rm -rf "$LIBRARY/systemd/system/minuted.service.d" /etc/systemd/system/minuted.target.wants
  rm -f "$LIBRARY/sysusers.d/minuted.conf" "$LIBRARY/tmpfiles.d/minuted.conf" /usr/local/bin/minuted
  for file in $SHARED; do rm -f "/usr/local/share/$file"; done
  # A virtual environment that somebody made there stays: it was not installed by this.
  rm -rf "$PREFIX/releases" "$PREFIX/current" "$PREFIX/next" "$DOCUMENTS"
  rmdir "$PREFIX" 2>/dev/null || true
  if [ $purge = yes ]; then
    rm -rf /etc/minuted /var/lib/minuted /etc/systemd/system/minuted*.service.d
    rm -f /etc/credstore/assemblyai.key /etc/credstore.encrypted/assemblyai.key
    if getent passwd minuted >/dev/null; then userdel minuted; fi
    if getent group minuted >/dev/null; then groupdel minuted; fi
  fi
  if is_booted; then systemctl daemon-reload; fi
  if [ $purge = yes ]; then
    say "minuted is gone, with all it recorded."
  else
    say "minuted is gone. /etc/minuted, /var/lib/minuted, the key and the user minuted are still there."
  fi
}

install_packages() {
  missing=
  for package in $PACKAGES; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  say "Installing the Debian packages$missing …"
  apt-get update --quiet --quiet
  # shellcheck disable=SC2086  # a list of names
  DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes --no-install-recommends $missing
}

# A release is complete before anything points to it, so that an upgrade that fails changes nothing.
build_release() {
  release=$PREFIX/releases/$(date -u +%Y%m%dT%H%M%S)-$$
  say "Installing into $release (a minute) …"
  trap 'rm -rf "$release"' EXIT
  install -d -m 755 "$PREFIX" "$PREFIX/releases"
  # What an earlier release was installed with, under another umask.
  chmod go-w "$PREFIX"
  chmod -R go-w "$PREFIX/releases"
  /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed"
  /usr/bin/python3 -m venv "$release"
  pip="$release/bin/pip --quiet --disable-pip-version-check --no-input"
  $pip install --require-hashes -r "$source/deploy/requirements.txt"
  # Out of a copy: building must leave nothing in a checkout.
  copy=$release/source
  mkdir "$copy"
  for part in pyproject.toml README.md LICENSE daemon sinks; do cp -R "$source/$part" "$copy/"; done
  mkdir "$copy/deploy"
  cp -R "$source/deploy/shell" "$copy/deploy/"
  $pip install --no-deps --no-build-isolation "$copy"
  rm -rf "$copy"
  "$release/bin/minuted" --help >/dev/null
  trap - EXIT
}

point_to() {
  ln -sfn "$1" "$PREFIX/next"
  mv -T "$PREFIX/next" "$PREFIX/current"
}

install_files() {
  install -d -m 755 "$LIBRARY/systemd" "$LIBRARY/systemd/system" "$LIBRARY/systemd/user" \
    "$GENERATORS" "$LIBRARY/sysusers.d" "$LIBRARY/tmpfiles.d" "${DOCUMENTS%/*}" "$DOCUMENTS"
  for unit in "$source"/systemd/*.service "$source"/systemd/*.target; do
    install -m 644 "$unit" "$LIBRARY/systemd/system/"
  done
  install -m 644 "$source/systemd/user/minuted.service" "$LIBRARY/systemd/user/"
  install -m 755 "$source/systemd/minuted-generator" "$GENERATORS/"
  rm -rf "$LIBRARY/systemd/system/minuted.service.d"
  if [ "$(systemctl --version | sed -n '1s/[^0-9]*\([0-9]*\).*/\1/p')" -ge 254 ]; then
    mkdir -p "$LIBRARY/systemd/system/minuted.service.d"
    install -m 644 "$source/systemd/newer/minuted.conf" "$LIBRARY/systemd/system/minuted.service.d/newer.conf"
  fi
  install -m 644 "$source/deploy/minuted.sysusers.conf" "$LIBRARY/sysusers.d/minuted.conf"
  install -m 644 "$source/deploy/minuted.tmpfiles.conf" "$LIBRARY/tmpfiles.d/minuted.conf"
  "$source/deploy/install_documents.sh" "$DOCUMENTS"
  "$release/bin/python" -m minuted.config > "$DOCUMENTS/minuted.toml"
  # Completion and the manual page, which the wheel has brought.
  for file in $SHARED; do install -D -m 644 "$release/share/$file" "/usr/local/share/$file"; done
  systemd-sysusers "$LIBRARY/sysusers.d/minuted.conf"
  systemd-tmpfiles --create "$LIBRARY/tmpfiles.d/minuted.conf"
}

# Set KEY = "VALUE" where the sample has it commented out, as the first of its name, with its SECTION's header.
set_value() {
  value=$(printf '%s' "$3" | sed 's/[\\"]/\\&/g; s/[\\&|]/\\&/g')
  sed -i "0,/^#$2 = .*/s|^#$2 = .*|$2 = \"$value\"|" "$CONFIG.new"
  [ -z "$1" ] || sed -i "s|^#\(\[$1\]\)|\1|" "$CONFIG.new"
}

configure() {
  if [ ! -e "$CONFIG" ]; then
    cp "$DOCUMENTS/minuted.toml" "$CONFIG.new"
    [ -z "$room" ] || set_value '' room "$room"
    [ -z "$device" ] || set_value capture device "$device"
    [ -z "$service" ] || set_value engine service "$service"
    mv "$CONFIG.new" "$CONFIG"
    say "Wrote $CONFIG"
  elif [ -n "$room$device$service" ]; then
    say "$CONFIG is there already and stays as it is."
  fi
  # Its owner and mode.
  systemd-tmpfiles --create "$LIBRARY/tmpfiles.d/minuted.conf"
}

has_key() { [ -e /etc/credstore/assemblyai.key ] || [ -e /etc/credstore.encrypted/assemblyai.key ]; }

read_key() {
  if [ -n "$key_file" ]; then
    if [ "$key_file" = - ]; then cat; else cat -- "$key_file"; fi
  elif [ $ask_key = yes ] && [ "$service" != local ] && [ -t 0 ] && ! has_key; then
    printf 'AssemblyAI key (not shown; empty: the engine on this machine): ' >&2
    trap 'stty echo; exit 1' INT TERM
    stty -echo
    IFS= read -r answer || answer=
    stty echo
    trap - INT TERM
    printf '\n' >&2
    printf '%s' "$answer"
  fi
}

# Systemd alone can read it there, and hands it on to the one service.
store_key() {
  key=$(read_key | tr -d '[:space:]')
  [ -n "$key" ] || return 0
  rm -f /etc/credstore/assemblyai.key /etc/credstore.encrypted/assemblyai.key
  kept=/etc/credstore.encrypted/assemblyai.key
  if (umask 077; printf '%s' "$key" | systemd-creds encrypt --name=assemblyai.key - "$kept" 2>/dev/null); then
    chmod 600 "$kept"
    setting='LoadCredentialEncrypted=assemblyai.key'
    say "Stored the key, encrypted for this machine."
  else
    rm -f "$kept"
    (umask 077; printf '%s' "$key" > /etc/credstore/assemblyai.key)
    setting=
    say "Stored the key in /etc/credstore, for root alone: this machine cannot encrypt it."
  fi
  key=
  for unit in minuted minuted-transcription; do
    drop_in=/etc/systemd/system/$unit.service.d/key.conf
    rm -f "$drop_in"
    [ -n "$setting" ] || continue
    mkdir -p "${drop_in%/*}"
    printf '# It replaces the line for a key that is not encrypted.\n[Service]\n%s\n' "$setting" > "$drop_in"
  done
}

# As the service will find it: its user, its groups, its key, its environment.
check() {
  environment=$(systemctl show --value --property=Environment minuted.service 2>/dev/null || true)
  credential=LoadCredential
  [ ! -e /etc/credstore.encrypted/assemblyai.key ] || credential=LoadCredentialEncrypted
  systemd-run --quiet --wait --pipe --collect \
    --property=User=minuted --property=SupplementaryGroups=audio \
    --property=StateDirectory=minuted --property=StateDirectoryMode=0750 \
    --property=RuntimeDirectory=minuted --property=RuntimeDirectoryMode=0750 \
    --property=RuntimeDirectoryPreserve=yes --property=$credential=assemblyai.key \
    ${environment:+"--property=Environment=$environment"} \
    "$release/bin/minuted" check --config "$CONFIG"
}

begin() {
  systemctl daemon-reload
  if systemctl is-enabled --quiet minuted.target 2>/dev/null; then
    # Somebody has chosen the split form.
    unit=minuted.target
    systemctl restart 'minuted-*.service' minuted.target
  else
    unit=minuted.service
    systemctl enable --quiet minuted.service
    systemctl restart minuted.service
  fi
}

# What runs beside it would go on from a release that the next upgrade deletes.
renew_others() {
  systemctl try-restart minuted-token-server.service minuted-metrics.service \
    || say "What runs beside minuted does not start: systemctl --failed"
}

is_running() {
  is_booted && { systemctl is-active --quiet minuted.service || systemctl is-active --quiet minuted.target; }
}

tell_of_others() {
  [ ! -e "$PREFIX/pyvenv.cfg" ] || say "$PREFIX has a virtual environment made by hand too, which stays as it is: where \
$PREFIX/bin comes first in PATH, \`minuted\` is the one in there. This service is $PREFIX/current/bin/minuted."
}

clean_up() {
  for old in "$PREFIX"/releases/*; do
    [ "$old" = "$release" ] || [ "$old" = "$previous" ] || rm -rf "$old"
  done
}

if [ $uninstall = yes ]; then
  remove
  exit 0
fi

[ -x /usr/bin/apt-get ] || fail "this installs on Debian and its kin; see README for other systems"
if dpkg-query -W -f '${Status}' minuted 2>/dev/null | grep -q 'ok installed'; then
  fail "minuted is installed as a Debian package; upgrade that, or remove it first: apt-get remove minuted"
fi
install_packages
previous=$(readlink "$PREFIX/current" 2>/dev/null || true)
build_release
if [ -n "$previous" ] && [ $start = yes ] && [ $despite_check = no ] && is_running; then
  store_key
  key_file='' ask_key=no checked=yes
  say "minuted check, by the new release:"
  if ! check; then
    rm -rf "$release"
    fail "nothing was changed and the release before goes on running; once what is marked above is mended, run this again (or with --despite-check)"
  fi
fi
install_files
configure
store_key
ln -sfn "$PREFIX/current/bin/minuted" /usr/local/bin/minuted
if ! is_booted || [ $start = no ]; then
  point_to "$release"
  clean_up
  tell_of_others
  say "Installed, not started: systemctl enable --now minuted"
  exit 0
fi
systemctl daemon-reload
if [ $checked = no ]; then
  say "minuted check:"
  check || say "What is marked above needs a look; edit $CONFIG, then: systemctl restart minuted"
fi
point_to "$release"
if ! begin; then
  journalctl --unit minuted --lines 5 --output cat --no-pager >&2 || true
  if [ -n "$previous" ] && [ -d "$previous" ]; then
    point_to "$previous"
    begin || true
    rm -rf "$release"
    fail "the new release does not start; the one before is back"
  fi
  fail "it does not start; the reason stands above, and the whole in: journalctl --unit minuted"
fi
renew_others
clean_up
tell_of_others
say "minuted is running: $(systemctl show --property=StatusText --value minuted.service)"
say "Watch it:  sudo -u minuted minuted watch        its state: sudo -u minuted minuted status"
say "Its log:   journalctl --unit minuted --follow   let somebody in: usermod -aG minuted NAME"
