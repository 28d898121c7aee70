/* Directories of nodes, listed: /dev shows the virtual nodes among the machine's files, and files of the server's
 * directory that stand for nodes look like nodes. */
#include "shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { listings = 32 };

/* An open directory of nodes. */
static struct {
    _Atomic(DIR*) directory;
    _Atomic(DIR*) more; /* of /dev: the server's, read when the machine's is at its end */
    _Atomic bool at_more;
} table[listings];
static _Atomic unsigned open_listings;

static int slot_of(DIR* directory) {
    if (atomic_load_explicit(&open_listings, memory_order_relaxed) == 0 || directory == NULL) return -1;
    for (int i = 0; i < listings; ++i)
        if (atomic_load_explicit(&table[i].directory, memory_order_relaxed) == directory) return i;
    return -1;
}

static DIR* more_of_dev(void) {
    struct shim_where where;
    shim_lead("/dev", &where);
    return where.place == shim_inside ? SHIM_NEXT(opendir)(where.text) : NULL;
}

/* `name` as shim_noted_directory() gives it. */
static void note(DIR* directory, const char* name, bool machines) {
    for (int i = 0; i < listings; ++i) {
        DIR* none = NULL;
        if (!atomic_compare_exchange_strong(&table[i].directory, &none, directory)) continue;
        const int saved = errno;
        atomic_store(&table[i].more, name[0] == '\0' && machines ? more_of_dev() : NULL);
        atomic_store(&table[i].at_more, false);
        atomic_fetch_add(&open_listings, 1);
        errno = saved;
        return;
    }
}

/* Is it the machine's own /dev, or the server's? */
static bool is_machines(int fd) {
    struct stat status;
    struct stat dev;
    return fstat(fd, &status) == 0 && stat("/dev", &dev) == 0 && status.st_ino == dev.st_ino &&
           status.st_dev == dev.st_dev;
}

SHIM_EXPORT DIR* fdopendir(int fd) {
    DIR* directory = SHIM_NEXT(fdopendir)(fd);
    if (directory == NULL || !shim_active()) return directory;
    const char* name = shim_noted_directory(fd);
    if (name != NULL) note(directory, name, is_machines(fd));
    return directory;
}

SHIM_EXPORT DIR* opendir(const char* path) {
    struct shim_where where;
    if (shim_locate(AT_FDCWD, path, &where) == shim_elsewhere && !shim_is_dev(path))
        return SHIM_NEXT(opendir)(path); /* cppcheck-suppress CastIntegerToAddressAtReturn */
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    DIR* directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (fd >= 0 && directory == NULL) shim_close(fd);
    return directory;
}

/* Machine's entries that the virtual SoC hides, or shows itself. */
static bool hidden(const char* name) {
    return strcmp(name, "accel") == 0 || strcmp(name, "dma_heap") == 0 || strncmp(name, "fastrpc-", 8) == 0 ||
           strncmp(name, "adsprpc-", 8) == 0;
}

static struct dirent* next_entry(DIR* directory) {
    const int slot = slot_of(directory);
    if (slot < 0) return SHIM_NEXT(readdir)(directory); /* cppcheck-suppress CastIntegerToAddressAtReturn */
    DIR* more = atomic_load(&table[slot].more);
    while (more != NULL && !atomic_load(&table[slot].at_more)) {
        const int saved = errno;
        errno = 0;
        struct dirent* entry = SHIM_NEXT(readdir)(directory);
        const int error = errno;
        errno = saved;
        if (entry != NULL && hidden(entry->d_name)) continue;
        if (entry != NULL) return entry;
        if (error != 0) {
            errno = error;
            return NULL;
        }
        atomic_store(&table[slot].at_more, true);
    }
    struct dirent* entry;
    do entry = SHIM_NEXT(readdir)(more != NULL ? more : directory);
    while (entry != NULL && more != NULL && entry->d_name[0] == '.');
    if (entry != NULL && entry->d_type == DT_REG) entry->d_type = DT_CHR;
    return entry;
}
SHIM_EXPORT struct dirent* readdir(DIR* directory) {
    return next_entry(directory);
}
SHIM_EXPORT struct dirent64* readdir64(DIR* directory) {
    return (struct dirent64*)(void*)next_entry(directory);
}

SHIM_EXPORT void rewinddir(DIR* directory) {
    const int slot = slot_of(directory);
    SHIM_NEXT(rewinddir)(directory);
    if (slot < 0) return;
    DIR* more = atomic_load(&table[slot].more);
    if (more != NULL) SHIM_NEXT(rewinddir)(more);
    atomic_store(&table[slot].at_more, false);
}

SHIM_EXPORT int closedir(DIR* directory) {
    const int slot = slot_of(directory);
    if (slot >= 0) {
        DIR* more = atomic_exchange(&table[slot].more, NULL);
        if (more != NULL) SHIM_NEXT(closedir)(more);
        atomic_fetch_sub(&open_listings, 1);
        atomic_store(&table[slot].directory, NULL);
    }
    return SHIM_NEXT(closedir)(directory);
}

/* scandir, of our own listing. */
static int scan(const char* path, struct dirent*** names, int (*wanted)(const struct dirent*),
                int (*compare)(const struct dirent**, const struct dirent**)) {
    DIR* directory = opendir(path);
    if (directory == NULL) return -1;
    const int saved = errno;
    struct dirent** found = NULL;
    size_t count = 0;
    size_t room = 0;
    bool failed = false;
    for (;;) {
        errno = 0;
        struct dirent* entry = next_entry(directory);
        failed = entry == NULL && errno != 0;
        if (entry == NULL) break;
        if (wanted != NULL && wanted(entry) == 0) continue;
        if (count == room) {
            struct dirent** larger = realloc(found, (room = room * 2 + 16) * sizeof *found);
            if ((failed = larger == NULL)) break;
            found = larger;
        }
        if ((failed = (found[count] = malloc(entry->d_reclen)) == NULL)) break;
        memcpy(found[count++], entry, entry->d_reclen);
    }
    const int error = errno;
    closedir(directory);
    if (failed) {
        while (count > 0) free(found[--count]);
        free(found);
        errno = error;
        return -1;
    }
    if (compare != NULL && count > 1)
        qsort(found, count, sizeof *found, (int (*)(const void*, const void*))(void (*)(void))compare);
    errno = saved;
    *names = found;
    return (int)count;
}

static bool is_ours(const char* path) {
    struct shim_where where;
    return shim_locate(AT_FDCWD, path, &where) != shim_elsewhere || shim_is_dev(path);
}

SHIM_EXPORT int scandir(const char* restrict path, struct dirent*** restrict names, int (*wanted)(const struct dirent*),
                        int (*compare)(const struct dirent**, const struct dirent**)) {
    return is_ours(path) ? scan(path, names, wanted, compare) : SHIM_NEXT(scandir)(path, names, wanted, compare);
}
SHIM_EXPORT int scandir64(const char* restrict path, struct dirent64*** restrict names,
                          int (*wanted)(const struct dirent64*),
                          int (*compare)(const struct dirent64**, const struct dirent64**)) {
    if (!is_ours(path)) return SHIM_NEXT(scandir64)(path, names, wanted, compare);
    return scan(path, (struct dirent***)(void*)names, (int (*)(const struct dirent*))(void (*)(void))wanted,
                (int (*)(const struct dirent**, const struct dirent**))(void (*)(void))compare);
}
