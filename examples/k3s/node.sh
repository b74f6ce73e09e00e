#!/bin/sh
# A one-node kubelet inside a sandbox such as gVisor: patched programs, no mounts
# over procfs, no ptrace, no helper process.
#
#   node.sh build    patches kubelet, containerd, its shim and runc of $STOCK into $NODE/bin
#   node.sh run      starts containerd and kubelet, with the manifests in $NODE/manifests,
#                    and again when one ends by itself
#   node.sh status   what kubelet says of its pods, in one line each
#   node.sh logs     the last lines of both logs
#   node.sh stop     ends kubelet and containerd, and the containers
#
# STOCK   folder of the stock programs          (default /opt/node/stock)
# NODE    folder for all that is made           (default /run/node)
# IMAGES  archives to import, if any            (default none)
# PROCSYS the patcher                           (default procsys-patch)
set -eu

STOCK=${STOCK:-/opt/node/stock}
NODE=${NODE:-/run/node}
IMAGES=${IMAGES:-}
PROCSYS=${PROCSYS:-procsys-patch}
here=$(cd "$(dirname "$0")" && pwd)
socket=$NODE/containerd.sock
programs="kubelet containerd containerd-shim-runc-v2 runc"

die() {
    echo "node.sh: $*" >&2
    exit 2
}

# is_up NAME: whether the process of $NODE/NAME.pid is there.
is_up() {
    [ -f "$NODE/$1.pid" ] && kill -0 "$(cat "$NODE/$1.pid")" 2>/dev/null
}

build() {
    mkdir -p "$NODE/bin"
    for program in $programs; do
        [ -f "$STOCK/$program" ] || die "$STOCK/$program is missing"
        "$PROCSYS" "$STOCK/$program" -o "$NODE/bin/$program" --profile k3s
    done
    cp "$STOCK/ctr" "$NODE/bin/ctr"
}

# containers COMMAND...: a command of ctr's on what kubelet sees.
containers() {
    "$NODE/bin/ctr" --address "$socket" --namespace k8s.io "$@"
}

# keep NAME COMMAND...: runs it, and again when it ends by itself, as a service manager
# would: kubelet leaves some errors of its start to one.
keep() {
    name=$1
    shift
    (
        trap 'kill "$program" || true; wait "$program" || true; exit 0' TERM
        while :; do
            "$@" &
            program=$!
            code=0
            wait "$program" || code=$?
            echo "node.sh: $name has ended with $code, and is started again"
            sleep 1
        done
    ) </dev/null >>"$NODE/$name.log" 2>&1 &
    echo $! >"$NODE/$name.pid"
}

# configure FILE: a copy with the folder put in.
configure() {
    sed "s#@NODE@#$NODE#g" "$here/$1" >"$NODE/$1"
}

run() {
    [ -x "$NODE/bin/kubelet" ] || die "nothing in $NODE/bin: node.sh build comes first"
    ! is_up kubelet || die "kubelet is up already"
    for archive in $IMAGES; do
        [ -f "$archive" ] || die "$archive is missing"
    done
    mkdir -p "$NODE/manifests" "$NODE/run"
    configure containerd.toml
    configure kubelet.yaml
    PATH=$NODE/bin:/usr/sbin:/usr/bin:/sbin:/bin
    export PATH
    keep containerd containerd --config "$NODE/containerd.toml"
    left=120
    until ctr --address "$socket" version >/dev/null 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || {
            end containerd
            die "containerd does not answer: see $NODE/containerd.log"
        }
        sleep 0.5
    done
    for archive in $IMAGES; do
        containers images import "$archive" >/dev/null
    done
    keep kubelet kubelet --config="$NODE/kubelet.yaml" --root-dir="$NODE/kubelet" --cert-dir="$NODE/pki" \
        --volume-plugin-dir="$NODE/plugins" --container-runtime=remote \
        --container-runtime-endpoint="unix://$socket"
}

status() {
    is_up containerd || die "containerd is not up: see $NODE/containerd.log"
    is_up kubelet || die "kubelet is not up: see $NODE/kubelet.log"
    # Pods, each cut out by its name and its phase.
    pods=$(wget -q -O - http://127.0.0.1:10255/pods) ||
        die "kubelet does not answer: see $NODE/kubelet.log"
    echo "$pods" | sed 's/{"metadata":{"name":/\n/g' |
        sed -n 's/^"\([^"]*\)".*"phase":"\([^"]*\)".*"restartCount":\([0-9]*\).*/\1 \2, restarted \3 times/p'
}

logs() {
    tail -n 20 "$NODE/kubelet.log" "$NODE/containerd.log"
}

# end NAME: ends the process of $NODE/NAME.pid, and waits for it some seconds.
end() {
    ! is_up "$1" || kill "$(cat "$NODE/$1.pid")"
    left=10
    while is_up "$1" && [ $left -gt 0 ]; do
        left=$((left - 1))
        sleep 0.5
    done
    rm -f "$NODE/$1.pid"
}

stop() {
    end kubelet
    # Containers outlive kubelet, containerd and the shims.
    if is_up containerd; then
        # One may have ended by itself meanwhile.
        for task in $(containers tasks list --quiet 2>/dev/null); do
            containers tasks delete --force "$task" >/dev/null 2>&1 || true
        done
    fi
    end containerd
    # The shims are not containerd's children.
    for process in /proc/[0-9]*; do
        case $(readlink "$process/exe" 2>/dev/null) in
            "$NODE/bin/containerd-shim-runc-v2") kill "${process#/proc/}" ;;
        esac
    done
}

case ${1:-} in
    build | run | status | logs | stop) "$1" ;;
    *) die "expected build, run, status, logs or stop" ;;
esac
