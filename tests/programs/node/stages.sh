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

# This gVisor answers prctl as Linux does; the next two are in one that does not.
use runc runc-patched
stop $containerd
under=$share/bin/prctl_einval
start_containerd || exit 1
start_kubelet b4.log
stage b4 'failed to generate seccomp spec opts: '

stop $containerd
use containerd containerd-patched
use containerd-shim-runc-v2 containerd-shim-runc-v2-patched
start_containerd || exit 1
start_kubelet b4-patched.log
wait_for 60 is_running && echo "@stage b4-patched the pod runs"
stop $kubelet
stop $containerd

under=''
start_containerd || exit 1
start_kubelet kubelet.log
. "$share/watch.sh"
