# What examples/k3s/README.md says, step by step.
#
#   example.sh SHARE PATCHER

STOCK=$1/bin
NODE=/run/node
IMAGES=$1/images.tar
PROCSYS=$2
export STOCK NODE IMAGES PROCSYS
example=$1/k3s

"$example/node.sh" build || exit 1
mkdir -p $NODE/manifests
cp "$example/pod.yaml" $NODE/manifests/
"$example/node.sh" run || exit 1
# running STAGE: waits for the pod, and says what is told of it.
running() {
    left=60
    until "$example/node.sh" status | grep -q Running || [ $left = 0 ]; do
        left=$((left - 1))
        sleep 1
    done
    echo "@stage $1 $("$example/node.sh" status)"
}
running status
for process in /proc/[0-9]*; do
    [ "$(readlink "$process/exe")" != $NODE/bin/kubelet ] || kill -KILL "${process#/proc/}"
done
until grep -q 'has ended with 137' $NODE/kubelet.log; do
    sleep 1
done
running again
echo "@stage ended $(grep -h 'has ended with\|^F[0-9]\{4\} ' $NODE/kubelet.log $NODE/containerd.log | tr '\n' '|')"
cp $NODE/kubelet.log $NODE/containerd.log "$1/"
# Processes of the pod's two containers, by their commands.
containers() {
    for process in /proc/[0-9]*/cmdline; do
        tr '\0' ' ' <"$process" 2>/dev/null && echo
    done | grep -c '[w]hile :\|/[p]ause'
}
echo "@stage containers $(containers)"
"$example/node.sh" stop
sleep 2
echo "@stage left $(containers)"
echo "@stage stopped $("$example/node.sh" status 2>&1)"
"$2" revert $NODE/bin/runc -o $NODE/runc >/dev/null
cmp $NODE/runc "$STOCK/runc" && echo "@stage undone the same"
