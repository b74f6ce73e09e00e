/* Runs a program under a supervisor that answers as LXC's AppArmor profile does:
 * an open for writing of a file whose resolved path lies below /sys, cgroups'
 * apart, is refused with EACCES. As AppArmor, it sees a file of a procfs that is mounted nowhere by
 * its path from that procfs's root (seccomp_unotify(2)).
 *
 *   apparmor PROGRAM ARGUMENT...
 */
#define _GNU_SOURCE
#include "supervisor.h"
#include <linux/openat2.h>

/* What a link of the thread's fd directory says. */
static int link_of(pid_t thread, int fd, char *to, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/%d/%s", thread, fd == AT_FDCWD ? "cwd" : "fd/");
    if (fd != AT_FDCWD) snprintf(link + strlen(link), 16, "%d", fd);
    ssize_t length = readlink(link, to, size - 1);
    if (length < 0) return -1;
    to[length] = 0;
    return 0;
}

/* Whether the call would write to a file below /sys. */
static int is_refused(const struct seccomp_notif *request) {
    const __u64 *args = request->data.args;
    char path[512] = "", full[1024] = "";
    __u64 flags = args[2];
    if (remote(request->pid, args[1], path, sizeof path - 1) <= 0) return 0;
    if (request->data.nr == SYS_openat2) {
        struct open_how how;
        if (remote(request->pid, args[2], &how, sizeof how) != sizeof how) return 0;
        flags = how.flags;
    }
    if (flags & O_PATH || (flags & O_ACCMODE) == O_RDONLY) return 0;
    if (path[0] != '/') {
        if (link_of(request->pid, (int)args[0], full, sizeof full / 2)) return 0;
        strcat(full, "/");
    }
    strcat(full, path);
    /* A descriptor's own link leads on to its file. */
    const char *slash = strrchr(full, '/');
    int fd, end;
    if (slash - full > 3 && !strncmp(slash - 3, "/fd", 3) &&
        sscanf(slash + 1, "%d%n", &fd, &end) == 1 && !slash[1 + end]) {
        if (link_of(request->pid, fd, full, sizeof full)) return 0;
    }
    return !strncmp(full, "/sys/", 5) && strncmp(full, "/sys/fs/", 8);
}

static void answer(int listener, struct seccomp_notif *request) {
    struct seccomp_notif_resp response = {.id = request->id};
    if (is_refused(request)) response.error = -EACCES;
    else response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

int main(int argc, char **argv) {
    return supervise(argc, argv, (int[]){SYS_openat, SYS_openat2}, answer);
}
