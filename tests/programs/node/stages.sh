# What stops a node in gVisor, one thing after the other: each stage has what the
# stages before it were found to need, and prints what fails next.
#
#   stages.sh SHARE SECONDS    (how long the pod is watched at the end)

. "$1/node.sh"

# stage NAME PATTERN: waits for the message, or for the end of kubelet.
stage() {
    local left=120
    until grep -q "$2" "$share/$1.log" "$share/containerd.log" || [ $left = 0 ]; do
        kill -0 $kubelet 2>/dev/null || break
        left=$((left - 1))
        sleep 0.5
    done
    kill $kubelet 2>/dev/null
    wait $kubelet
    grep -h -o "$2.*" "$share/$1.log" "$share/containerd.log" | head -n 1 |
        sed "s/^/@stage $1 /"
}

use containerd containerd
use containerd-shim-runc-v2 containerd-shim-runc-v2
use runc runc
start_containerd || exit 1
import_images || exit 1
mkdir -p $node/manifests
cp "$share/pod.yaml" $node/manifests/

use kubelet kubelet
start_kubelet b1.log
stage b1 'failed to run Kubelet: '

use kubelet kubelet-kmsg
start_kubelet b2.log
stage b2 'failed to get rootfs info: '

use kubelet kubelet-percpu
start_kubelet b3.log
stage b3 'Failed to start ContainerManager '

use kubelet kubelet-patched
start_kubelet b5.log
stage b5 'unsafe procfs detected: '

# Whether containerd then finds seccomp depends on what prctl answers.
use runc runc-patched
start_kubelet b4.log
if wait_for 30 is_running; then
    echo "@stage b4 the pod runs"
    kill $kubelet
    wait $kubelet
else
    stage b4 'failed to generate seccomp spec opts: '
fi

stop $containerd
use containerd containerd-patched
use containerd-shim-runc-v2 containerd-shim-runc-v2-patched
start_containerd || exit 1
start_kubelet kubelet.log
. "$share/watch.sh"
