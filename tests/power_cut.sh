#!/usr/bin/env bash
# Cuts the power of a store's disk at random instants: an ext4 on a loop device is copied, as it is at one instant, by a clone of its image on
# an XFS; each copy is mounted, which replays its journal, and compared with what was acknowledged. Mounts are this script's own and go with
# it. Ends with 77 where the machine does not allow it: without root, loop devices or the tools.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "tests/power_cut.sh: SKIPPED: $1" >&2
    exit 77
}
[ "$(id -u)" -eq 0 ] || skip "not root"
[ -e /dev/loop-control ] || skip "there are no loop devices"
command -v mkfs.xfs >/dev/null && command -v mkfs.ext4 >/dev/null || skip "mkfs.xfs or mkfs.ext4 is missing"
unshare --mount true 2>/dev/null || skip "mount namespaces are not allowed"

cargo test --workspace --all-features --test store --no-run

mkdir -p target
folder=$(mktemp -d "$PWD/target/power-cut.XXXXXX")
trap 'rm -rf "$folder"' EXIT
truncate -s 1G "$folder/outer.img"
mkfs.xfs -q -m reflink=1 "$folder/outer.img"
mkdir "$folder/outer"

code=0
unshare --mount bash -euo pipefail -c '
    mount --make-rprivate /
    mount -o loop "$1/outer.img" "$1/outer" || exit 77
    truncate -s 192M "$1/outer/disk.img"
    mkfs.ext4 -q -F "$1/outer/disk.img"
    mkdir "$1/outer/mounted"
    mount -o loop "$1/outer/disk.img" "$1/outer/mounted" || exit 77
    SWARMCAST_DISK="$1/outer/disk.img" SWARMCAST_DISK_MOUNTED="$1/outer/mounted" SWARMCAST_DISK_COPIES="$1/outer" \
        cargo test --workspace --all-features --test store -- --ignored --nocapture
' power_cut "$folder" || code=$?
[ $code -ne 77 ] || skip "loop devices cannot be mounted here"
exit $code
