// Runs a program in a kernel that answers EINVAL to the question whether it takes
// seccomp filters: prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL), as a gVisor was
// seen to. Those of the tests answer EFAULT, as Linux does, so that this filter,
// which passes everything else, stands for the other.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// The low half of an argument, or else on to the line that passes the call.
#define ARGUMENT(number, value, left)                                                        \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[number])),         \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, left)

int main(int count, char **words) {
    struct sock_filter lines[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 7),
        ARGUMENT(0, PR_SET_SECCOMP, 5),
        ARGUMENT(1, SECCOMP_MODE_FILTER, 3),
        ARGUMENT(2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof lines / sizeof *lines, lines};
    if (count < 2) {
        fprintf(stderr, "prctl_einval PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0)) {
        fprintf(stderr, "no filter: %s\n", strerror(errno));
        return 2;
    }
    execv(words[1], words + 1);
    fprintf(stderr, "%s: %s\n", words[1], strerror(errno));
    return 2;
}
