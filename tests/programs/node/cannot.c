// What does this kernel not do that container networks, `exec` and image layers are
// made of? One line for each: what, the call, and "ok" or its errno.
//
// Run as root in a sandbox to be thrown away: it makes links, mounts and namespaces.
// Every name is made in a network namespace and in folders of its own.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, const char *call, long result) {
    printf("%s | %s | %s\n", what, call, result < 0 ? strerrorname_np(errno) : "ok");
    fflush(stdout);
}

// A request to the kernel's routing socket, and room for its attributes.
struct request {
    struct nlmsghdr header;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg address;
        struct rtmsg route;
    };
    char attributes[512];
};

#define REQUEST(type, flags, body) \
    { .header = {NLMSG_LENGTH(sizeof(body)), type, NLM_F_REQUEST | NLM_F_ACK | (flags), 0, 0} }

static struct rtattr *add(struct request *r, int type, const void *data, int length) {
    struct rtattr *a = (void *)((char *)r + NLMSG_ALIGN(r->header.nlmsg_len));
    a->rta_type = type;
    a->rta_len = RTA_LENGTH(length);
    if (length)
        memcpy(RTA_DATA(a), data, length);
    r->header.nlmsg_len = NLMSG_ALIGN(r->header.nlmsg_len) + RTA_ALIGN(a->rta_len);
    return a;
}

static void end(struct request *r, struct rtattr *nest) {
    nest->rta_len = (char *)r + r->header.nlmsg_len - (char *)nest;
}

// Sends it and waits for the first answer, whose length is returned; an error in it
// is ours.
static long ask(struct request *r, char *answer, int room) {
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    long length = send(s, r, r->header.nlmsg_len, 0) < 0 ? -1 : recv(s, answer, room, 0);
    struct nlmsghdr *h = (void *)answer;
    close(s);
    if (length < 0 || h->nlmsg_type != NLMSG_ERROR)
        return length;
    errno = -((struct nlmsgerr *)NLMSG_DATA(h))->error;
    return errno ? -1 : 0;
}

static int done(struct request *r) {
    char answer[4096];
    return ask(r, answer, sizeof answer);
}

// A new link of a kind, with a second end for a pair.
static int new_link(const char *kind, const char *name, const char *peer) {
    struct request r = REQUEST(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, r.link);
    add(&r, IFLA_IFNAME, name, strlen(name) + 1);
    struct rtattr *info = add(&r, IFLA_LINKINFO, 0, 0);
    add(&r, IFLA_INFO_KIND, kind, strlen(kind));
    if (peer) {
        struct rtattr *data = add(&r, IFLA_INFO_DATA, 0, 0);
        struct ifinfomsg none = {0};
        struct rtattr *other = add(&r, VETH_INFO_PEER, &none, sizeof none);
        add(&r, IFLA_IFNAME, peer, strlen(peer) + 1);
        end(&r, other);
        end(&r, data);
    }
    end(&r, info);
    return done(&r);
}

// Whether the kernel says of which kind a link is, which it is asked by its name.
static int kind_is_told(const char *name) {
    char answer[4096];
    struct request r = REQUEST(RTM_GETLINK, 0, r.link);
    add(&r, IFLA_IFNAME, name, strlen(name) + 1);
    long length = ask(&r, answer, sizeof answer);
    if (length < 0)
        return -1;
    struct nlmsghdr *h = (void *)answer;
    struct rtattr *a = (void *)((char *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(struct ifinfomsg)));
    int left = h->nlmsg_len - ((char *)a - answer);
    for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
        if ((a->rta_type & NLA_TYPE_MASK) == IFLA_LINKINFO)
            return 0;
    errno = ENODATA;
    return -1;
}

// A number to be set of a link.
static int set_link(const char *name, int attribute, int value) {
    struct request r = REQUEST(RTM_SETLINK, 0, r.link);
    r.link.ifi_index = if_nametoindex(name);
    add(&r, attribute, &value, sizeof value);
    return done(&r);
}

static int set_up(const char *name) {
    struct request r = REQUEST(RTM_NEWLINK, 0, r.link);
    r.link.ifi_index = if_nametoindex(name);
    r.link.ifi_flags = r.link.ifi_change = IFF_UP;
    return done(&r);
}

// 10.9.0.1/24 for a link.
static int new_address(const char *name) {
    struct request r = REQUEST(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, r.address);
    r.address.ifa_family = AF_INET;
    r.address.ifa_prefixlen = 24;
    r.address.ifa_index = if_nametoindex(name);
    add(&r, IFA_LOCAL, (char[]){10, 9, 0, 1}, 4);
    return done(&r);
}

