/* Opens a sysctl as runc does when it is built with libpathrs, by system calls of
 * its own as rustix makes them (inline), and by libc's syscall(): an open beneath
 * the procfs root, then the questions that libpathrs asks of what it got
 * (cyphar/libpathrs, src/procfs.rs: openat_raw, verify_same_procfs_mnt;
 * src/utils/fd.rs: fetch_mnt_id). Then it writes to it, and looks at what another
 * descriptor of the same file answers.
 *
 *   pathrs VALUE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SYSCTL "sys/net/ipv4/ip_unprivileged_port_start"
#define PROC_SUPER_MAGIC 0x9fa0
/* STATX_MNT_ID | STATX_MNT_ID_UNIQUE */
#define MOUNT_IDS (0x1000u | 0x4000u)

static inline long inlined(long nr, long a, long b, long c, long d, long e) {
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e;
    long answer;
    __asm__ volatile("syscall"
                     : "=a"(answer)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return answer;
}

static long by_libc(long nr, long a, long b, long c, long d, long e) {
    long answer = syscall(nr, a, b, c, d, e);
    return answer < 0 ? -errno : answer;
}

typedef long caller(long, long, long, long, long, long);

/* The file system's type and the mount's id, as libpathrs asks for them. */
static long mount_of(caller *call, int fd, unsigned mask, long *kind) {
    struct statfs fs;
    struct statx st;
    if (call(SYS_fstatfs, fd, (long)&fs, 0, 0, 0)) return -1;
    *kind = fs.f_type;
    if (call(SYS_statx, fd, (long)"", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, mask, (long)&st)) return -1;
    return st.stx_mnt_id;
}

static int check(caller *call, const char *name, const char *value) {
    const __u64 safe = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = safe};
    long kind, other_kind;
    int handle = open("/proc", O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
    long base = call(SYS_openat2, handle, (long)".", (long)&how, sizeof how, 0);
    long expected = mount_of(call, base, MOUNT_IDS, &kind);
    if (base < 0 || kind != PROC_SUPER_MAGIC) return printf("%s: no procfs\n", name), 1;
    how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    long file = call(SYS_openat2, base, (long)SYSCTL, (long)&how, sizeof how, 0);
    if (file < 0) return printf("%s: openat2: %s\n", name, strerror(-file)), 1;
    long got = mount_of(call, file, MOUNT_IDS, &kind);
    if (kind != PROC_SUPER_MAGIC) return printf("%s: fstype mismatch in procfs\n", name), 1;
    if (got != expected) return printf("%s: mount id mismatch\n", name), 1;
    if (mount_of(call, file, 0x1000, &kind) != mount_of(call, base, 0x1000, &kind)) {
        return printf("%s: short mount id mismatch\n", name), 1;
    }
    char link[64];
    snprintf(link, sizeof link, "/proc/thread-self/fd/%ld", file);
    int writer = open(link, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (writer < 0 || write(writer, value, strlen(value)) < 0) return perror("write"), 1;
    /* No other descriptor says so of itself, and this one only until it is closed. */
    long other = mount_of(call, writer, MOUNT_IDS, &other_kind);
    if (other == expected || other_kind == PROC_SUPER_MAGIC) {
        return printf("%s: another descriptor answers as procfs\n", name), 1;
    }
    close(file);
    if (dup2(writer, file) != file) return perror("dup2"), 1;
    if (mount_of(call, file, MOUNT_IDS, &kind) == expected || kind == PROC_SUPER_MAGIC) {
        return printf("%s: answers as procfs after its close\n", name), 1;
    }
    close(file), close(writer), close(base), close(handle);
    printf("%s: as procfs\n", name);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 2) return fputs("pathrs VALUE\n", stderr), 2;
    return check(inlined, "inline", argv[1]) | check(by_libc, "syscall()", argv[1]);
}
