# Watches a pod for some seconds, with a sample each five; kills its process,
# takes its manifest away and brings it back. Needs what node.sh started.

seconds=$2

# About a process: its name, memory in kB, open descriptors.
process() {
    local rss fds
    rss=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$2/status")
    fds=$(ls "/proc/$2/fd" | wc -l)
    echo "@process $(now) $1 $rss $fds"
}

sample() {
    echo "@pods $(now) $(pods)"
    process kubelet $kubelet
    process containerd $containerd
}

event() {
    echo "@event $(now) $1"
}

# watch_until SECOND: samples till then.
watch_until() {
    local next
    while [ "$(now)" -lt $((started + $1)) ]; do
        next=$(($(now) + 5))
        sample
        while [ "$(now)" -lt $next ]; do
            sleep 0.2
        done
    done
}

if wait_for 120 is_running; then
    started=$(now)
    event running
    watch_until $((seconds / 4))
    event killed
    kill -9 "$(pgrep -f '^/bin/sh -c echo pod is up')"
    watch_until $((seconds * 3 / 5))
    event taken
    rm $node/manifests/pod.yaml
    watch_until $((seconds * 3 / 5 + 25))
    event returned
    cp "$share/pod.yaml" $node/manifests/
    watch_until "$seconds"
    event done
fi
