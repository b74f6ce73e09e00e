#!/usr/bin/env bash
# What does procsys do for a newcomer? The seed of it all, on this machine: a
# container that stock runc can't start inside gVisor, one command, and the same
# container running. Ends with an error if any step is not as it is told.
#
# `make demo` builds what it needs: target/release/procsys-patch and, under
# target/fixtures, runc, runsc (gVisor) and a root file system.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
fixtures=target/fixtures
patcher=${PROCSYS_PATCH:-target/release/procsys-patch}
work=$(mktemp -d "${TMPDIR:-/tmp}/procsys-demo.XXXXXX")
runsc=$(readlink -f "$fixtures/runsc-20240729")
busybox=$(readlink -f "$fixtures/busybox-static")
rootfs=$(readlink -f "$fixtures/rootfs")
stock=$(readlink -f "$fixtures/runc-current")
version=$("$stock" --version | sed -n 1p)

# Whatever happened, no sandbox is left behind.
trap '"$runsc" --root="$work/state" delete --force demo >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
indent() { sed 's/^/    /'; }
wrong() {
    printf '\nThis is not what should have happened: %s\n' "$*" >&2
    exit 1
}

[[ $(id -u) == 0 ]] || wrong "the demo starts containers and has to be run by root"

# The inner container: what a Kubernetes node asks of runc, in small.
mkdir -p "$work/container" "$work/sandbox"
cat >"$work/container/config.json" <<JSON
{
  "ociVersion": "1.0.2",
  "root": {"path": "$rootfs", "readonly": true},
  "hostname": "demo",
  "process": {
    "args": ["/bin/sh", "-c", "echo Hello from a container inside gVisor, on host \$(hostname)."],
    "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}, "noNewPrivileges": true,
    "capabilities": {"bounding": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_CHOWN", "CAP_KILL"],
                     "permitted": ["CAP_CHOWN", "CAP_KILL"]}
  },
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"]}
  ],
  "linux": {
    "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                   {"type": "network"}, {"type": "cgroup"}],
    "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0"},
    "maskedPaths": ["/proc/kcore", "/sys/firmware"],
    "readonlyPaths": ["/proc/sys"]
  }
}
JSON

# The outer sandbox: a gVisor that sees this machine's files, read-only in
# effect (what it writes stays in its memory), and that runs one runc.
inside_gvisor() {
    local all='"CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_FOWNER","CAP_FSETID","CAP_KILL","CAP_SETGID","CAP_SETUID","CAP_SETPCAP","CAP_NET_BIND_SERVICE","CAP_NET_ADMIN","CAP_NET_RAW","CAP_SYS_CHROOT","CAP_SYS_PTRACE","CAP_SYS_ADMIN","CAP_SYS_RESOURCE","CAP_MKNOD","CAP_AUDIT_WRITE","CAP_SETFCAP"'
    cat >"$work/sandbox/config.json" <<JSON
{
  "ociVersion": "1.0.2",
  "root": {"path": "/"},
  "process": {
    "args": ["$busybox", "timeout", "60", "$1", "--root", "/run/demo", "run", "--bundle", "$work/container", "demo"],
    "cwd": "/", "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "user": {"uid": 0, "gid": 0},
    "capabilities": {"bounding": [$all], "effective": [$all], "permitted": [$all], "inheritable": [$all]}
  },
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs"},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"},
    {"destination": "/run", "type": "tmpfs", "source": "tmpfs"}
  ],
  "linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"}]}
}
JSON
    timeout -s KILL 120 "$runsc" --root="$work/state" --network=none --platform=systrap \
        --ignore-cgroups --overlay2=all:memory run --bundle "$work/sandbox" demo </dev/null 2>&1 | cat
}

title "The place: a gVisor sandbox ($("$runsc" --version | sed -n 1p))"
echo "gVisor is a kernel of its own, written in Go. Programs in it meet its answers, not Linux's:"
echo "some files of /proc are missing there, and some answers differ from what runc expects."

title "1. Stock runc ($version) starts a container in it"
printf '  $ runc run demo\n'
code=0
output=$(inside_gvisor "$stock") || code=$?
indent <<<"$output"
printf '    exit code %s\n' "$code"
[[ $code != 0 ]] || wrong "stock runc ran the container"
[[ $output == *"cgroup namespaces aren't enabled in the kernel"* || $output == *"unsafe procfs detected: incorrect procfs root inode number"* ]] ||
    wrong "stock runc failed, but not with a message that gVisor is known for"
echo "It refuses. It is a static program: LD_PRELOAD does not reach it, and it starts itself anew"
echo "in the container, without its environment. So far this took another version of runc, or a"
echo "build of one's own of runc or of gVisor."

title "2. One command patches the program file"
printf '  $ procsys-patch runc -o runc-gvisor\n'
"$patcher" "$stock" -o "$work/runc-gvisor" 2>&1 | indent

title "3. The same container, the same gVisor, with the patched runc"
printf '  $ runc-gvisor run demo\n'
code=0
output=$(inside_gvisor "$work/runc-gvisor") || code=$?
indent <<<"$output"
printf '    exit code %s\n' "$code"
[[ $code == 0 ]] || wrong "patched runc did not run the container"
[[ $output == *"Hello from a container inside gVisor, on host demo."* ]] || wrong "the container did not print its line"

title "Done: the container runs inside gVisor, with the runc that could not start it."
