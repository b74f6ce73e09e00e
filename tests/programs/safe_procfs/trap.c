/* Runs a program under a supervisor that answers openat2 below sys/ itself, as a
 * host's trap does: without RESOLVE_NO_XDEV, whatever is mounted there. It shows
 * what dropping that flag lets through (seccomp_unotify(2)).
 *
 *   trap PROGRAM ARGUMENT...
 */
#define _GNU_SOURCE
#include "supervisor.h"
#include <linux/openat2.h>
#include <sched.h>

/* The call's own directory, opened relative to it here: how the way goes on from
 * there does not depend on who walks it. -1: the kernel is to answer. */
static int open_for(const struct seccomp_notif *request, long *error) {
    char path[256] = "";
    struct open_how how;
    const __u64 *args = request->data.args;
    if (remote(request->pid, args[1], path, sizeof path) <= 0) return -1;
    if (remote(request->pid, args[2], &how, sizeof how) != sizeof how) return -1;
    const char *below = strncmp(path, "./", 2) ? path : path + 2;
    if (strncmp(below, "sys/", 4) || !(how.resolve & RESOLVE_NO_XDEV)) return -1;
    int process = syscall(SYS_pidfd_open, leader(request->pid), 0);
    int directory = syscall(SYS_pidfd_getfd, process, (int)args[0], 0);
    /* Which files are below sys/net depends on who looks. */
    int joined = setns(process, CLONE_NEWNET);
    close(process);
    if (joined) return -1;
    if (directory < 0) return -1;
    how.resolve &= ~RESOLVE_NO_XDEV;
    how.flags &= ~O_PATH; /* Such a descriptor can't be handed over. */
    int opened = syscall(SYS_openat2, directory, path, &how, sizeof how);
    *error = opened < 0 ? -errno : 0;
    close(directory);
    return opened < 0 ? -2 : opened;
}

static void answer(int listener, struct seccomp_notif *request) {
    struct seccomp_notif_resp response = {.id = request->id};
    long error = 0;
    int opened = open_for(request, &error);
    if (opened == -1) {
        response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    } else if (opened < 0) {
        response.error = error;
    } else {
        struct seccomp_notif_addfd add = {
            .id = request->id, .srcfd = opened, .newfd_flags = O_CLOEXEC};
        response.val = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
        close(opened);
    }
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

int main(int argc, char **argv) {
    return supervise(argc, argv, (int[]){SYS_openat2, SYS_openat2}, answer);
}
