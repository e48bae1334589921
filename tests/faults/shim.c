// Faults for a process under test, put under it with LD_PRELOAD: no root and no tracer needed.
//
//   REPRISE_FAULT_DIR   only files below this directory are concerned; without symbolic links
//   REPRISE_FAULT_FILE  the control file, mapped: the test reads and writes it while we run
//
// The control file is an array of 64-bit words, see `enum word`; `xtask/src/faults.rs` has the
// same list. Without both variables nothing is changed.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum word {
    LOADED,       // out: processes that were started with this library
    SYNCS,        // out: fsync, fdatasync and sync_file_range so far
    WRITES,       // out: writes, truncations, preallocations, creations and renames so far
    CLOCKS,       // out: how often the wall clock was asked
    NO_ROOM,      // out: how often there was no room
    DIE_AT_SYNC,  // SIGKILL at the sync with this number (from 1) ...
    DIE_AFTER,    // ... 0: before it, 1: after it
    DIE_AT_WRITE, // SIGKILL in the middle of this write, at the end of a page
    EIO_AT_SYNC,  // this sync, and all after it, fail with EIO
    EIO_AT_WRITE, // this write, and all after it, fail with EIO
    FULL_AT_WRITE,// from this write on there is no more room than is taken then, and FULL_SLACK
    FULL_SLACK,   // bytes
    CAPACITY,     // the most bytes that all files may have together; 0: no bound
    SYNC_DELAY_US,// every fsync and fdatasync takes this much longer
    NO_SYNC,      // 1: no sync does anything
    CLOCK_MS,     // added to the wall clock; signed
    WORDS
};

#define BLOCK 4096

static _Atomic int64_t *control;
static char dir[PATH_MAX];
static size_t dir_length;
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void load(void) {
    const char *below = getenv("REPRISE_FAULT_DIR"), *file = getenv("REPRISE_FAULT_FILE");
    if (below == NULL || file == NULL) return;
    int fd = open(file, O_RDWR | O_CLOEXEC);
    size_t bytes = WORDS * sizeof(int64_t);
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        fprintf(stderr, "faults: cannot map %s: %s\n", file, strerror(errno));
        _exit(97);
    }
    close(fd);
    dir_length = strlen(below);
    memcpy(dir, below, dir_length + 1);
    control = at;
    atomic_fetch_add(&control[LOADED], 1);
}

static int64_t get(enum word word) { return atomic_load(&control[word]); }

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

// Whether a path is one that the faults concern.
static int ours(const char *path) {
    if (control == NULL || path == NULL) return 0;
    return strncmp(path, dir, dir_length) == 0 && (path[dir_length] == '/' || path[dir_length] == 0);
}

static int ours_fd(int fd) {
    if (control == NULL) return 0;
    int saved = errno;
    char link[40], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (length < 0) return 0;
    path[length] = 0;
    return ours(path);
}

// ---- room ----

