#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Make the disk, kernel and initramfs of the virtual machine that tests kill: Debian, the agent's package, a shell on ttyS1.
#
# usage: tools/machines/vm_image.sh ROOTFS.tar AGENT.deb DIRECTORY
#
# Needs root (to unpack and install), mke2fs, qemu-img and busybox-static. No loop mount, no network.
set -euo pipefail
rootfs=$(realpath "${1:?usage: vm_image.sh ROOTFS.tar AGENT.deb DIRECTORY}")
deb=$(realpath "${2:?usage: vm_image.sh ROOTFS.tar AGENT.deb DIRECTORY}")
target=$(realpath -m "${3:?usage: vm_image.sh ROOTFS.tar AGENT.deb DIRECTORY}")
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$target"
mkdir -p "$target/tree" "$target/early"
tree=$target/tree
tar -C "$tree" -xf "$rootfs"

cp "$deb" "$tree/tmp/agent.deb"
chroot "$tree" dpkg -i /tmp/agent.deb >/dev/null
rm "$tree/tmp/agent.deb"
install -m 755 "$here/serial-shell" "$tree/usr/local/sbin/serial-shell"
install -m 644 "$here/serial-shell.service" "$tree/etc/systemd/system/serial-shell.service"
install -m 755 "$here/marks.py" "$tree/usr/local/sbin/marks"
install -m 755 "$here/hog.py" "$tree/usr/local/sbin/hog"
install -m 644 "$here/agent.toml" "$tree/etc/wsl-monitor/agent.toml"
chroot "$tree" systemctl --quiet enable serial-shell.service
# A guest without hardware acceleration boots in half the time without these.
chroot "$tree" systemctl --quiet mask getty@.service serial-getty@.service apt-daily.timer apt-daily-upgrade.timer \
    fstrim.timer e2scrub_all.timer dpkg-db-backup.timer systemd-update-utmp.service systemd-update-utmp-runlevel.service
mkdir -p "$tree/var/log/journal"
chroot "$tree" python3 -I -m compileall -q -j 0 /usr/lib/python3.11 >/dev/null || true

# The kernel's own modules for the disk, and a program that loads them and goes on: 1 MB instead of Debian's 30.
version=$(basename "$tree"/boot/vmlinuz-* | sed 's/^vmlinuz-//')
cp "$tree/boot/vmlinuz-$version" "$target/vmlinuz"
early=$target/early
mkdir -p "$early"/{bin,dev,proc,sys,mnt,modules}
cp "$(command -v busybox)" "$early/bin/busybox"
for name in virtio_pci virtio_blk; do
    chroot "$tree" modprobe -S "$version" --show-depends $name | awk '$1 == "insmod" {print $2}'
done >"$target/order"
{
    echo '#!/bin/busybox sh'
    echo '/bin/busybox mount -t devtmpfs dev /dev; /bin/busybox mount -t proc proc /proc'
    awk '!seen[$0]++' "$target/order" | while read -r module; do
        cp "$tree$module" "$early/modules/"
        echo "/bin/busybox insmod /modules/$(basename "$module")"
    done
    echo 'for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/vda ] && break; /bin/busybox sleep 1; done'
    echo '/bin/busybox mount -t ext4 -o rw /dev/vda /mnt && exec /bin/busybox switch_root /mnt /sbin/init'
} >"$early/init"
chmod 755 "$early/init"
(cd "$early" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$target/initrd.gz"

mke2fs -q -t ext4 -d "$tree" -L root "$target/root.img" 1800M
qemu-img convert -O qcow2 "$target/root.img" "$target/root.qcow2"
rm -rf "$target/root.img" "$tree" "$early" "$target/order"
