# A node whose programs come out of a file of a k3s release's shape, stock and patched,
# in the same data directory.
#
#   k3s.sh SHARE

. "$1/node.sh"
data=/run/k3s

# through FILE: from now on kubelet and containerd are what this file unpacks and runs.
through() {
    mkdir -p "$bin"
    for program in kubelet containerd; do
        printf '#!/bin/sh\nexec %s --data-dir %s %s "$@"\n' "$share/$1" $data $program >"$bin/$program"
        chmod 755 "$bin/$program"
    done
}

through k3s-stock
start_containerd || exit 1
import_images || exit 1
mkdir -p $node/manifests
cp "$share/pod.yaml" $node/manifests/
start_kubelet b1.log
wait_for 90 grep -q 'failed to run Kubelet: ' "$share/b1.log"
echo "@stage b1 $(grep -h -o 'failed to run Kubelet: .*' "$share/b1.log" | head -n 1)"
kill $kubelet 2>/dev/null
wait $kubelet
stop $containerd
echo "@stage stock $(readlink $data/data/current)"

through k3s-gvisor
start_containerd || exit 1
start_kubelet kubelet.log
wait_for 120 is_running && echo "@stage pod runs"
echo "@stage kubelet $(readlink /proc/$kubelet/exe)"
echo "@stage containerd $(readlink /proc/$containerd/exe)"
echo "@stage patched $(readlink $data/data/current)"
echo "@stage previous $(readlink $data/data/previous)"
stop $kubelet
stop $containerd
