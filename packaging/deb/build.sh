#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Build the Debian package `wsl-monitor`: the agent as a service, and the whole of Observer for the system's Python.
#
# usage: packaging/deb/build.sh [VERSION]      makes build/deb/wsl-monitor_VERSION_ARCH.deb and prints its path
set -euo pipefail
cd "$(dirname "$0")/../.."

version=${1:-$(sed -n 's/^version *= *"\(.*\)"/\1/p' pyproject.toml | head -n 1)}
arch=$(dpkg --print-architecture)
out=build/deb
root=$out/root
here=packaging/deb
python=.venv/bin/python

rm -rf "$root"
mkdir -p "$out" "$root/DEBIAN"

# The system's Python is not that of .venv; the native core (built by `make setup`) is abi3 and the rest is Python, so one tree
# serves all from 3.11 on. Dependencies are those of pyproject.toml.
lib=$root/usr/lib/wsl-monitor/python
mkdir -p "$lib"
tar -C src --exclude=__pycache__ -cf - observer | tar -C "$lib" -xf -
mapfile -t needs < <("$python" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")')
tools/setup/quiet.sh "$python" -m pip install --quiet --no-compile --target "$lib" "${needs[@]}"
rm -rf "$lib/bin" "$lib"/*/tests
find "$lib" -name __pycache__ -type d -prune -exec rm -rf {} +
strip --strip-unneeded "$lib"/observer/*.so

put() { install -D -m "$1" "$2" "$root$3"; }
put 755 $here/observer /usr/bin/observer
put 755 $here/wsl-monitor /usr/sbin/wsl-monitor
put 644 $here/agent.toml /etc/wsl-monitor/agent.toml
put 644 packaging/systemd/wsl-monitor.service /usr/lib/systemd/system/wsl-monitor.service
put 644 $here/sysusers.conf /usr/lib/sysusers.d/wsl-monitor.conf
put 644 docs/guides/linux-agent.md /usr/share/doc/wsl-monitor/linux-agent.md
put 644 LICENSE /usr/share/doc/wsl-monitor/copyright
for script in postinst prerm postrm; do put 755 $here/$script /DEBIAN/$script; done
echo /etc/wsl-monitor/agent.toml >"$root/DEBIAN/conffiles"
size=$(du -sk --apparent-size "$root" | cut -f1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" $here/control >"$root/DEBIAN/control"

# Like everything that is built from committed sources, the same commit gives the same bytes.
stamp=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y pyproject.toml)
find "$root" -newermt "@$stamp" -exec touch --no-dereference --date="@$stamp" {} +
package=$out/wsl-monitor_${version}_$arch.deb
SOURCE_DATE_EPOCH=$stamp dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
echo "$package"
