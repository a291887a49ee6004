# Starts a container as the kubelet starts that of Envoy Gateway's rate-limit deployment: root of a
# read-only file system with the program and what it is linked with, user 65534, no capabilities,
# no new privileges, nothing to write to.
#
#   sh start.sh PROGRAM ROOT MOUNTS NAME=VALUE...
#
# MOUNTS is a directory that holds what is mounted: the file `hosts`, the directories `certs` and
# `statsd-exporter`. It takes root in user and mount namespaces of one's own.
set -eu
program=$1 root=$2 mounts=$3
shift 3

mount -t tmpfs -o mode=755 tmpfs "$root"
for directory in bin certs dev etc/statsd-exporter proc; do
    mkdir -p "$root/$directory"
done
for library in $(ldd "$program" | grep -o '/[^ )]*'); do
    mkdir -p "$root$(dirname "$library")"
    cp "$library" "$root$library"
done

# Mounts SOURCE TARGET, for reading only.
expose() {
    mount --bind "$1" "$root/$2"
    mount -o "remount,bind,ro,nosuid,nodev$3" "$root/$2"
}
touch "$root/bin/ratelimit" "$root/etc/hosts" "$root/dev/null"
expose "$program" bin/ratelimit ""
expose "$mounts/hosts" etc/hosts ,noexec
expose "$mounts/certs" certs ,noexec
expose "$mounts/statsd-exporter" etc/statsd-exporter ,noexec
mount --bind /dev/null "$root/dev/null"
mount --rbind /proc "$root/proc"
mount -o remount,bind,ro,nodev "$root"

exec env -i "$@" setpriv --no-new-privs \
    unshare --user --map-user=65534 --map-group=65534 --root="$root" --wd=/ /bin/ratelimit
