// reference-pass: one whole replication pass in plain C, to measure ours against.
//
//   reference-pass receive PORT DISK CERTIFICATE KEY    serves passes, one after another, until it is killed
//   reference-pass send PORT DISK TABLE [direct]        one pass
//
// The same steps as ours and nothing besides: workers take chunks of 1 MiB from a shared cursor, test each
// block of 64 KiB for zeros, digest it (Poly1305 under a secret key), compare with the table of the last
// pass, find in a block that differs the sub-blocks of 4 KiB that do, and pack runs of them with zstd -1;
// one writer sends them over TLS 1.3; the receiver unpacks, writes, punches holes, fdatasyncs and
// acknowledges; then the table is replaced durably. What it lacks: recovery points, journal and undo,
// resuming, authentication of peers, sizes that change, limits.
//
// With "direct" the disk is read with O_DIRECT into huge-page buffers, past the page cache.
//
// TABLE: for each block 16 bytes of digest, then for each block 16 digests of 8 bytes of its sub-blocks.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum {
  CHUNK = 1 << 20,
  BLOCK = 64 << 10,
  SUB = 4 << 10,
  BLOCKS_PER_CHUNK = CHUNK / BLOCK,
  SUBS_PER_BLOCK = BLOCK / SUB,
  SUBS_PER_CHUNK = CHUNK / SUB,
  HUGE_PAGE = 2 << 20,
  // What is handed from one stage to the next: several runs, at least so many bytes.
  PARCEL = 512 << 10,
  PARCELS_WAITING = 8,
};

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "reference-pass: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  exit(1);
}

