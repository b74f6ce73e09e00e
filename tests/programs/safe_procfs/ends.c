/* Which descriptors answer as procfs once a sysctl on the host's FUSE was accepted:
 * that one, until it ends, and no copy of it. Each way to end it is followed by the
 * very same file under the same number, which is another descriptor.
 *
 *   ends              one line for each way
 *   ends ask NUMBER   asks a descriptor that was kept open over execve
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSCTL "sys/net/ipv4/ip_unprivileged_port_start"

static int procfs;

static long mount_of(int fd) {
    struct statx st;
    return statx(fd, "", AT_EMPTY_PATH, 0x1000 /* STATX_MNT_ID */, &st) ? -1 : (long)st.stx_mnt_id;
}

static void ask(const char *name, int fd) {
    struct statfs fs = {0};
    int type = !fstatfs(fd, &fs) && fs.f_type == 0x9fa0, mount = mount_of(fd) == mount_of(procfs);
    printf("%s: %s\n", name, type && mount ? "procfs" : type || mount ? "half" : "fuse");
    fflush(stdout);
}

static int accepted(void) {
    struct open_how how = {
        .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS};
    int fd = syscall(SYS_openat2, procfs, SYSCTL, &how, sizeof how);
    if (fd < 0) printf("openat2: %s\n", strerror(errno)), exit(1);
    return fd;
}

static int same_file(void) { return openat(procfs, SYSCTL, O_PATH | O_NOFOLLOW | O_CLOEXEC); }

/* The same file under the number of what was closed. */
static void again(const char *name, int fd) {
    int other = same_file();
    if (other != fd) syscall(SYS_dup3, other, fd, O_CLOEXEC);
    ask(name, fd);
}

static int passed(int fd) {
    int pair[2], got = -1;
    char byte = 0, control[CMSG_SPACE(sizeof fd)] = "";
    struct iovec piece = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(pair[0], &message, 0) == 1 && recvmsg(pair[1], &message, 0) == 1) {
        memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof got);
    }
    return got;
}

static void *closer(void *number) { return close((int)(long)number), number; }

int main(int argc, char **argv) {
    procfs = open("/proc", O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
    if (argc == 3) return ask("kept over execve", atoi(argv[2])), 0;
    int fd = accepted(), status;
    ask("accepted", fd);
    ask("dup", dup(fd));
    ask("F_DUPFD", fcntl(fd, F_DUPFD_CLOEXEC, 100));
    ask("SCM_RIGHTS", passed(fd));
    if (fork() == 0) return ask("a child's", fd), 0;
    wait(&status);
    if (fork() == 0) return close(fd), again("closed by a child, there", fd), 0;
    wait(&status);
    ask("closed by a child, here", fd);
    dup2(same_file(), fd);
    ask("dup2", fd);
    fd = accepted();
    dup3(same_file(), fd, O_CLOEXEC);
    ask("dup3", fd);
    fd = accepted();
    close_range(fd, fd, 0);
    again("close_range", fd);
    fd = accepted();
    close_range(fd, fd, 4 /* CLOSE_RANGE_CLOEXEC */);
    ask("close_range at exec", fd);
    pthread_t thread;
    pthread_create(&thread, 0, closer, (void *)(long)fd);
    pthread_join(thread, 0);
    again("closed by a thread", fd);
    char number[16];
    fd = accepted();
    snprintf(number, sizeof number, "%d", fd);
    fcntl(fd, F_SETFD, 0);
    return execl("/proc/self/exe", "ends", "ask", number, (char *)0), 2;
}
