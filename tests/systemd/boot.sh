#!/bin/sh
# Boots systemd over a copy-on-write view of a root, as a rule this machine's: `boot.sh FOLDER BASE`, as process 1
# of new namespaces. FOLDER/seed is copied over the root; FOLDER/binds has lines of `SOURCE TARGET`.
set -eu
folder=$1 base=$2
disk=$folder/disk root=$folder/disk/root

mount --make-rprivate /
mount -t tmpfs -o mode=755 box "$disk"
mkdir "$disk/changes" "$disk/work" "$root"
chmod 755 "$disk/changes" "$root"
mount -t overlay -o "lowerdir=$base,upperdir=$disk/changes,workdir=$disk/work" box "$root"

# Only what is put there: none of the machine's services, no disks, an identity of its own.
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/*.requires
: > "$root/etc/fstab"
rm -f "$root/etc/machine-id"
# Nor what a minuted of this machine's has left.
rm -rf "$root/etc/minuted" "$root/var/lib/minuted" "$root/opt/minuted"
: > "$root/etc/machine-id"
cp -a "$folder/seed/." "$root/"

mount -t proc proc "$root/proc"
mount -o bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,ro,bind "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for place in dev:755 run:755 tmp:1777; do
  mount -t tmpfs -o "mode=${place#*:}" box "$root/${place%:*}"
done
for device in null zero full random urandom tty; do
  : > "$root/dev/$device"
  mount -o bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/run/lock"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 box "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

while read -r source target; do
  mkdir -p "$root$target"
  mount --rbind "$source" "$root$target"
done < "$folder/binds"
ip link set lo up

cd "$root"
mkdir -p mnt
pivot_root . mnt
umount -l /mnt
# Credentials reach a service by a mount that has to spread.
mount --make-rshared /
exec env -i container=box PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=multi-user.target --show-status=no --log-target=journal </dev/null >/dev/null 2>&1