static bool is_zero(const unsigned char *bytes, size_t count) {
  return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

// MARK: The wire

enum kind { RAW = 0, PACKED = 1, ZERO = 2, END = 9 };

// Both ends are this program on this machine: a struct will do.
struct run_header {
  uint64_t offset; // END: the size of the disk
  uint32_t raw_bytes;
  uint32_t wire_bytes;
  uint32_t kind;
  uint32_t reserved;
};

static void send_all(SSL *tls, const void *bytes, size_t count) {
  size_t done = 0;
  while (count > 0) {
    if (SSL_write_ex(tls, bytes, count, &done) != 1) fail("the connection broke while sending");
    bytes = (const char *)bytes + done;
    count -= done;
  }
}

static bool receive_all(SSL *tls, void *bytes, size_t count) {
  size_t done = 0;
  while (count > 0) {
    if (SSL_read_ex(tls, bytes, count, &done) != 1) return false;
    bytes = (char *)bytes + done;
    count -= done;
  }
  return true;
}

// MARK: Parcels of runs, and the queue between two stages

struct parcel {
  struct parcel *next;
  size_t used;
  unsigned char bytes[PARCEL + CHUNK + sizeof(struct run_header)];
};

struct queue {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  struct parcel *first, *last;
  int count;
  bool is_closed;
};

static struct queue parcels = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct parcel *new_parcel(void) {
  struct parcel *parcel = malloc(sizeof *parcel);
  if (!parcel) fail("out of memory");
  parcel->next = NULL;
  parcel->used = 0;
  return parcel;
}

static void push(struct queue *queue, struct parcel *parcel) {
  pthread_mutex_lock(&queue->mutex);
  while (queue->count >= PARCELS_WAITING) pthread_cond_wait(&queue->changed, &queue->mutex);
  if (queue->last) queue->last->next = parcel;
  else queue->first = parcel;
  queue->last = parcel;
  queue->count++;
  pthread_cond_broadcast(&queue->changed);
  pthread_mutex_unlock(&queue->mutex);
}

// NULL when the queue is closed and empty.
static struct parcel *pop(struct queue *queue) {
  pthread_mutex_lock(&queue->mutex);
  while (!queue->first && !queue->is_closed) pthread_cond_wait(&queue->changed, &queue->mutex);
  struct parcel *parcel = queue->first;
  if (parcel) {
    queue->first = parcel->next;
    if (!queue->first) queue->last = NULL;
    queue->count--;
    pthread_cond_broadcast(&queue->changed);
  }
  pthread_mutex_unlock(&queue->mutex);
  return parcel;
}

static void set_closed(struct queue *queue, bool is_closed) {
  pthread_mutex_lock(&queue->mutex);
  queue->is_closed = is_closed;
  pthread_cond_broadcast(&queue->changed);
  pthread_mutex_unlock(&queue->mutex);
}

// MARK: The sender

struct digest {
  uint64_t low, high;
};

struct table {
  struct digest *blocks;
  uint64_t *subs;
};

static struct {
  const char *path;
  bool is_direct;
  size_t size_bytes;
  size_t block_count;
  struct table old, new;
  bool has_old;
  size_t cursor; // the next chunk's offset
  size_t wire_bytes;
} pass;

// What one worker owns.
struct worker {
  int file;
  unsigned char *chunk;
  EVP_MAC_CTX *mac;
  ZSTD_CCtx *packer;
  struct parcel *parcel;
};

static struct digest digest(struct worker *worker, const unsigned char *bytes, size_t count) {
  static const unsigned char key[32] = {7};
  struct digest tag;
  size_t length = 0;
  if (EVP_MAC_init(worker->mac, key, sizeof key, NULL) != 1 ||
      EVP_MAC_update(worker->mac, bytes, count) != 1 ||
      EVP_MAC_final(worker->mac, (unsigned char *)&tag, &length, sizeof tag) != 1)
    fail("Poly1305 failed");
  if (tag.low == 0 && tag.high == 0) tag.low = 1;
  return tag;
}

static void add_run(struct worker *worker, uint64_t offset, const unsigned char *bytes, size_t count,
                    bool zero) {
  if (!worker->parcel) worker->parcel = new_parcel();
  struct parcel *parcel = worker->parcel;
  struct run_header header = {.offset = offset, .raw_bytes = count, .kind = ZERO};
  unsigned char *body = parcel->bytes + parcel->used + sizeof header;
  if (!zero) {
    size_t packed = ZSTD_compressCCtx(worker->packer, body, count - count / 16, bytes, count, 1);
    header.kind = ZSTD_isError(packed) ? RAW : PACKED;
    header.wire_bytes = ZSTD_isError(packed) ? count : packed;
    if (header.kind == RAW) memcpy(body, bytes, count);
  }
  memcpy(body - sizeof header, &header, sizeof header);
  parcel->used += sizeof header + header.wire_bytes;
  if (parcel->used >= PARCEL) {
    push(&parcels, parcel);
    worker->parcel = NULL;
  }
}

enum state { SAME, DATA, ZEROED };

// The states of a block's sub-blocks; the new table's entries for them.
static void look_at_block(struct worker *worker, const unsigned char *bytes, size_t index,
                          enum state *states) {
  struct digest tag = {0, 0};
  bool zero = is_zero(bytes, BLOCK);
  if (!zero) tag = digest(worker, bytes, BLOCK);
  struct digest before = pass.has_old ? pass.old.blocks[index] : (struct digest){0, 0};
  const uint64_t *subs_before = pass.old.subs + index * SUBS_PER_BLOCK;
  uint64_t *subs = pass.new.subs + index * SUBS_PER_BLOCK;
  pass.new.blocks[index] = tag;
  if (tag.low == before.low && tag.high == before.high) {
    if (pass.has_old) memcpy(subs, subs_before, SUBS_PER_BLOCK * sizeof *subs);
    return;
  }
  for (int sub = 0; sub < SUBS_PER_BLOCK; sub++) {
    const unsigned char *start = bytes + sub * SUB;
    bool sub_zero = zero || is_zero(start, SUB);
    subs[sub] = sub_zero ? 0 : digest(worker, start, SUB).low;
    if (subs[sub] != (pass.has_old ? subs_before[sub] : 0)) states[sub] = sub_zero ? ZEROED : DATA;
  }
}

static void look_at_chunk(struct worker *worker, size_t offset, size_t count) {
  enum state states[SUBS_PER_CHUNK] = {SAME};
  for (size_t block = 0; block * BLOCK < count; block++)
    look_at_block(worker, worker->chunk + block * BLOCK, offset / BLOCK + block,
                  states + block * SUBS_PER_BLOCK);
  size_t subs = count / SUB;
  for (size_t first = 0; first < subs;) {
    size_t end = first + 1;
    while (end < subs && states[end] == states[first]) end++;
    if (states[first] != SAME)
      add_run(worker, offset + first * SUB, worker->chunk + first * SUB, (end - first) * SUB,
              states[first] == ZEROED);
    first = end;
  }
}

// A hole of the file reads as zeros and need not be read where the table has zeros too.
static bool is_hole_as_before(struct worker *worker, size_t offset, size_t count) {
  off_t data = lseek(worker->file, (off_t)offset, SEEK_DATA);
  if (data != -1 && (size_t)data < offset + count) return false;
  if (data == -1 && errno != ENXIO) return false;
  if (!pass.has_old) return true;
  const struct digest *blocks = pass.old.blocks + offset / BLOCK;
  return is_zero((const unsigned char *)blocks, count / BLOCK * sizeof *blocks);
}

static void *scan(void *unused) {
  (void)unused;
  struct worker worker = {0};
  worker.file = open(pass.path, O_RDONLY | (pass.is_direct ? O_DIRECT : 0));
  if (worker.file == -1) fail("%s: %s", pass.path, strerror(errno));
  worker.chunk = aligned_alloc(HUGE_PAGE, HUGE_PAGE);
  if (!worker.chunk) fail("out of memory");
  if (pass.is_direct) madvise(worker.chunk, HUGE_PAGE, MADV_HUGEPAGE);
  memset(worker.chunk, 1, CHUNK);
  EVP_MAC *mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);
  worker.mac = EVP_MAC_CTX_new(mac);
  worker.packer = ZSTD_createCCtx();
  if (!worker.mac || !worker.packer) fail("no Poly1305 or no zstd");
  for (;;) {
    size_t offset = __atomic_fetch_add(&pass.cursor, CHUNK, __ATOMIC_RELAXED);
    if (offset >= pass.size_bytes) break;
    size_t count = pass.size_bytes - offset < CHUNK ? pass.size_bytes - offset : CHUNK;
    if (is_hole_as_before(&worker, offset, count)) continue;
    if (pread(worker.file, worker.chunk, count, (off_t)offset) != (ssize_t)count)
      fail("%s: offset %zu cannot be read: %s", pass.path, offset, strerror(errno));
    look_at_chunk(&worker, offset, count);
  }
  if (worker.parcel) push(&parcels, worker.parcel);
  ZSTD_freeCCtx(worker.packer);
  EVP_MAC_CTX_free(worker.mac);
  EVP_MAC_free(mac);
  free(worker.chunk);
  close(worker.file);
  return NULL;
}

