# A node without an API server, run by busybox's shell: containerd, kubelet, a
# static pod. Sourced by the scripts beside it; $share is where all files come
# from and where the logs go, $node what is made anew and thrown away.
#
# In what is printed, a line that starts with @ is for the test to read.

share=$1
node=/run/procsys-node
bin=$node/bin
socket=$node/containerd.sock
PATH=$bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
begun=$(date +%s)
# What containerd is run under, if anything: a program that takes a command.
under=

now() {
    echo $(($(date +%s) - begun))
}

# use NAME PROGRAM: from now on NAME is this program, to containerd, too.
use() {
    mkdir -p "$bin"
    ln -sfn "$share/bin/$2" "$bin/$1.new"
    mv "$bin/$1.new" "$bin/$1"
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local left=$(($1 * 2))
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || return 1
        sleep 0.5
    done
}

start_containerd() {
    $under "$bin/containerd" --config "$share/containerd.toml" >>"$share/containerd.log" 2>&1 &
    containerd=$!
    wait_for 60 "$share/bin/ctr" --address $socket version || return 1
}

import_images() {
    "$share/bin/ctr" --address $socket --namespace k8s.io images import "$share/images.tar" >/dev/null
}

# start_kubelet LOG: one that finds the pod's manifest.
start_kubelet() {
    mkdir -p $node/manifests
    "$bin/kubelet" --config="$share/kubelet.yaml" --root-dir=$node/kubelet --cert-dir=$node/pki \
        --volume-plugin-dir=$node/plugins --hostname-override=node --container-runtime=remote \
        --container-runtime-endpoint=unix://$socket --v=2 >"$share/$1" 2>&1 &
    kubelet=$!
}

pods() {
    wget -q -O - http://127.0.0.1:10255/pods
}

is_running() {
    pods | grep -q '"containerStatuses":\[{"name":"main","state":{"running"'
}

stop() {
    kill "$1"
    wait "$1"
}
