/* A FUSE file system with a few files of /proc/sys below proc/sys, as sysbox-fs
 * has them: regular files that remember what is written. It talks to /dev/fuse
 * directly (Linux, include/uapi/linux/fuse.h).
 *
 *   fuse MOUNTPOINT    mounts, prints "ready", and serves until it is killed
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

struct node {
    unsigned parent;
    const char *name;
    unsigned mode;
    char contents[128];
    size_t length;
};

#define DIRECTORY (S_IFDIR | 0755)
#define SETTING (S_IFREG | 0644)

/* A node's number is its place here; the root is FUSE_ROOT_ID. */
static struct node nodes[] = {
    {0, "", 0, "", 0},
    {0, "/", DIRECTORY, "", 0},
    {1, "proc", DIRECTORY, "", 0},
    {2, "sys", DIRECTORY, "", 0},
    {3, "net", DIRECTORY, "", 0},
    {4, "ipv4", DIRECTORY, "", 0},
    {5, "ip_unprivileged_port_start", SETTING, "1024\n", 5},
    {5, "ping_group_range", SETTING, "1\t0\n", 4},
    {3, "kernel", DIRECTORY, "", 0},
    {8, "core_pattern", SETTING, "core\n", 5},
    /* The same last two components one level higher, and a link to a directory. */
    {3, "ipv4", DIRECTORY, "", 0},
    {10, "ip_unprivileged_port_start", SETTING, "decoy\n", 6},
    {3, "linked", S_IFLNK | 0777, "net", 3},
};
#define NODES (sizeof nodes / sizeof *nodes)

static void attributes(unsigned id, struct fuse_attr *attr) {
    memset(attr, 0, sizeof *attr);
    attr->ino = id;
    attr->mode = nodes[id].mode;
    attr->nlink = 1;
    attr->size = nodes[id].length;
    attr->blksize = 4096;
}

static void reply(int device, uint64_t unique, int error, const void *body, size_t length) {
    char message[8192];
    struct fuse_out_header header = {sizeof header + (error ? 0 : length), -error, unique};
    memcpy(message, &header, sizeof header);
    if (!error && length) memcpy(message + sizeof header, body, length);
    /* ENOENT: the request was interrupted, and nobody waits. */
    if (write(device, message, header.len) < 0 && errno != ENOENT) perror("reply");
}

static void reply_entry(int device, uint64_t unique, unsigned parent, const char *name) {
    for (unsigned id = 2; id < NODES; id++) {
        if (nodes[id].parent != parent || strcmp(nodes[id].name, name)) continue;
        struct fuse_entry_out out = {.nodeid = id, .entry_valid = 1, .attr_valid = 0};
        attributes(id, &out.attr);
        return reply(device, unique, 0, &out, sizeof out);
    }
    reply(device, unique, ENOENT, 0, 0);
}

static size_t list(unsigned id, uint64_t from, char *out) {
    size_t length = 0;
    for (unsigned child = from < 2 ? 2 : from; child < NODES; child++) {
        if (nodes[child].parent != id) continue;
        struct fuse_dirent *entry = (void *)(out + length);
        entry->ino = child;
        entry->off = child + 1;
        entry->namelen = strlen(nodes[child].name);
        entry->type = nodes[child].mode >> 12;
        memcpy(entry->name, nodes[child].name, entry->namelen);
        length += FUSE_DIRENT_SIZE(entry);
    }
    return length;
}

static void reply_attr(int device, uint64_t unique, unsigned id) {
    struct fuse_attr_out out = {.attr_valid = 0};
    attributes(id, &out.attr);
    reply(device, unique, 0, &out, sizeof out);
}

static void change(int device, uint64_t unique, unsigned id, const struct fuse_setattr_in *in) {
    if (in->valid & FATTR_SIZE) {
        if (in->size > sizeof nodes[id].contents) return reply(device, unique, EFBIG, 0, 0);
        nodes[id].length = in->size;
    }
    reply_attr(device, unique, id);
}

static void store(int device, uint64_t unique, unsigned id, const struct fuse_write_in *in) {
    if (in->offset + in->size > sizeof nodes[id].contents) {
        return reply(device, unique, EFBIG, 0, 0);
    }
    memcpy(nodes[id].contents + in->offset, in + 1, in->size);
    nodes[id].length = in->offset + in->size;
    struct fuse_write_out out = {.size = in->size};
    reply(device, unique, 0, &out, sizeof out);
}

static void serve(int device, struct fuse_in_header *in) {
    void *body = in + 1;
    unsigned id = in->nodeid;
    char entries[4096];
    switch (in->opcode) {
    case FUSE_INIT: {
        struct fuse_init_in *init = body;
        struct fuse_init_out out = {.major = 7, .minor = 31, .max_write = 4096};
        if (init->minor < out.minor) out.minor = init->minor;
        return reply(device, in->unique, 0, &out, sizeof out);
    }
    case FUSE_LOOKUP:
        return reply_entry(device, in->unique, id, body);
    case FUSE_GETATTR:
        return reply_attr(device, in->unique, id);
    case FUSE_SETATTR:
        return change(device, in->unique, id, body);
    case FUSE_READLINK:
        return reply(device, in->unique, 0, nodes[id].contents, nodes[id].length);
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
        struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO};
        return reply(device, in->unique, 0, &out, sizeof out);
    }
    case FUSE_READ: {
        struct fuse_read_in *read = body;
        size_t have = read->offset < nodes[id].length ? nodes[id].length - read->offset : 0;
        if (have > read->size) have = read->size;
        return reply(device, in->unique, 0, nodes[id].contents + read->offset, have);
    }
    case FUSE_READDIR: {
        struct fuse_read_in *read = body;
        return reply(device, in->unique, 0, entries, list(id, read->offset, entries));
    }
    case FUSE_WRITE:
        return store(device, in->unique, id, body);
    case FUSE_STATFS: {
        struct fuse_statfs_out out = {.st = {.bsize = 4096, .namelen = 255}};
        return reply(device, in->unique, 0, &out, sizeof out);
    }
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FLUSH:
    case FUSE_FSYNC:
    case FUSE_ACCESS:
        return reply(device, in->unique, 0, 0, 0);
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
    case FUSE_DESTROY:
        return;
    default:
        return reply(device, in->unique, ENOSYS, 0, 0);
    }
}

int main(int argc, char **argv) {
    static char request[64 << 10];
    char options[128];
    int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (argc != 2 || device < 0) return perror("/dev/fuse"), 2;
    snprintf(options, sizeof options,
             "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", device);
    if (mount("sysboxfs", argv[1], "fuse.sysboxfs", MS_NOSUID | MS_NODEV, options)) {
        return perror(argv[1]), 2;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        ssize_t length = read(device, request, sizeof request - 1);
        if (length < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN)) continue;
        if (length < 0) return errno == ENODEV ? 0 : (perror("read"), 1);
        request[length] = 0;
        serve(device, (struct fuse_in_header *)request);
    }
}
