/* Which paths are the virtual SoC's: the nodes below /dev, and what programs read to find them. The latter lie in the
 * directory that the server keeps beside its socket, and the machine's own never shine through.
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { noted_directories = 16 };

/* Where a path begins that lies in the server's directory, and where there. */
static const struct {
    const char* path;
    const char* inside;
} trees[] = {
    {"/sys/class/remoteproc", "/sys/class/remoteproc"},
    {"/sys/class/accel", "/sys/class/accel"},
    {"/sys/class/misc", "/sys/class/misc"},
    {"/sys/firmware/devicetree/base", "/proc/device-tree"},
    {"/proc/device-tree", "/proc/device-tree"},
};
/* Of nodes: by the beginning of their name, or by their directory. */
static const char* const node_names[] = {"fastrpc-", "adsprpc-", "subsys_"};
static const char* const node_directories[] = {"accel", "dma_heap"};

/* Directories of nodes that the program opened; "" is /dev. */
static struct {
    _Atomic uint64_t inode; /* 0: free */
    _Atomic uint64_t device;
    _Atomic(const char*) name;
} noted[noted_directories];
static _Atomic unsigned noted_count;

/* Without double slashes, "." and ".."; false: too long. */
static bool tidy(const char* path, char* out, size_t size) {
    size_t length = 0;
    while (*path != '\0') {
        while (*path == '/') ++path;
        const size_t part = strcspn(path, "/");
        if (part == 0) break;
        if (part == 2 && path[0] == '.' && path[1] == '.') {
            while (length > 0 && out[--length] != '/') {
            }
        } else if (part != 1 || path[0] != '.') {
            if (length + part + 2 > size) return false;
            out[length++] = '/';
            memcpy(out + length, path, part);
            length += part;
        }
        path += part;
    }
    out[length] = '\0';
    return true;
}