static int64_t taken(const char *path) {
    DIR *entries = opendir(path);
    if (entries == NULL) return 0;
    int64_t bytes = 0;
    struct dirent *entry;
    while ((entry = readdir(entries)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        struct stat is;
        if (fstatat(dirfd(entries), entry->d_name, &is, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (S_ISDIR(is.st_mode)) {
            char below[PATH_MAX];
            snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
            bytes += taken(below);
        } else {
            bytes += (int64_t)is.st_blocks * 512;
        }
    }
    closedir(entries);
    return bytes;
}

// How many bytes are left.
static int64_t left(void) {
    int64_t capacity = get(CAPACITY);
    if (capacity == 0) return INT64_MAX;
    int64_t bytes = capacity - taken(dir);
    return bytes < 0 ? 0 : bytes;
}

// Counts a write and lets the faults of its turn happen. 0, or the error that it fails with.
static int count_write(int *dies) {
    int64_t n = atomic_fetch_add(&control[WRITES], 1) + 1;
    *dies = n == get(DIE_AT_WRITE);
    int64_t full = get(FULL_AT_WRITE), eio = get(EIO_AT_WRITE);
    if (full != 0 && n >= full && get(CAPACITY) == 0) {
        atomic_store(&control[CAPACITY], taken(dir) + get(FULL_SLACK));
    }
    return eio != 0 && n >= eio ? EIO : 0;
}

static int no_room(void) {
    atomic_fetch_add(&control[NO_ROOM], 1);
    errno = ENOSPC;
    return -1;
}

static int64_t stands_at(int fd, const struct stat *is) {
    return fcntl(fd, F_GETFL) & O_APPEND ? is->st_size : lseek(fd, 0, SEEK_CUR);
}

// How many of `length` bytes a write has written that is cut off in the middle: kernels write a
// page whole or not at all.
static size_t torn(int fd, int64_t offset, size_t length) {
    struct stat is;
    if (offset < 0 && fstat(fd, &is) == 0) offset = stands_at(fd, &is);
    int64_t cut = (offset + (int64_t)length / 2 + BLOCK / 2) / BLOCK * BLOCK - offset;
    return cut < 0 ? 0 : cut > (int64_t)length ? length : (size_t)cut;
}

// How many of `length` bytes at `offset` (-1: where the file stands) there is room for. What is
// written over blocks that the file has already needs none.
static size_t fitting(int fd, int64_t offset, size_t length) {
    struct stat is;
    if (get(CAPACITY) == 0 || length == 0 || fstat(fd, &is) != 0) return length;
    if (offset < 0) offset = stands_at(fd, &is);
    int64_t end = offset + (int64_t)length, room = left() / BLOCK * BLOCK;
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int again = open(link, O_RDONLY | O_CLOEXEC); // so that the file stays where it stands
    int64_t at = offset / BLOCK * BLOCK, fits = (int64_t)length;
    while (at < end) {
        off64_t data = lseek64(again, at, SEEK_DATA);
        int64_t hole_end = data < 0 || data > end ? (end + BLOCK - 1) / BLOCK * BLOCK : data;
        if (hole_end - at > room) {
            fits = at + room - offset; // up to the end of the last block that there is
            break;
        }
        room -= hole_end - at;
        off64_t hole = data < 0 ? end : lseek64(again, data, SEEK_HOLE);
        at = hole < 0 ? end : (hole + BLOCK - 1) / BLOCK * BLOCK;
    }
    close(again);
    return fits < 0 ? 0 : (size_t)fits;
}

// Something that has a name but no bytes: it needs room for one at least.
static int may_create(void) {
    int dies, error = count_write(&dies);
    if (dies) die();
    if (error) { errno = error; return 0; }
    if (left() > 0) return 1;
    no_room();
    return 0;
}

// ---- writes ----

#define WRITTEN(fd, offset, length, call)                                                         \
    int dies, error;                                                                              \
    pthread_mutex_lock(&writing);                                                                 \
    error = count_write(&dies);                                                                   \
    size_t fits = fitting(fd, offset, length);                                                    \
    if (dies) fits = torn(fd, offset, fits);                                                      \
    ssize_t done;                                                                                 \
    if (error) { errno = error; done = -1; }                                                      \
    else if (fits == 0 && (length) > 0 && !dies) done = no_room();                                \
    else { size_t some = fits; done = call; }                                                     \
    if (dies) die();                                                                              \
    int saved = errno;                                                                            \
    pthread_mutex_unlock(&writing);                                                               \
    errno = saved;                                                                                \
    return done

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(write);
    if (!ours_fd(fd)) return real(fd, bytes, length);
    WRITTEN(fd, -1, length, real(fd, bytes, some));
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    REAL(pwrite64);
    if (!ours_fd(fd)) return real(fd, bytes, length, offset);
    WRITTEN(fd, offset, length, real(fd, bytes, some, offset));
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return pwrite64(fd, bytes, length, offset);
}

// Only the first of the parts is written; callers of these expect short writes.
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    if (!ours_fd(fd)) return real(fd, parts, count);
    while (count > 1 && parts->iov_len == 0) { parts++; count--; }
    return count == 0 ? 0 : write(fd, parts->iov_base, parts->iov_len);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    REAL(pwritev64);
    if (!ours_fd(fd)) return real(fd, parts, count, offset);
    while (count > 1 && parts->iov_len == 0) { parts++; count--; }
    return count == 0 ? 0 : pwrite64(fd, parts->iov_base, parts->iov_len, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev64(fd, parts, count, offset);
}

int ftruncate64(int fd, off64_t length) {
    REAL(ftruncate64);
    if (!ours_fd(fd)) return real(fd, length);
    int dies, error = count_write(&dies);
    if (dies) die();
    if (error) { errno = error; return -1; }
    return real(fd, length); // what it grows by is a hole, which takes no room
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    REAL(fallocate64);
    if (!ours_fd(fd)) return real(fd, mode, offset, length);
    int dies, error = count_write(&dies);
    if (dies) die();
    if (error) { errno = error; return -1; }
    return fitting(fd, offset, (size_t)length) < (size_t)length
               ? no_room() : real(fd, mode, offset, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
    return fallocate64(fd, mode, offset, length);
}

int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    return fallocate64(fd, 0, offset, length) == 0 ? 0 : errno;
}

int posix_fallocate(int fd, off_t offset, off_t length) {
    return posix_fallocate64(fd, offset, length);
}

// The kernel's shortcuts for copying would go past the writes; callers fall back to those.
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *where, size_t length, unsigned flags) {
    REAL(copy_file_range);
    if (ours_fd(to)) { errno = EXDEV; return -1; }
    return real(from, at, to, where, length, flags);
}

// ---- names ----

#define MODE(flags, last) \
    mode_t mode = 0;      \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, last); mode = va_arg(rest, mode_t); va_end(rest); }

