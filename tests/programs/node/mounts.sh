# A stock kubelet with the files that it lacks in gVisor mounted: the other way to
# do what profile kubelet does, measured against it by benches/src/node.rs.
#
#   unshare -m sh mounts.sh SHARE    (new cgroups are mirrored till $node/settled is there)
#
# The mounts are kubelet's alone: containerd and runc make cgroups, which a mirror
# can't. What no mount can give: /proc/diskstats, as procfs takes no new file.

. "$1/node.sh"
cgroups=/sys/fs/cgroup/cpuacct
mirrored=$node/cpuacct
sysctls=/proc/sys

# sysctl_folder NAME: a tmpfs over it, with its files, mounted from the old place.
sysctl_folder() {
    local file old=$node/sysctls/$1
    mkdir -p "$old"
    mount --bind "$sysctls/$1" "$old"
    mount -t tmpfs tmpfs "$sysctls/$1"
    for file in "$old"/*; do
        [ -f "$file" ] || continue
        : >"$sysctls/$1/${file##*/}"
        mount --bind "$file" "$sysctls/$1/${file##*/}"
    done
}

# mirror: makes the cgroups that kubelet made in the mirror; and in the mirror, for
# each cgroup that is new, a folder with its files and one more.
mirror() {
    local cgroup file
    find $cgroups -type d | while read -r cgroup; do
        mkdir -p "$mirrored${cgroup#"$cgroups"}"
    done
    find "$mirrored" -type d | while read -r cgroup; do
        cgroup=${cgroup#"$mirrored"}
        [ ! -e "$cgroups$cgroup/cpuacct.usage_percpu" ] || continue
        mkdir -p "$cgroups$cgroup"
        for file in "$mirrored$cgroup"/*; do
            [ -f "$file" ] || continue
            : >"$cgroups$cgroup/${file##*/}"
            mount --bind "$file" "$cgroups$cgroup/${file##*/}"
        done
        : >"$cgroups$cgroup/cpuacct.usage_percpu"
        mount --bind "$mirrored$cgroup/cpuacct.usage" "$cgroups$cgroup/cpuacct.usage_percpu"
    done
}

# A log in which nothing comes and that does not end: somebody may still write.
mkfifo /dev/kmsg
exec 9<>/dev/kmsg

sysctl_folder kernel
sysctl_folder vm
mkdir $sysctls/kernel/keys
echo 1000000 >$sysctls/kernel/keys/root_maxkeys
echo 25000000 >$sysctls/kernel/keys/root_maxbytes
echo 0 >$sysctls/kernel/panic
echo 0 >$sysctls/kernel/panic_on_oops
echo 0 >$sysctls/vm/panic_on_oom
uname -r >$sysctls/kernel/osrelease
# gVisor's own refuses the write of 1, so that another stands before it.
umount $sysctls/vm/overcommit_memory
echo 0 >$sysctls/vm/overcommit_memory

mkdir -p "$mirrored"
mount --bind $cgroups "$mirrored"
mount -t tmpfs tmpfs $cgroups
mirror

start_kubelet kubelet.log
echo $kubelet >$node/kubelet.pid
until [ -e $node/settled ]; do
    mirror
    sleep 0.2
done
wait $kubelet