// The route to 10.9.0.0/24, which came with the address.
static int no_route(const char *name) {
    int link = if_nametoindex(name);
    struct request r = REQUEST(RTM_DELROUTE, 0, r.route);
    r.route.rtm_family = AF_INET;
    r.route.rtm_dst_len = 24;
    r.route.rtm_table = RT_TABLE_MAIN;
    r.route.rtm_scope = RT_SCOPE_NOWHERE;
    add(&r, RTA_DST, (char[]){10, 9, 0, 0}, 4);
    add(&r, RTA_OIF, &link, sizeof link);
    return done(&r);
}

static void links(void) {
    say("a network namespace", "unshare(CLONE_NEWNET)", unshare(CLONE_NEWNET));
    int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    close(open("kept", O_CREAT | O_RDONLY, 0600));
    say("keeping it", "mount(/proc/self/ns/net, MS_BIND)",
        mount("/proc/self/ns/net", "kept", 0, MS_BIND, 0));
    int kept = open("kept", O_RDONLY | O_CLOEXEC);
    unshare(CLONE_NEWNET);
    say("a pair of links", "RTM_NEWLINK veth", new_link("veth", "one", "two"));
    say("a link moved", "RTM_SETLINK IFLA_NET_NS_FD", set_link("two", IFLA_NET_NS_FD, here));
    say("joining it", "setns(CLONE_NEWNET)", setns(kept, CLONE_NEWNET));
    say("the moved link by its name", "if_nametoindex", if_nametoindex("two") ? 0 : -1);
    say("a bridge", "RTM_NEWLINK bridge", new_link("bridge", "br0", 0));
    new_link("veth", "three", "four");
    say("a link on it", "RTM_SETLINK IFLA_MASTER",
        set_link("three", IFLA_MASTER, if_nametoindex("br0")));
    say("the bridge up", "RTM_NEWLINK IFF_UP", set_up("br0"));
    say("its address", "RTM_NEWADDR", new_address("br0"));
    say("its kind", "RTM_GETLINK IFLA_LINKINFO", kind_is_told("br0"));
    say("a route away", "RTM_DELROUTE", no_route("br0"));
    say("packet rules", "socket(NETLINK_NETFILTER)",
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
}

static void join_pids(void) {
    pid_t parent = fork();
    if (parent == 0) {
        unshare(CLONE_NEWPID);
        pid_t child = fork();
        if (child == 0)
            for (;;)
                pause();
        char path[64];
        sprintf(path, "/proc/%d/ns/pid", child);
        int space = open(path, O_RDONLY | O_CLOEXEC);
        say("joining a pid namespace", "setns(CLONE_NEWPID)", setns(space, CLONE_NEWPID));
        kill(child, SIGKILL);
        _exit(0);
    }
    waitpid(parent, 0, 0);
}

static void overlay(const char *what, const char *folder) {
    char options[512];
    if (chdir(folder) || mkdir("low", 0700) || mkdir("up", 0700) || mkdir("work", 0700) || mkdir("on", 0700)) {
        say(folder, "mkdir", -1);
        return;
    }
    sprintf(options, "lowerdir=%1$s/low,upperdir=%1$s/up,workdir=%1$s/work", folder);
    say(what, "mount(overlay)", mount("overlay", "on", "overlay", 0, options));
}

static void mounts(const char *folder) {
    char fresh[256];
    overlay("an overlay on the root", folder);
    sprintf(fresh, "%s/fresh", folder);
    mkdir(fresh, 0700);
    say("a tmpfs", "mount(tmpfs)", mount("tmpfs", fresh, "tmpfs", 0, 0));
    overlay("an overlay on a tmpfs", fresh);
    say("the new mount calls", "open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    say("the new mount calls", "fsopen(proc)", syscall(SYS_fsopen, "proc", 0));
    struct { unsigned long long flags, mode, resolve; } how = {0};
    say("lookups that stay below", "openat2", syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how));
}

int main(int count, char **words) {
    if (count != 2 || chdir(words[1])) {
        fprintf(stderr, "cannot FOLDER\n");
        return 2;
    }
    say("the check for seccomp", "prctl(PR_SET_SECCOMP, 2, NULL)", prctl(PR_SET_SECCOMP, 2, 0, 0, 0));
    join_pids();
    unshare(CLONE_NEWNS);
    mount("none", "/", 0, MS_REC | MS_PRIVATE, 0);
    links();
    mounts(words[1]);
    say("the notice of lacking memory", "open(memory.oom_control)",
        open("/sys/fs/cgroup/memory/memory.oom_control", O_RDONLY));
    return 0;
}