static void *write_parcels(void *tls) {
  struct parcel *parcel;
  while ((parcel = pop(&parcels))) {
    send_all(tls, parcel->bytes, parcel->used);
    pass.wire_bytes += parcel->used;
    free(parcel);
  }
  return NULL;
}

static size_t table_bytes(void) {
  return pass.block_count * (sizeof(struct digest) + SUBS_PER_BLOCK * sizeof(uint64_t));
}

static struct table table_at(void *bytes) {
  return (struct table){bytes, (uint64_t *)((struct digest *)bytes + pass.block_count)};
}

static void load_table(const char *path) {
  pass.new = table_at(calloc(1, table_bytes()));
  pass.old = pass.new;
  int file = open(path, O_RDONLY);
  if (file == -1) return;
  void *bytes = malloc(table_bytes());
  if (read(file, bytes, table_bytes()) != (ssize_t)table_bytes())
    fail("%s: is not of this disk: remove it", path);
  pass.old = table_at(bytes);
  pass.has_old = true;
  close(file);
}

// After the acknowledgement only.
static void replace_table(const char *path) {
  char aside[4096], folder[4096];
  snprintf(aside, sizeof aside, "%s.new", path);
  snprintf(folder, sizeof folder, "%s", path);
  int file = open(aside, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file == -1 || write(file, pass.new.blocks, table_bytes()) != (ssize_t)table_bytes() ||
      fdatasync(file) != 0 || close(file) != 0 || rename(aside, path) != 0)
    fail("%s: %s", path, strerror(errno));
  int directory = open(dirname(folder), O_RDONLY | O_DIRECTORY);
  if (directory == -1 || fsync(directory) != 0) fail("%s: %s", folder, strerror(errno));
  close(directory);
}

static void no_delay(int socket) {
  int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static int send_pass(int port, const char *disk, const char *table, bool is_direct) {
  struct stat status;
  if (stat(disk, &status) != 0) fail("%s: %s", disk, strerror(errno));
  if (status.st_size % BLOCK != 0) fail("%s: the size must be a multiple of 64 KiB", disk);
  pass.path = disk;
  pass.is_direct = is_direct;
  pass.size_bytes = (size_t)status.st_size;
  pass.block_count = pass.size_bytes / BLOCK;
  load_table(table);

  struct sockaddr_in address = loopback(port);
  int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(connection, (struct sockaddr *)&address, sizeof address) != 0)
    fail("port %d: %s", port, strerror(errno));
  no_delay(connection);
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
  SSL *tls = SSL_new(context);
  SSL_set_fd(tls, connection);
  if (SSL_connect(tls) != 1) fail("port %d: no TLS", port);

  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  int count = cores < 1 ? 1 : cores > 4 ? 4 : (int)cores;
  pthread_t writer, workers[4];
  pthread_create(&writer, NULL, write_parcels, tls);
  for (int i = 0; i < count; i++) pthread_create(&workers[i], NULL, scan, NULL);
  for (int i = 0; i < count; i++) pthread_join(workers[i], NULL);
  set_closed(&parcels, true);
  pthread_join(writer, NULL);

  struct run_header end = {.offset = pass.size_bytes, .kind = END};
  char acknowledgement;
  send_all(tls, &end, sizeof end);
  if (!receive_all(tls, &acknowledgement, 1)) fail("the receiver did not acknowledge");
  replace_table(table);
  SSL_shutdown(tls);
  printf("%zu bytes\n", pass.wire_bytes);
  return 0;
}

