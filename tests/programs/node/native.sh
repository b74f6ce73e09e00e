# A node on the machine's own kernel, in mounts, processes and a network of its own.
#
#   native.sh SHARE SUFFIX    (of the programs' names: none, or -patched)

mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
ip link set lo up
. "$1/node.sh"

sysctls="kernel/panic kernel/panic_on_oops vm/panic_on_oom vm/overcommit_memory
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes"

for program in kubelet containerd containerd-shim-runc-v2 runc; do
    use $program "$program$2"
done
start_containerd && import_images || exit 1
mkdir -p $node/manifests
cp "$share/pod.yaml" $node/manifests/
start_kubelet "kubelet$2.log"
wait_for 120 is_running && echo "@stage native the pod runs"
for name in $sysctls; do
    echo "@stage $name $(cat "/proc/sys/$name")"
done
echo "@stage remembered $(ls /run/procsys 2>/dev/null)"
rm $node/manifests/pod.yaml
wait_for 60 sh -c '! wget -q -O - http://127.0.0.1:10255/pods | grep -q containerStatuses'
stop $kubelet
stop $containerd
