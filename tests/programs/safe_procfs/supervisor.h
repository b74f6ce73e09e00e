/* What the supervisors share: a program is run under a filter that asks a
 * process outside it about one system call (seccomp_unotify(2)). */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Copies from the memory of a thread that waits for an answer, up to the end of
 * its mapping. */
static ssize_t remote(pid_t thread, unsigned long at, void *to, size_t length) {
    struct iovec mine = {to, length}, its = {(void *)at, length};
    size_t in_page = 4096 - at % 4096;
    ssize_t got = process_vm_readv(thread, &mine, 1, &its, 1, 0);
    if (got >= 0) return got;
    if (in_page < length) its.iov_len = mine.iov_len = in_page;
    return process_vm_readv(thread, &mine, 1, &its, 1, 0);
}

/* The thread's process. */
__attribute__((unused)) static pid_t leader(pid_t thread) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", thread);
    FILE *file = fopen(path, "re");
    int found = 0;
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "Tgid: %d", &found) == 1) break;
    }
    if (file) fclose(file);
    return found;
}

static int listen_to(const int *calls) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[0], 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[1], 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                   &program);
}

static void send_fd(int to, int fd) {
    char byte = 0, control[CMSG_SPACE(sizeof fd)] = "";
    struct iovec piece = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(to, &message, 0) != 1) perror("sendmsg");
}

static int receive_fd(int from) {
    char byte, control[CMSG_SPACE(sizeof(int))] = "";
    struct iovec piece = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int fd = -1;
    if (recvmsg(from, &message, 0) == 1 && CMSG_FIRSTHDR(&message)) {
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    }
    return fd;
}

/* Runs argv[1] so that `answer` is asked about each call with one of two numbers. */
static int supervise(int argc, char **argv, const int *calls,
                     void (*answer)(int listener, struct seccomp_notif *request)) {
    int pair[2], status = 0;
    if (argc < 2) return fprintf(stderr, "%s PROGRAM ARGUMENT...\n", argv[0]), 2;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return perror("socketpair"), 2;
    pid_t child = fork();
    if (child == 0) {
        int listener = listen_to(calls);
        if (listener < 0) perror("seccomp"), _exit(2);
        send_fd(pair[1], listener);
        close(listener);
        execv(argv[1], argv + 1);
        perror(argv[1]);
        _exit(2);
    }
    close(pair[1]);
    int listener = receive_fd(pair[0]);
    if (listener < 0) return waitpid(child, &status, 0), 2;
    /* The container goes on after runc has ended, under the same filter. */
    pid_t server = fork();
    if (server == 0) {
        struct seccomp_notif request;
        setsid();
        /* Where nobody is left to ask, it would hear so without an end. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            memset(&request, 0, sizeof request);
            if (!ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request)) answer(listener, &request);
            else if (errno != EINTR && errno != ENOENT) _exit(0);
        }
    }
    close(listener);
    while (waitpid(child, &status, 0) != child) {}
    kill(server, SIGKILL);
    waitpid(server, 0, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