// MARK: The receiver

static int disk_file;

static void apply(const struct run_header *header, const unsigned char *body, unsigned char *room,
                  ZSTD_DCtx *unpacker) {
  off_t offset = (off_t)header->offset;
  if (header->kind == ZERO) {
    if (fallocate(disk_file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, header->raw_bytes) == 0)
      return;
    memset(room, 0, header->raw_bytes);
    body = room;
  } else if (header->kind == PACKED) {
    size_t count = ZSTD_decompressDCtx(unpacker, room, header->raw_bytes, body, header->wire_bytes);
    if (count != header->raw_bytes) fail("a run at %llu does not unpack", (unsigned long long)header->offset);
    body = room;
  }
  if (pwrite(disk_file, body, header->raw_bytes, offset) != (ssize_t)header->raw_bytes)
    fail("the disk cannot be written: %s", strerror(errno));
}

static void *apply_parcels(void *unused) {
  (void)unused;
  unsigned char *room = malloc(CHUNK);
  ZSTD_DCtx *unpacker = ZSTD_createDCtx();
  struct parcel *parcel;
  while ((parcel = pop(&parcels))) {
    struct run_header header;
    for (size_t place = 0; place < parcel->used; place += sizeof header + header.wire_bytes) {
      memcpy(&header, parcel->bytes + place, sizeof header);
      apply(&header, parcel->bytes + place + sizeof header, room, unpacker);
    }
    free(parcel);
  }
  ZSTD_freeDCtx(unpacker);
  free(room);
  return NULL;
}

static void receive_pass(SSL *tls) {
  set_closed(&parcels, false);
  pthread_t applier;
  pthread_create(&applier, NULL, apply_parcels, NULL);
  struct parcel *parcel = new_parcel();
  struct run_header header;
  for (;;) {
    if (!receive_all(tls, &header, sizeof header)) fail("the sender went away");
    if (header.kind == END) break;
    if (header.raw_bytes > CHUNK || header.wire_bytes > CHUNK) fail("a run of %u bytes", header.raw_bytes);
    unsigned char *body = parcel->bytes + parcel->used + sizeof header;
    memcpy(body - sizeof header, &header, sizeof header);
    if (header.wire_bytes > 0 && !receive_all(tls, body, header.wire_bytes)) fail("the sender went away");
    parcel->used += sizeof header + header.wire_bytes;
    if (parcel->used < PARCEL) continue;
    push(&parcels, parcel);
    parcel = new_parcel();
  }
  push(&parcels, parcel);
  set_closed(&parcels, true);
  pthread_join(applier, NULL);
  struct stat status;
  if (fstat(disk_file, &status) != 0) fail("the disk: %s", strerror(errno));
  if (status.st_size != (off_t)header.offset && ftruncate(disk_file, (off_t)header.offset) != 0)
    fail("the disk cannot be resized: %s", strerror(errno));
  if (fdatasync(disk_file) != 0) fail("the disk cannot be synced: %s", strerror(errno));
  send_all(tls, "k", 1);
  char nothing;
  receive_all(tls, &nothing, 1);
}

static _Noreturn void serve(int port, const char *disk, const char *certificate, const char *key) {
  signal(SIGPIPE, SIG_IGN);
  disk_file = open(disk, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (disk_file == -1) fail("%s: %s", disk, strerror(errno));
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, 128 << 10);
  if (SSL_CTX_use_certificate_file(context, certificate, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
    fail("%s, %s: not a certificate and its key", certificate, key);
  struct sockaddr_in address = loopback(port);
  int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 8) != 0)
    fail("port %d: %s", port, strerror(errno));
  for (;;) {
    int connection = accept(listener, NULL, NULL);
    if (connection == -1) fail("accept: %s", strerror(errno));
    no_delay(connection);
    SSL *tls = SSL_new(context);
    SSL_set_fd(tls, connection);
    // Whoever only asks whether the port is open has no TLS to offer.
    if (SSL_accept(tls) == 1) receive_pass(tls);
    SSL_free(tls);
    close(connection);
  }
}

int main(int count, char **arguments) {
  if (count == 6 && !strcmp(arguments[1], "receive"))
    serve(atoi(arguments[2]), arguments[3], arguments[4], arguments[5]);
  if (count == 5 || (count == 6 && !strcmp(arguments[5], "direct")))
    if (!strcmp(arguments[1], "send"))
      return send_pass(atoi(arguments[2]), arguments[3], arguments[4], count == 6);
  fprintf(stderr, "usage: reference-pass receive PORT DISK CERTIFICATE KEY\n"
                  "       reference-pass send PORT DISK TABLE [direct]\n");
  return 64;
}
