/* Opens a sysctl as runc 1.3.6 does (filepath-securejoin 0.5.2,
 * pathrs-lite/internal/procfs: OpenRoot, procfsLookupInRoot, ReopenFd) while
 * another thread mounts one thing after another over it, and counts what it got.
 *
 *   race safe|naive TRIES MOST TRUSTED POINT SOURCE...
 *
 * POINT is below /proc; each SOURCE is bound, and that mount is moved over the
 * point and away again in its turn (moving takes no grace period of the kernel's).
 * Run in a folder of its own. It tries TRIES times, and then goes on, up to MOST,
 * until both sides were seen: safe until something trusted was read and something
 * refused, naive until something wrong was read.
 * TRUSTED is the text of the file that the program started with; all that is
 * neither that nor the kernel's own text is wrong. "naive" drops
 * RESOLVE_NO_XDEV from the call.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define SYSCTL "sys/net/ipv4/ip_unprivileged_port_start"

#define SOURCES 8

static const char *point;
static char parked[SOURCES][16];
static int count;
static volatile int is_over;
static unsigned long swaps;

/* Binds a source to a place of its own. */
static int park(const char *source) {
    struct stat st;
    char *place = parked[count];
    if (count == SOURCES || stat(source, &st)) return -1;
    snprintf(place, sizeof parked[count], "parked/%d", count);
    if (S_ISDIR(st.st_mode) ? mkdir(place, 0700) : mknod(place, S_IFREG | 0600, 0)) return -1;
    count++;
    return mount(source, place, 0, MS_BIND, 0);
}

/* A patched call looks at a mount for some 100 us before it trusts it: one in eight
 * stays long enough to be trusted, the others go while it is looked at. */
static void *swap(void *unused) {
    const struct timespec rest = {.tv_nsec = 150000};
    while (!is_over) {
        for (int i = 0; i < count && !is_over; i++) {
            if (mount(parked[i], point, 0, MS_MOVE, 0)) perror("move"), exit(2);
            if (swaps % 8) sched_yield();
            else nanosleep(&rest, 0);
            if (mount(point, parked[i], 0, MS_MOVE, 0)) perror("move back"), exit(2);
            swaps++;
        }
    }
    return unused;
}

static long openat2(int directory, const char *path, __u64 flags, __u64 resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};
    return syscall(SYS_openat2, directory, path, &how, sizeof how);
}

/* The text of the sysctl as runc would write to it, or a negative errno. */
static long look(int drop, char *text, size_t size) {
    const __u64 safe = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
    struct statfs fs;
    struct stat st;
    char number[16];
    long result = -1;
    int root = open("/proc", O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
    if (fstatfs(root, &fs) || fs.f_type != 0x9fa0 || fstat(root, &st) || st.st_ino != 1) {
        return close(root), -EINVAL;
    }
    int handle = openat2(root, "./" SYSCTL, O_PATH | O_NOFOLLOW, safe & ~(drop ? RESOLVE_NO_XDEV : 0));
    if (handle < 0) return result = -errno, close(root), result;
    int directory = openat2(root, "thread-self/fd/", O_PATH | O_NOFOLLOW, safe);
    snprintf(number, sizeof number, "%d", handle);
    int file = openat(directory, number, O_RDONLY | O_CLOEXEC);
    result = file < 0 ? -errno : read(file, text, size - 1);
    if (result >= 0) text[result] = 0;
    close(file), close(directory), close(handle), close(root);
    return result;
}

int main(int argc, char **argv) {
    unsigned long trusted = 0, native = 0, refused = 0, wrong = 0;
    char at[256], own[128], text[128], example[128] = "";
    pthread_t swapper;
    if (argc < 7) return fputs("race safe|naive TRIES MOST TRUSTED POINT SOURCE...\n", stderr), 2;
    int drop = !strcmp(argv[1], "naive");
    long tries = atol(argv[2]), most = atol(argv[3]);
    if (unshare(CLONE_NEWNS) || mount(0, "/", 0, MS_REC | MS_PRIVATE, 0) ||
        mount("proc", "/proc", "proc", 0, 0)) {
        return perror("a procfs of one's own"), 2;
    }
    if (look(0, own, sizeof own) < 0) return fputs("no sysctl\n", stderr), 2;
    snprintf(at, sizeof at, "/proc/%s", argv[5]);
    point = at;
    if (mkdir("parked", 0700) && errno != EEXIST) return perror("parked"), 2;
    if (mount("parked", "parked", "tmpfs", 0, 0)) return perror("parked"), 2;
    for (char **source = argv + 6; *source; source++) {
        if (park(*source)) return perror(*source), 2;
    }
    if (pthread_create(&swapper, 0, swap, 0)) return perror("pthread_create"), 2;
    for (long tried = 0; tried < tries || (tried < most && !(drop ? wrong : trusted && refused)); tried++) {
        long got = look(drop, text, sizeof text);
        if (got < 0) refused++;
        else if (!strncmp(text, argv[4], strlen(argv[4])) && text[strlen(argv[4])] == '\n') trusted++;
        else if (!strcmp(text, own)) native++;
        else wrong++, strcpy(example, text);
    }
    is_over = 1;
    pthread_join(swapper, 0);
    example[strcspn(example, "\n")] = 0;
    printf("trusted %lu, native %lu, refused %lu, wrong %lu, swaps %lu %s\n", trusted, native,
           refused, wrong, swaps, example);
    return 0;
}
