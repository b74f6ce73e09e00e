# Docker: containers without a network, with the machine's and on Docker's bridge.
#
#   docker.sh SHARE
#
# iptables is off: gVisor has no packet rules that it would find.

. "$1/node.sh"
image=procsys.test/busybox:1

# docker_with SUFFIX OPTION...: a daemon of these programs.
docker_with() {
    local program suffix=$1
    shift
    for program in dockerd containerd containerd-shim-runc-v2 runc; do
        use $program "$program$suffix"
    done
    use docker docker
    use docker-proxy docker-proxy
    dockerd "$@" --iptables=false --ip6tables=false \
        --data-root=$node/docker --exec-root=$node/docker-run >>"$share/dockerd.log" 2>&1 &
    dockerd=$!
    wait_for 60 docker version || exit 1
    docker load -i "$share/images.tar" >/dev/null
}

# said NAME COMMAND...: all that it says, in one line.
said() {
    local name=$1
    shift
    echo "@stage $name $("$@" 2>&1 | tr '\n' ' ')"
}

hello() {
    docker run --rm --network "$1" $image /bin/sh -c 'echo hello from $(hostname)'
}

# A second daemon would not take the first one's bridge for one.
docker_with '' --bridge=none --storage-driver=vfs
said stock hello none
stop $dockerd

# Overlays are to be had on a tmpfs, as $node is.
docker_with -patched --storage-driver=overlay2
said none hello none
said host hello host
docker run --detach --name server $image \
    /bin/sh -c 'mkdir /www; echo served >/www/page; exec busybox httpd -f -p 8080 -h /www' >/dev/null
address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' server)
said bridge docker run --rm $image busybox timeout 20 busybox wget -q -O - "http://$address:8080/page"
said exec docker exec server echo executed
said list docker ps --format '{{.Names}} {{.State}}'
docker kill server >/dev/null
said ended docker inspect --format '{{.State.Status}} {{.State.ExitCode}}' server
said removed docker rm server
stop $dockerd
