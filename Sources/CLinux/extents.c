#include "shim.h"

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>

int repl_file_extents(int fd, uint64_t offset, uint64_t length, struct repl_extent *extents, uint32_t capacity) {
  struct fiemap *map = calloc(1, sizeof *map + (size_t)capacity * sizeof map->fm_extents[0]);
  if (!map) {
    errno = ENOMEM;
    return -1;
  }
  map->fm_start = offset;
  map->fm_length = length;
  map->fm_flags = FIEMAP_FLAG_SYNC;
  map->fm_extent_count = capacity;
  int result = ioctl(fd, FS_IOC_FIEMAP, map);
  int code = errno;
  if (result == 0) {
    uint32_t count = map->fm_mapped_extents < capacity ? map->fm_mapped_extents : capacity;
    for (uint32_t i = 0; i < count; i++) {
      extents[i].logical = map->fm_extents[i].fe_logical;
      extents[i].physical = map->fm_extents[i].fe_physical;
      extents[i].length = map->fm_extents[i].fe_length;
      extents[i].flags = map->fm_extents[i].fe_flags;
    }
    result = (int)count;
  }
  free(map);
  errno = code;
  return result;
}