static bool begins(const char* text, const char* prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Is `path` the tree's root or below? The rest begins with a slash or is empty. */
static const char* below(const char* path, const char* root) {
    const size_t length = strlen(root);
    if (strncmp(path, root, length) != 0 || (path[length] != '/' && path[length] != '\0')) return NULL;
    return path + length;
}

static bool may_be_ours(const char* path) {
    while (*path == '/' || (path[0] == '.' && path[1] == '/')) ++path;
    return begins(path, "dev") || begins(path, "sys/") || begins(path, "proc/");
}

void shim_lead(const char* inside, struct shim_where* where) {
    const size_t root = strlen(shim_server_path());
    const size_t rest = strlen(inside);
    where->path = where->text;
    where->place = shim_inside;
    if (root + 2 + rest >= sizeof where->text) {
        where->text[0] = '\0';
        where->place = shim_no_path;
        return;
    }
    memmove(where->text + root + 2, inside, rest + 1); /* it may be the text itself */
    memcpy(where->text, shim_server_path(), root);
    memcpy(where->text + root, ".d", 2);
}

/* Of a path below /dev, tidy. */
static enum shim_place locate_node(const char* name, struct shim_where* where) {
    bool node = false;
    for (size_t i = 0; i < sizeof node_names / sizeof *node_names && !node; ++i) node = begins(name, node_names[i]);
    for (size_t i = 0; i < sizeof node_directories / sizeof *node_directories && !node; ++i) {
        const char* rest = below(name, node_directories[i]);
        if (rest == NULL) continue;
        if (*rest == '\0') {
            char inside[32] = "/dev/";
            strcat(inside, node_directories[i]);
            shim_lead(inside, where);
            return where->place;
        }
        node = true;
    }
    if (!node) return shim_elsewhere;
    memmove(where->text, name, strlen(name) + 1);
    where->place = shim_node;
    return shim_node;
}

static enum shim_place locate_whole(const char* path, struct shim_where* where) {
    if (!tidy(path, where->text, sizeof where->text)) return shim_elsewhere;
    if (begins(where->text, "/dev/")) return locate_node(where->text + 5, where);
    for (size_t i = 0; i < sizeof trees / sizeof *trees; ++i) {
        const char* rest = below(where->text, trees[i].path);
        if (rest == NULL) continue;
        const size_t length = strlen(trees[i].inside);
        memmove(where->text + length, rest, strlen(rest) + 1); /* no tree becomes longer inside */
        memcpy(where->text, trees[i].inside, length);
        shim_lead(where->text, where);
        return where->place;
    }
    return shim_elsewhere;
}

static bool same_file(int directory, const char* path, const struct stat* other) {
    struct stat status;
    return SHIM_CALL(SYS_newfstatat, directory, path, &status, 0, 0, 0) == 0 && status.st_dev == other->st_dev &&
           status.st_ino == other->st_ino;
}

/* "fastrpc-cdsp" from /dev, "accel0" from /dev/accel. */
static enum shim_place locate_relative(int directory, const char* path, struct shim_where* where) {
    bool node = false;
    while (path[0] == '.' && path[1] == '/') path += 2;
    for (size_t i = 0; i < sizeof node_names / sizeof *node_names; ++i) node |= begins(path, node_names[i]);
    for (size_t i = 0; i < sizeof node_directories / sizeof *node_directories; ++i)
        node |= below(path, node_directories[i]) != NULL;
    if (!node && (directory == AT_FDCWD || atomic_load_explicit(&noted_count, memory_order_relaxed) == 0))
        return shim_elsewhere;
    const char* below_dev = directory == AT_FDCWD ? NULL : shim_noted_directory(directory);
    struct stat status;
    if (below_dev == NULL && node && SHIM_CALL(SYS_newfstatat, AT_FDCWD, "/dev", &status, 0, 0, 0) == 0 &&
        same_file(directory, ".", &status))
        below_dev = "";
    if (below_dev == NULL) return shim_elsewhere;
    char whole[512] = "/dev/";
    if (strlen(path) + 32 > sizeof whole) return shim_elsewhere;
    strcat(whole, below_dev);
    strcat(whole, "/");
    strcat(whole, path);
    return locate_whole(whole, where);
}

enum shim_place shim_locate(int directory, const char* path, struct shim_where* where) {
    where->place = shim_elsewhere;
    where->path = path;
    if (path == NULL || path[0] == '\0') return shim_elsewhere;
    if (path[0] == '/' ? !may_be_ours(path) : directory != AT_FDCWD && directory < 0) return shim_elsewhere;
    if (!shim_active()) return shim_elsewhere;
    return path[0] == '/' ? locate_whole(path, where) : locate_relative(directory, path, where);
}

bool shim_is_dev(const char* path) {
    char tidied[8];
    return path != NULL && path[0] == '/' && tidy(path, tidied, sizeof tidied) && strcmp(tidied, "/dev") == 0 &&
           shim_active();
}

void shim_unlead(char* path) {
    const size_t root = strlen(shim_server_path());
    if (strncmp(path, shim_server_path(), root) != 0 || !begins(path + root, ".d/")) return;
    memmove(path, path + root + 2, strlen(path + root + 2) + 1);
}

/* Which directory of nodes is it? Asked with its path, when it is opened. */
static const char* directory_name(const struct stat* status) {
    struct shim_where where;
    if (same_file(AT_FDCWD, "/dev", status)) return "";
    shim_lead("/dev", &where);
    if (where.place == shim_inside && same_file(AT_FDCWD, where.text, status)) return "";
    for (size_t i = 0; i < sizeof node_directories / sizeof *node_directories; ++i) {
        char inside[32] = "/dev/";
        strcat(inside, node_directories[i]);
        shim_lead(inside, &where);
        if (where.place == shim_inside && same_file(AT_FDCWD, where.text, status)) return node_directories[i];
    }
    return NULL;
}

void shim_note_directory(int fd) {
    struct stat status;
    if (SHIM_CALL(SYS_fstat, fd, &status, 0, 0, 0, 0) != 0 || !S_ISDIR(status.st_mode)) return;
    const char* name = directory_name(&status);
    if (name == NULL || shim_noted_directory(fd) != NULL) return;
    const unsigned slot = atomic_fetch_add(&noted_count, 1) % noted_directories; /* the oldest goes */
    atomic_store(&noted[slot].inode, 0);
    atomic_store(&noted[slot].device, status.st_dev);
    atomic_store(&noted[slot].name, name);
    atomic_store(&noted[slot].inode, status.st_ino);
}

const char* shim_noted_directory(int fd) {
    struct stat status;
    if (atomic_load_explicit(&noted_count, memory_order_relaxed) == 0 ||
        SHIM_CALL(SYS_fstat, fd, &status, 0, 0, 0, 0) != 0 || !S_ISDIR(status.st_mode))
        return NULL;
    for (size_t i = 0; i < noted_directories; ++i)
        if (atomic_load(&noted[i].inode) == status.st_ino && atomic_load(&noted[i].device) == status.st_dev)
            return atomic_load(&noted[i].name);
    return NULL;
}
