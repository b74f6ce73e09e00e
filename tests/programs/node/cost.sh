# A node with a pod that does nothing, for so long that what it costs can be
# measured: kubelet and containerd patched, or stock with mounts.
#
#   cost.sh SHARE WAY SECONDS BENCH    (WAY: patched, mounts or copy, which is mounts again)
#
# Two spans of that many seconds: in the second, the programs of `mounts` are under
# a ptrace interceptor, BENCH's.

. "$1/node.sh"
way=$2 seconds=$3 bench=$4
suffix=''
[ "$way" != patched ] || suffix=-patched

# span NAME: the seconds, which begin when what came before has settled.
span() {
    sleep 20
    echo "@stage $1-begins $(date +%s)"
    sleep "$seconds"
    echo "@stage $1-ends $(date +%s)"
}

use containerd "containerd$suffix"
use containerd-shim-runc-v2 "containerd-shim-runc-v2$suffix"
# What runc needs is no file that could be mounted, and it does not run while idle.
use runc runc-patched
use kubelet "kubelet$suffix"
start_containerd && import_images || exit 1
mkdir -p $node/manifests
sed 's/while :; do sleep 1; done/sleep 100000/' "$share/pod.yaml" >$node/manifests/pod.yaml
if [ "$way" = patched ]; then
    start_kubelet kubelet.log
else
    unshare -m sh "$share/mounts.sh" "$share" &
    wait_for 20 test -s $node/kubelet.pid
    kubelet=$(cat $node/kubelet.pid)
fi
wait_for 60 is_running || exit 1
sleep 20
touch $node/settled
span first
if [ "$way" = mounts ]; then
    "$bench" trace "$kubelet" $containerd >"$share/trace.log" 2>&1 &
    tracer=$!
    wait_for 20 grep -q 'are traced' "$share/trace.log" || exit 1
fi
span second
# One that ended would have let them go.
[ "$way" != mounts ] || kill -0 $tracer || exit 1
is_running && echo "@stage still running"