// The reserve is allocated by a bare system call, which no library sees: on a full disk it cannot
// be made at all.
static int is_reserve(const char *path) {
    size_t length = strlen(path), suffix = strlen(".reserve");
    return length > suffix && strcmp(path + length - suffix, ".reserve") == 0;
}

static int may_open(const char *path, int flags) {
    if (!(flags & O_CREAT) || !ours(path)) return 1;
    if (is_reserve(path) && get(CAPACITY) != 0) return no_room() == 0;
    return access(path, F_OK) == 0 || may_create();
}

int open64(const char *path, int flags, ...) {
    REAL(open64);
    MODE(flags, flags)
    return may_open(path, flags) ? real(path, flags, mode) : -1;
}

int open(const char *path, int flags, ...) {
    REAL(open);
    MODE(flags, flags)
    return may_open(path, flags) ? real(path, flags, mode) : -1;
}

int openat64(int at, const char *path, int flags, ...) {
    REAL(openat64);
    MODE(flags, flags)
    return may_open(path, flags) ? real(at, path, flags, mode) : -1;
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return !ours(path) || access(path, F_OK) == 0 || may_create() ? real(path, mode) : -1;
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return !ours(to) || may_create() ? real(from, to) : -1;
}

// ---- syncs ----

#define SYNCED(fd, call)                                                                          \
    if (!ours_fd(fd)) return call;                                                                \
    int64_t n = atomic_fetch_add(&control[SYNCS], 1) + 1;                                         \
    int dies = n == get(DIE_AT_SYNC);                                                             \
    if (dies && !get(DIE_AFTER)) die();                                                           \
    int64_t eio = get(EIO_AT_SYNC);                                                               \
    if (eio != 0 && n >= eio) { errno = EIO; return -1; }                                         \
    int done = get(NO_SYNC) ? 0 : call;                                                           \
    if (dies) die()

static void delay(int fd) {
    if (control != NULL && get(SYNC_DELAY_US) > 0 && ours_fd(fd)) usleep((useconds_t)get(SYNC_DELAY_US));
}

int fsync(int fd) {
    REAL(fsync);
    delay(fd);
    SYNCED(fd, real(fd));
    return done;
}

int fdatasync(int fd) {
    REAL(fdatasync);
    delay(fd);
    SYNCED(fd, real(fd));
    return done;
}

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned flags) {
    REAL(sync_file_range);
    SYNCED(fd, real(fd, offset, length, flags));
    return done;
}

// ---- how much room there is ----

#define FREE(call, concerned)                                                                     \
    int done = call;                                                                              \
    if (done == 0 && (concerned) && get(CAPACITY) != 0) {                                         \
        uint64_t blocks = (uint64_t)left() / (is->f_frsize ? is->f_frsize : 1);                   \
        if (blocks < is->f_bavail) is->f_bavail = blocks;                                         \
        if (blocks < is->f_bfree) is->f_bfree = blocks;                                           \
    }                                                                                             \
    return done

int statvfs64(const char *path, struct statvfs64 *is) {
    REAL(statvfs64);
    FREE(real(path, is), ours(path));
}

int statvfs(const char *path, struct statvfs *is) {
    REAL(statvfs);
    FREE(real(path, is), ours(path));
}

int fstatvfs64(int fd, struct statvfs64 *is) {
    REAL(fstatvfs64);
    FREE(real(fd, is), ours_fd(fd));
}

int fstatvfs(int fd, struct statvfs *is) {
    REAL(fstatvfs);
    FREE(real(fd, is), ours_fd(fd));
}

// ---- the wall clock ----

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime);
    int done = real(clock, now);
    if (control == NULL || done != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return done;
    atomic_fetch_add(&control[CLOCKS], 1);
    int64_t ms = get(CLOCK_MS);
    int64_t nanos = now->tv_nsec + ms % 1000 * 1000000;
    now->tv_sec += ms / 1000 + (nanos >= 1000000000) - (nanos < 0);
    now->tv_nsec = (nanos + 1000000000) % 1000000000;
    return done;
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    struct timespec is;
    int done = clock_gettime(CLOCK_REALTIME, &is);
    now->tv_sec = is.tv_sec;
    now->tv_usec = is.tv_nsec / 1000;
    return done;
}

time_t time(time_t *at) {
    struct timespec is;
    clock_gettime(CLOCK_REALTIME, &is);
    if (at != NULL) *at = is.tv_sec;
    return is.tv_sec;
}
