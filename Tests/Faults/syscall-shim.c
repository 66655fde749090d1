// syscall-shim: lets one file operation of a program go wrong.
//
// Preloaded into a program that links glibc dynamically (LD_PRELOAD), it counts every call that changes files
// beneath given folders, and does something to the n-th:
//
//   VMREPL_SHIM_BENEATH  folders, separated by colons; calls on anything else are neither counted nor touched
//   VMREPL_SHIM_REPORT   a file: every counted call appends "n call path", and the one that was met
//                        "fault n call path" before it takes effect
//   VMREPL_SHIM_AT       n, counted from 1; absent or 0: only count
//   VMREPL_SHIM_FAULT    what happens to the n-th call, or to the first one after it that can have it:
//     kill-before        the process is killed instead of the call
//     kill-after         the call is made, then the process is killed
//     torn               half of a write is done, then the process is killed
//     short              a write does half and says so; the program must go on by itself
//     error:E            the call fails once with the errno E (a number); for kinds see below
//   VMREPL_SHIM_ONLY     kinds that can have the fault, a subset of the letters
//                        w write, s sync, r rename, u unlink, t truncate, a allocate, d mkdir, c create,
//                        l link or clone; absent: all
//
// Calls are counted per process. Programs that this one starts are left alone.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum fault { NOTHING, KILL_BEFORE, KILL_AFTER, TORN, SHORT, FAIL };

static enum fault wanted = NOTHING;
static int wanted_errno;
static long at;
static char only[32];
static char beneath[4096];
static int report = -1;
static long counter;
static int is_spent;

// The functions behind ours; the first call of a function finds the next one of its name.
#define NEXT(name)                                                  \
  static __typeof__(&name) next;                                    \
  if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  const char *folders = getenv("VMREPL_SHIM_BENEATH");
  if (!folders || strlen(folders) + 1 > sizeof beneath) return;
  const char *place = getenv("VMREPL_SHIM_AT"), *kinds = getenv("VMREPL_SHIM_ONLY");
  const char *fault = getenv("VMREPL_SHIM_FAULT"), *path = getenv("VMREPL_SHIM_REPORT");
  if (place) at = atol(place);
  if (kinds) strncpy(only, kinds, sizeof only - 1);
  if (path) report = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fault && at > 0) {
    if (!strcmp(fault, "kill-before")) wanted = KILL_BEFORE;
    else if (!strcmp(fault, "kill-after")) wanted = KILL_AFTER;
    else if (!strcmp(fault, "torn")) wanted = TORN;
    else if (!strcmp(fault, "short")) wanted = SHORT;
    else if (!strncmp(fault, "error:", 6)) wanted = FAIL, wanted_errno = atoi(fault + 6);
    else abort();
  }
  unsetenv("LD_PRELOAD");
  strcpy(beneath, folders);
}

static int is_beneath(const char *path) {
  for (const char *folder = beneath; *folder;) {
    size_t length = strcspn(folder, ":");
    if (!strncmp(path, folder, length) && (path[length] == '/' || path[length] == 0)) return 1;
    folder += length + (folder[length] == ':');
  }
  return 0;
}

static int path_of(int fd, char *path, size_t capacity) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, capacity - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return 1;
}

static int path_at(int directory, const char *name, char *path, size_t capacity) {
  if (name[0] == '/' || directory == AT_FDCWD) return snprintf(path, capacity, "%s", name) < (int)capacity;
  if (!path_of(directory, path, capacity)) return 0;
  size_t length = strlen(path);
  return snprintf(path + length, capacity - length, "/%s", name) < (int)(capacity - length);
}

