/* Makes the mount that it stands in private, by its path, from a user namespace
 * that can't search a directory on the way; then changes its root to a mount on it.
 * The kernel refuses that while the mount below is shared.
 *
 *   propagation DIRECTORY [COVERED]
 *
 * DIRECTORY is a mount, below a directory of root's with mode 0700. Over COVERED
 * another one is mounted once the program stands in DIRECTORY.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void map_to(pid_t child, const char *file) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", child, file);
    int fd = open(path, O_WRONLY);
    if (write(fd, "0 100000 1000", 13) < 0) perror(path);
    close(fd);
}

/* What the table of mounts says of the mount at `point`: shared or not. */
static const char *sharing(const char *point) {
    char line[1024], at[512];
    const char *found = "missing";
    FILE *table = fopen("/proc/self/mountinfo", "r");
    while (table && fgets(line, sizeof line, table)) {
        if (sscanf(line, "%*s %*s %*s %*s %511s", at) == 1 && !strcmp(at, point)) {
            found = strstr(line, " shared:") ? "shared" : "private";
        }
    }
    if (table) fclose(table);
    return found;
}

static int inside(const char *point) {
    if (setgid(0) || setuid(0)) return perror("setuid"), 2;
    if (mount("", ".", "", MS_SHARED, "")) return perror("shared"), 2;
    int made = mount("", point, "", MS_PRIVATE, "");
    printf("mount: %s", made ? strerror(errno) : "done");
    printf(", %s", sharing(point));
    if (mount("new", "new", "tmpfs", 0, "") || chdir("new")) return perror("new"), 2;
    int changed = syscall(SYS_pivot_root, ".", ".");
    printf(", pivot_root: %s\n", changed ? strerror(errno) : "done");
    return 0;
}

int main(int argc, char **argv) {
    int ready[2], mapped[2];
    char byte = 0;
    if (argc < 2 || chdir(argv[1])) return perror("propagation DIRECTORY [COVERED]"), 2;
    if (argc > 2 && mount("covers", argv[2], "tmpfs", 0, "mode=700")) return perror(argv[2]), 2;
    if (pipe(ready) || pipe(mapped)) return perror("pipe"), 2;
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS)) return perror("unshare"), 2;
        if (write(ready[1], &byte, 1) != 1 || read(mapped[0], &byte, 1) != 1) return 2;
        return inside(argv[1]);
    }
    int status = 2;
    if (read(ready[0], &byte, 1) == 1) {
        map_to(child, "uid_map");
        map_to(child, "gid_map");
        if (write(mapped[1], &byte, 1) != 1) return 2;
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
