#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

int repl_openat_beneath(int directory, const char *path, int flags, unsigned mode) {
  struct open_how how;
  memset(&how, 0, sizeof how);
  how.flags = (uint64_t)(unsigned)flags | O_CLOEXEC | O_NONBLOCK;
  how.mode = (flags & O_CREAT) ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  int fd;
  // The kernel answers EAGAIN when a rename races with a beneath lookup: openat2(2) says to try again.
  for (int attempt = 0; attempt < 64; attempt++) {
    fd = (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) break;
  }
  return fd;
}

int repl_punch_hole(int fd, int64_t offset, int64_t length) {
  return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

int repl_reserve(int fd, int64_t offset, int64_t length) { return fallocate(fd, 0, offset, length); }

int repl_read_directly(int directory, const char *name, void *buffer, size_t length, int64_t offset) {
  int fd = repl_openat_beneath(directory, name, O_RDONLY | O_NOFOLLOW | O_DIRECT, 0);
  if (fd < 0) return -1;
  ssize_t count = pread(fd, buffer, length, offset);
  int code = count < 0 ? errno : EIO;
  close(fd);
  if (count == (ssize_t)length) return 0;
  errno = code;
  return -1;
}

int64_t repl_seek_data(int fd, int64_t offset) { return lseek(fd, offset, SEEK_DATA); }

int64_t repl_seek_hole(int fd, int64_t offset) { return lseek(fd, offset, SEEK_HOLE); }

int repl_fstat(int fd, struct repl_file_status *status) {
  struct stat s;
  if (fstat(fd, &s) != 0) return -1;
  status->device = s.st_dev;
  status->inode = s.st_ino;
  status->link_count = s.st_nlink;
  status->special = s.st_rdev;
  status->size_bytes = s.st_size;
  status->allocated_bytes = (int64_t)s.st_blocks * 512;
  status->modified_ns = (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
  status->changed_ns = (int64_t)s.st_ctim.tv_sec * 1000000000 + s.st_ctim.tv_nsec;
  status->mode = s.st_mode;
  status->uid = s.st_uid;
  return 0;
}

void repl_name_current_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int repl_range_is_locked(int fd, int64_t offset, int64_t length) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = offset;
  lock.l_len = length;
  if (fcntl(fd, F_OFD_GETLK, &lock) != 0) return -1;
  return lock.l_type == F_UNLCK ? 0 : 1;
}

int64_t repl_device_size(int fd) {
  uint64_t size = 0;
  if (ioctl(fd, BLKGETSIZE64, &size) != 0) return -1;
  if (size > INT64_MAX) {
    errno = EOVERFLOW;
    return -1;
  }
  return (int64_t)size;
}

int repl_device_sector_bytes(int fd) {
  int size = 0;
  return ioctl(fd, BLKSSZGET, &size) == 0 ? size : -1;
}

int repl_device_is_read_only(int fd) {
  int flag = 0;
  return ioctl(fd, BLKROGET, &flag) == 0 ? flag != 0 : -1;
}

int repl_clone_file(int fd, int source) { return ioctl(fd, FICLONE, source); }

int64_t repl_convert_to_utf8(const char *charset, const uint8_t *bytes, size_t count, uint8_t *text, size_t capacity) {
  iconv_t state = iconv_open("UTF-8", charset);
  if (state == (iconv_t)-1) return -2;
  char *in = (char *)bytes, *out = (char *)text;
  size_t left = count, room = capacity;
  int64_t result = (int64_t)iconv(state, &in, &left, &out, &room);
  // The second call writes what a stateful character set still holds back.
  if (result == 0) result = (int64_t)iconv(state, NULL, NULL, &out, &room);
  if (result == 0 && left == 0) result = (int64_t)(capacity - room);
  else result = errno == E2BIG ? -3 : -1;
  iconv_close(state);
  return result;
}

int64_t repl_filesystem_type(int fd) {
  struct statfs status;
  if (fstatfs(fd, &status) != 0) return -1;
  return (int64_t)(uint32_t)status.f_type;
}

int repl_forget_cached(int fd, int64_t offset, int64_t length) {
  return posix_fadvise(fd, offset, length, POSIX_FADV_DONTNEED);
}

static int reopen(int fd, int flags) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
}

int repl_reopen_direct(int fd) { return reopen(fd, O_DIRECT); }

int repl_reopen_random(int fd) {
  int opened = reopen(fd, 0);
  if (opened >= 0) posix_fadvise(opened, 0, 0, POSIX_FADV_RANDOM);
  return opened;
}

// Not in the headers of older systems: the numbers and structures of linux/mman.h; the same on all architectures.
#define REPL_SYS_CACHESTAT 451
struct repl_cachestat_range { uint64_t offset, length; };
struct repl_cachestat { uint64_t cached, dirty, writeback, evicted, recently_evicted; };

int64_t repl_cached_bytes(int fd, int64_t offset, int64_t length) {
  struct repl_cachestat_range range = {(uint64_t)offset, (uint64_t)length};
  struct repl_cachestat found;
  if (syscall(REPL_SYS_CACHESTAT, fd, &range, &found, 0u) != 0) return -1;
  return (int64_t)found.cached * sysconf(_SC_PAGESIZE);
}

int repl_is_cached(int fd, int64_t offset) {
  char byte;
  struct iovec part = {&byte, 1};
  ssize_t count = preadv2(fd, &part, 1, offset, RWF_NOWAIT);
  if (count == 1) return 1;
  return count < 0 && errno == EAGAIN ? 0 : -1;
}

void repl_start_writing(int fd, int64_t offset, int64_t length) {
  sync_file_range(fd, offset, length, SYNC_FILE_RANGE_WRITE);
}