static void say(const char *prefix, long n, const char *call, const char *path) {
  if (report < 0) return;
  char line[5120];
  int length = snprintf(line, sizeof line, "%s%ld %s %s\n", prefix, n, call, path);
  if (length > 0) (void)!syscall(SYS_write, report, line, (size_t)length);
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

// Counts a call; answers what is to happen to it.
static enum fault meet(char kind, const char *call, const char *path, size_t bytes) {
  if (!beneath[0] || !is_beneath(path)) return NOTHING;
  long n = __sync_add_and_fetch(&counter, 1);
  say("", n, call, path);
  if (wanted == NOTHING || n < at || (only[0] && !strchr(only, kind))) return NOTHING;
  if ((wanted == TORN || wanted == SHORT) && (kind != 'w' || bytes < 2)) return NOTHING;
  if (__sync_lock_test_and_set(&is_spent, 1)) return NOTHING;
  say("fault ", n, call, path);
  if (wanted == KILL_BEFORE) die();
  return wanted;
}

static enum fault meet_fd(char kind, const char *call, int fd, size_t bytes) {
  int saved = errno;
  char path[4096];
  enum fault fault = beneath[0] && path_of(fd, path, sizeof path) ? meet(kind, call, path, bytes) : NOTHING;
  errno = saved;
  return fault;
}

static enum fault meet_at(char kind, const char *call, int directory, const char *name) {
  int saved = errno;
  char path[4096];
  int is_known = beneath[0] && path_at(directory, name, path, sizeof path);
  enum fault fault = is_known ? meet(kind, call, path, 0) : NOTHING;
  errno = saved;
  return fault;
}

// A call that is no write: fails, or is made and perhaps followed by the end.
#define PLAIN(meeting, result_type, call_expression) \
  do {                                             \
    enum fault met = (meeting);                     \
    if (met == FAIL) {                             \
      errno = wanted_errno;                        \
      return -1;                                   \
    }                                              \
    result_type result = call_expression;          \
    if (met == KILL_AFTER) die();                  \
    return result;                                 \
  } while (0)

// A write of `count` bytes; `call_expression(n)` writes n of them.
#define WRITE(meeting, count, call_expression)                 \
  do {                                                       \
    enum fault met = (meeting);                               \
    if (met == FAIL) {                                       \
      errno = wanted_errno;                                  \
      return -1;                                             \
    }                                                        \
    size_t length = met == TORN || met == SHORT ? (count) / 2 : (count); \
    ssize_t result = call_expression;                        \
    if (met == TORN || met == KILL_AFTER) die();             \
    return result;                                           \
  } while (0)

ssize_t pwrite(int fd, const void *buffer, size_t count, off_t offset) {
  NEXT(pwrite);
  WRITE(meet_fd('w', "pwrite", fd, count), count, next(fd, buffer, length, offset));
}

ssize_t pwrite64(int fd, const void *buffer, size_t count, off64_t offset) {
  NEXT(pwrite64);
  WRITE(meet_fd('w', "pwrite", fd, count), count, next(fd, buffer, length, offset));
}

ssize_t write(int fd, const void *buffer, size_t count) {
  NEXT(write);
  WRITE(meet_fd('w', "write", fd, count), count, next(fd, buffer, length));
}

ssize_t writev(int fd, const struct iovec *vectors, int count) {
  NEXT(writev);
  // One vector of several is half of it.
  PLAIN(meet_fd('w', "writev", fd, 0), ssize_t, next(fd, vectors, count));
}

int fsync(int fd) {
  NEXT(fsync);
  PLAIN(meet_fd('s', "fsync", fd, 0), int, next(fd));
}

int fdatasync(int fd) {
  NEXT(fdatasync);
  PLAIN(meet_fd('s', "fdatasync", fd, 0), int, next(fd));
}

int ftruncate(int fd, off_t size) {
  NEXT(ftruncate);
  PLAIN(meet_fd('t', "ftruncate", fd, 0), int, next(fd, size));
}

int ftruncate64(int fd, off64_t size) {
  NEXT(ftruncate64);
  PLAIN(meet_fd('t', "ftruncate", fd, 0), int, next(fd, size));
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
  NEXT(fallocate);
  PLAIN(meet_fd('a', "fallocate", fd, 0), int, next(fd, mode, offset, length));
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
  NEXT(fallocate64);
  PLAIN(meet_fd('a', "fallocate", fd, 0), int, next(fd, mode, offset, length));
}

int rename(const char *from, const char *to) {
  NEXT(rename);
  PLAIN(meet_at('r', "rename", AT_FDCWD, to), int, next(from, to));
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
  NEXT(renameat);
  PLAIN(meet_at('r', "renameat", to_directory, to), int, next(from_directory, from, to_directory, to));
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
  NEXT(renameat2);
  PLAIN(meet_at('r', "renameat2", to_directory, to), int, next(from_directory, from, to_directory, to, flags));
}

int unlink(const char *path) {
  NEXT(unlink);
  PLAIN(meet_at('u', "unlink", AT_FDCWD, path), int, next(path));
}

int unlinkat(int directory, const char *name, int flags) {
  NEXT(unlinkat);
  PLAIN(meet_at('u', "unlinkat", directory, name), int, next(directory, name, flags));
}

int mkdir(const char *path, mode_t mode) {
  NEXT(mkdir);
  PLAIN(meet_at('d', "mkdir", AT_FDCWD, path), int, next(path, mode));
}

int mkdirat(int directory, const char *name, mode_t mode) {
  NEXT(mkdirat);
  PLAIN(meet_at('d', "mkdirat", directory, name), int, next(directory, name, mode));
}

int link(const char *from, const char *to) {
  NEXT(link);
  PLAIN(meet_at('l', "link", AT_FDCWD, to), int, next(from, to));
}

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags) {
  NEXT(linkat);
  PLAIN(meet_at('l', "linkat", to_directory, to), int, next(from_directory, from, to_directory, to, flags));
}

// Opening counts where it may create.
#define OPEN(name)                                                                   \
  int name(const char *path, int flags, ...) {                                       \
    NEXT(name);                                                                      \
    va_list list;                                                                    \
    va_start(list, flags);                                                           \
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;        \
    va_end(list);                                                                    \
    if (!(flags & O_CREAT)) return next(path, flags, mode);                          \
    PLAIN(meet_at('c', #name, AT_FDCWD, path), int, next(path, flags, mode));        \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                 \
  int name(int directory, const char *path, int flags, ...) {                        \
    NEXT(name);                                                                      \
    va_list list;                                                                    \
    va_start(list, flags);                                                           \
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;        \
    va_end(list);                                                                    \
    if (!(flags & O_CREAT)) return next(directory, path, flags, mode);               \
    PLAIN(meet_at('c', #name, directory, path), int, next(directory, path, flags, mode)); \
  }
OPENAT(openat)
OPENAT(openat64)

// glibc has no openat2: it is called by its number.
long syscall(long number, ...) {
  NEXT(syscall);
  va_list list;
  va_start(list, number);
  long a[6];
  for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_openat2 && ((const struct open_how *)a[2])->flags & O_CREAT)
    PLAIN(meet_at('c', "openat2", (int)a[0], (const char *)a[1]), long, next(number, a[0], a[1], a[2], a[3]));
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
