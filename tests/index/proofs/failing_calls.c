/* Makes the system calls that change files under one folder fail, or kill the process inside one of them.
 *
 * Preloaded before libc (LD_PRELOAD), it stands aside until `failing_calls_arm` chooses the folder and the number of
 * the call, counted from then on, that fails. Calls on other files never count. fwrite does not pass through
 * here, so what is proven must write with write(2); `failing_calls_written` lets a test see that nothing slipped by.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Kept equal to `Mode` in shim.py. */
enum mode { OFF, COUNT, ONCE, TORN, FULL, KILL };
enum verdict { PASS, FAIL, HALF };

static char folder[PATH_MAX];
static size_t folder_length;
static enum mode mode;
static long chosen, seen, failed;
static int torn;      /* The half of a torn write is on disk: the write that follows it fails. */
static int trace = -1; /* Where every call is named, one a line; -1 for nowhere. */

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void failing_calls_arm(const char *path, int how, long number, int trace_fd) {
    snprintf(folder, sizeof folder, "%s", path);
    folder_length = strlen(folder);
    chosen = number;
    seen = failed = torn = 0;
    trace = trace_fd;
    mode = how;
}

void failing_calls_disarm(void) { mode = OFF; }

long failing_calls_failed(void) { return failed; }

static int inside(const char *path) {
    return strncmp(path, folder, folder_length) == 0 && (path[folder_length] == '/' || path[folder_length] == '\0');
}

static void note(const char *call, size_t size, const char *path) {
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%s\t%zu\t%s\n", call, size, path);
    if (REAL(write)(trace, line, (size_t)length) != length)
        raise(SIGABRT);
}

static enum verdict refused(void) {
    failed++;
    return FAIL;
}

/* What becomes of the next call on `path`; `size` is the number of bytes to write, 0 for other calls. */
static enum verdict judge(const char *call, size_t size, const char *path) {
    if (mode == OFF || !inside(path))
        return PASS;
    seen++;
    if (trace >= 0)
        note(call, size, path);
    if (mode == COUNT)
        return PASS;
    if (mode == TORN && torn && size) {
        mode = COUNT;
        return refused();
    }
    if (seen < chosen || (seen > chosen && mode != FULL))
        return PASS;
    if (mode == KILL && size < 2)
        kill(getpid(), SIGKILL);
    if (seen == chosen && size >= 2 && mode != ONCE) {
        torn = 1;
        failed++;
        return HALF;
    }
    return refused();
}

static enum verdict judge_fd(const char *call, size_t size, int fd) {
    char link[64], path[PATH_MAX];
    if (mode == OFF)
        return PASS;
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = kept;
    if (length < 0)
        return PASS;
    path[length] = '\0';
    return judge(call, size, path);
}

static int fails_with(int error) {
    errno = error;
    return -1;
}

/* After the half of a write: a process that is to be killed ends here. */
static ssize_t halved(ssize_t result) {
    if (mode == KILL)
        kill(getpid(), SIGKILL);
    return result;
}

#define WRITING(name, parameters, size, whole, half)                 \
    ssize_t name parameters {                                        \
        switch (judge_fd(#name, size, fd)) {                         \
        case FAIL: return fails_with(ENOSPC);                        \
        case HALF: return halved(half);                              \
        default: return whole;                                       \
        }                                                            \
    }

WRITING(write, (int fd, const void *data, size_t size), size, REAL(write)(fd, data, size),
        REAL(write)(fd, data, size / 2))
WRITING(pwrite, (int fd, const void *data, size_t size, off_t at), size, REAL(pwrite)(fd, data, size, at),
        REAL(pwrite)(fd, data, size / 2, at))
WRITING(pwrite64, (int fd, const void *data, size_t size, off64_t at), size, REAL(pwrite64)(fd, data, size, at),
        REAL(pwrite64)(fd, data, size / 2, at))
WRITING(sendfile, (int fd, int from, off_t *at, size_t size), size, REAL(sendfile)(fd, from, at, size),
        REAL(sendfile)(fd, from, at, size / 2))
WRITING(sendfile64, (int fd, int from, off64_t *at, size_t size), size, REAL(sendfile64)(fd, from, at, size),
        REAL(sendfile64)(fd, from, at, size / 2))
WRITING(copy_file_range, (int from, off64_t *at, int fd, off64_t *to, size_t size, unsigned flags), size,
        REAL(copy_file_range)(from, at, fd, to, size, flags), REAL(copy_file_range)(from, at, fd, to, size / 2, flags))
WRITING(writev, (int fd, const struct iovec *parts, int count), (size_t)(count > 0 ? parts->iov_len : 0),
        REAL(writev)(fd, parts, count), REAL(write)(fd, parts->iov_base, parts->iov_len / 2))

#define ON_FD(name, parameters, error, ...)                                                        \
    int name parameters {                                                                          \
        return judge_fd(#name, 0, fd) == PASS ? REAL(name)(__VA_ARGS__) : fails_with(error);       \
    }

ON_FD(fsync, (int fd), EIO, fd)
ON_FD(fdatasync, (int fd), EIO, fd)
ON_FD(ftruncate, (int fd, off_t size), ENOSPC, fd, size)
ON_FD(ftruncate64, (int fd, off64_t size), ENOSPC, fd, size)

/* Renames and links fail in turn for want of space and by a bad disk. */
#define ON_PATH(name, parameters, path, error, ...)                                                \
    int name parameters {                                                                          \
        return judge(#name, 0, path) == PASS ? REAL(name)(__VA_ARGS__) : fails_with(error);        \
    }

#define EITHER (seen % 2 ? ENOSPC : EIO)
ON_PATH(rename, (const char *old, const char *new), new, EITHER, old, new)
ON_PATH(renameat, (int at, const char *old, int to, const char *new), new, EITHER, at, old, to, new)
ON_PATH(renameat2, (int at, const char *old, int to, const char *new, unsigned flags), new, EITHER, at, old, to, new,
        flags)
ON_PATH(link, (const char *old, const char *new), new, EITHER, old, new)
ON_PATH(linkat, (int at, const char *old, int to, const char *new, int flags), new, EITHER, at, old, to, new, flags)
ON_PATH(mkdir, (const char *path, mode_t bits), path, ENOSPC, path, bits)
ON_PATH(mkdirat, (int at, const char *path, mode_t bits), path, ENOSPC, at, path, bits)

#define OPENING(name, declared, ...)                                                               \
    int name declared {                                                                            \
        mode_t bits = 0;                                                                           \
        if (flags & O_CREAT) {                                                                     \
            va_list rest;                                                                          \
            va_start(rest, flags);                                                                 \
            bits = va_arg(rest, mode_t);                                                           \
            va_end(rest);                                                                          \
            if (judge(#name, 0, path) != PASS)                                                     \
                return fails_with(ENOSPC);                                                         \
        }                                                                                          \
        return REAL(name)(__VA_ARGS__, flags, bits);                                               \
    }

OPENING(open, (const char *path, int flags, ...), path)
OPENING(open64, (const char *path, int flags, ...), path)
OPENING(openat, (int at, const char *path, int flags, ...), at, path)
OPENING(openat64, (int at, const char *path, int flags, ...), at, path)
