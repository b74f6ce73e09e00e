# containerd without a kubelet: containers by ctr and a shim, stock and patched.
#
#   ctr.sh SHARE

. "$1/node.sh"

# containers SUFFIX: with the programs of that name, a container with a seccomp
# profile that prints a line, and one that runs till it is killed.
containers() {
    use containerd "containerd$1"
    use containerd-shim-runc-v2 "containerd-shim-runc-v2$1"
    use runc "runc$1"
    start_containerd || exit 1
    import_images
    echo "@stage run$1 $(ctr run --rm --seccomp --snapshotter native procsys.test/busybox:1 "one$1" \
        /bin/sh -c 'echo hello from $(hostname)' 2>&1 | tail -n 1)"
    ctr run --detach --snapshotter native procsys.test/busybox:1 "two$1" /bin/sleep 1000 2>/dev/null
    echo "@stage ls$1 $(ctr task ls | sed -n "s/^\(two[^ ]*\) .* /\1 /p")"
    ctr task kill --signal KILL "two$1" 2>/dev/null
    wait_for 20 sh -c "'$share/bin/ctr' --address $socket -n k8s.io task ls | grep -q STOPPED"
    ctr task rm "two$1" 2>/dev/null
    echo "@stage left$1 $(ctr task ls | sed 1d)"
    stop $containerd
}

ctr() {
    "$share/bin/ctr" --address $socket --namespace k8s.io "$@"
}

containers ''
containers -patched
