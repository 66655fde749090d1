#ifndef REPL_CLINUX_SHIM_H
#define REPL_CLINUX_SHIM_H

// Linux calls and constants that Swift cannot reach through Glibc. Each function returns what the call returns;
// the caller reads errno at once.

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// openat2 has no wrapper in glibc 2.36. `beneath` adds RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS.
int repl_openat_beneath(int directory, const char *path, int flags, unsigned mode);

// fallocate's FALLOC_FL_* are macros with casts in some headers: fixed here.
int repl_punch_hole(int fd, int64_t offset, int64_t length);

// fallocate without flags: reserves space, and makes the file as large where it is smaller.
int repl_reserve(int fd, int64_t offset, int64_t length);

// O_DIRECT hides behind _GNU_SOURCE: opens beneath the directory and reads once, past the cache; -1 with errno.
int repl_read_directly(int directory, const char *name, void *buffer, size_t length, int64_t offset);

// lseek's SEEK_DATA and SEEK_HOLE hide behind _GNU_SOURCE.
int64_t repl_seek_data(int fd, int64_t offset);
int64_t repl_seek_hole(int fd, int64_t offset);

// st_mtim is a macro-rich struct: nanoseconds as one number each.
struct repl_file_status {
  uint64_t device, inode, link_count, special;
  int64_t size_bytes, allocated_bytes, modified_ns, changed_ns;
  uint32_t mode, uid;
};
int repl_fstat(int fd, struct repl_file_status *status);

// pthread_setname_np hides behind _GNU_SOURCE.
void repl_name_current_thread(const char *name);

// F_OFD_GETLK hides behind _GNU_SOURCE: 1 when anyone holds a lock in the range, 0 when none does, -1 with errno.
int repl_range_is_locked(int fd, int64_t offset, int64_t length);

// BLKGETSIZE64 is a macro that Swift cannot read: the bytes of a block device, -1 with errno.
int64_t repl_device_size(int fd);

// BLKSSZGET and BLKROGET are such macros too: bytes of a logical sector; 1 when nothing may be written; -1 with errno.
int repl_device_sector_bytes(int fd);
int repl_device_is_read_only(int fd);

// FICLONE is such a macro too: makes the file share all blocks of `source`.
int repl_clone_file(int fd, int source);

// FIEMAP is such a macro too, and its answer has a flexible array: the extents of the file that touch the range, at most
// `capacity` of them, after what is dirty was written out. How many there are, -1 with errno.
struct repl_extent {
  uint64_t logical, physical, length;
  uint32_t flags;
};
int repl_file_extents(int fd, uint64_t offset, uint64_t length, struct repl_extent *extents, uint32_t capacity);

// struct statfs is not in Swift's Glibc: the magic number of the file system that holds fd, -1 with errno.
int64_t repl_filesystem_type(int fd);

// iconv's state is a pointer; one call does it all. Answers the bytes written (UTF-8), -1 when the bytes are no text in
// the character set, -2 when this machine cannot convert it, -3 when `capacity` is too small.
int64_t repl_convert_to_utf8(const char *charset, const uint8_t *bytes, size_t count, uint8_t *text, size_t capacity);

// POSIX_FADV_DONTNEED differs between architectures: drops clean pages of the range from the page cache; the error
// number, 0 for none.
int repl_forget_cached(int fd, int64_t offset, int64_t length);

// Opens the file behind fd once more, with O_DIRECT, for reading; -1 with errno.
int repl_reopen_direct(int fd);

// Opens the file behind fd once more for reading, without read-ahead; -1 with errno.
int repl_reopen_random(int fd);

// Bytes of the range that the page cache holds: cachestat(2), Linux 6.5. -1 with errno where it is not there or refused.
int64_t repl_cached_bytes(int fd, int64_t offset, int64_t length);

// Whether the byte at `offset` is in the page cache: 1 or 0, -1 when the file system cannot tell. What is not there may be
// read into it by this, a page of it: preadv2(2) with RWF_NOWAIT.
int repl_is_cached(int fd, int64_t offset);

// sync_file_range(2) with SYNC_FILE_RANGE_WRITE, which hides behind _GNU_SOURCE: starts writing dirty pages, makes nothing
// durable.
void repl_start_writing(int fd, int64_t offset, int64_t length);

#endif
