// micro LOOP DATA DISK FOLDER: runs one loop of a pass in plain C and prints how many GB/s it does. The
// executable ReplBench has the same loops as the product does them, with the same arguments.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { PIECE = 512 << 10, CACHED = 1 << 20, CHUNK = 1 << 20, PAGE = 4 << 10, PAGES_PER_CHUNK = CHUNK / PAGE };
static const double SECONDS = 0.5;

static struct {
  unsigned char *data;
  size_t count;
  const char *disk;
  const char *folder;
} inputs;

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "micro: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

static void *reserve(size_t count) {
  void *bytes = aligned_alloc(4096, (count + 4095) / 4096 * 4096);
  if (!bytes) fail("out of memory");
  return bytes;
}

// GB/s of `turn`, which works on so many bytes and answers the seconds that count; the first turn warms up.
static double rate(size_t bytes, double (*turn)(void)) {
  turn();
  double elapsed = 0;
  size_t turns = 0;
  while (elapsed < SECONDS) {
    elapsed += turn();
    turns++;
  }
  return (double)bytes * (double)turns / elapsed / 1e9;
}

static bool is_zero(const unsigned char *bytes, size_t count) {
  return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

// MARK: Zero test and digests

static unsigned char *zeros;

static double zero_turn(void) {
  double start = now();
  size_t found = 0;
  for (int repeat = 0; repeat < 64; repeat++) {
    for (size_t offset = 0; offset < CACHED; offset += PAGE) found += is_zero(zeros + offset, PAGE);
    // Else the compiler does it once.
    __asm__ volatile("" : : "r"(zeros) : "memory");
  }
  if (found != 64 * CACHED / PAGE) fail("a zero page was missed");
  return now() - start;
}

static double zero_loop(void) {
  zeros = reserve(CACHED);
  memset(zeros, 0, CACHED);
  return rate((size_t)CACHED * 64, zero_turn);
}

struct digest {
  uint64_t low, high;
};

static EVP_MAC_CTX *new_mac(void) {
  EVP_MAC *mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);
  EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
  if (!context) fail("no Poly1305");
  EVP_MAC_free(mac);
  return context;
}

static struct digest digest(EVP_MAC_CTX *mac, const unsigned char *bytes, size_t count) {
  static const unsigned char key[32] = {7};
  struct digest tag;
  size_t length = 0;
  if (EVP_MAC_init(mac, key, sizeof key, NULL) != 1 || EVP_MAC_update(mac, bytes, count) != 1 ||
      EVP_MAC_final(mac, (unsigned char *)&tag, &length, sizeof tag) != 1)
    fail("Poly1305 failed");
  return tag;
}

static void digest_pages(EVP_MAC_CTX *mac, const unsigned char *bytes, size_t count, size_t page,
                         struct digest *to) {
  for (size_t offset = 0; offset < count; offset += page)
    to[offset / page] =
        is_zero(bytes + offset, page) ? (struct digest){0, 0} : digest(mac, bytes + offset, page);
}

static size_t digest_page_bytes;
static EVP_MAC_CTX *digest_mac;
static struct digest digests[CACHED / PAGE];

static double digest_turn(void) {
  double start = now();
  for (int repeat = 0; repeat < 16; repeat++)
    digest_pages(digest_mac, inputs.data, CACHED, digest_page_bytes, digests);
  return now() - start;
}

static double digest_loop(size_t page) {
  digest_page_bytes = page;
  digest_mac = new_mac();
  return rate((size_t)CACHED * 16, digest_turn);
}

static double digest_4k_loop(void) { return digest_loop(4 << 10); }
static double digest_64k_loop(void) { return digest_loop(64 << 10); }

// MARK: Codecs

static bool is_zstd;
static ZSTD_CCtx *zstd_packer;
static ZSTD_DCtx *zstd_unpacker;
static z_stream deflater, inflater;
static unsigned char *packed;
static size_t *packed_lengths;
static size_t packed_pieces;

// 0 when the piece does not become smaller.
static size_t pack(const unsigned char *bytes, unsigned char *to) {
  if (is_zstd) {
    size_t count = ZSTD_compressCCtx(zstd_packer, to, PIECE, bytes, PIECE, 1);
    return ZSTD_isError(count) ? 0 : count;
  }
  deflateReset(&deflater);
  deflater.next_in = (unsigned char *)bytes;
  deflater.avail_in = PIECE;
  deflater.next_out = to;
  deflater.avail_out = PIECE;
  return deflate(&deflater, Z_FINISH) == Z_STREAM_END ? deflater.total_out : 0;
}

static void unpack(const unsigned char *bytes, size_t count, unsigned char *to) {
  if (is_zstd) {
    if (ZSTD_decompressDCtx(zstd_unpacker, to, PIECE, bytes, count) != PIECE) fail("zstd does not unpack");
    return;
  }
  inflateReset(&inflater);
  inflater.next_in = (unsigned char *)bytes;
  inflater.avail_in = (unsigned)count;
  inflater.next_out = to;
  inflater.avail_out = PIECE;
  if (inflate(&inflater, Z_FINISH) != Z_STREAM_END) fail("zlib does not unpack");
}

static double pack_turn(void) {
  double start = now();
  for (size_t offset = 0; offset < inputs.count; offset += PIECE) pack(inputs.data + offset, packed);
  return now() - start;
}

static double unpack_turn(void) {
  static unsigned char *room;
  if (!room) room = reserve(PIECE);
  double start = now();
  for (size_t piece = 0; piece < packed_pieces; piece++)
    unpack(packed + piece * PIECE, packed_lengths[piece], room);
  return now() - start;
}

static void prepare_codec(bool zstd) {
  is_zstd = zstd;
  zstd_packer = ZSTD_createCCtx();
  zstd_unpacker = ZSTD_createDCtx();
  if (!zstd_packer || !zstd_unpacker || deflateInit(&deflater, 1) != Z_OK || inflateInit(&inflater) != Z_OK)
    fail("a codec cannot start");
  packed = reserve(inputs.count);
}

static double pack_loop(bool zstd) {
  prepare_codec(zstd);
  return rate(inputs.count, pack_turn);
}

static double unpack_loop(bool zstd) {
  prepare_codec(zstd);
  packed_lengths = calloc(inputs.count / PIECE, sizeof *packed_lengths);
  for (size_t offset = 0; offset < inputs.count; offset += PIECE) {
    size_t count = pack(inputs.data + offset, packed + packed_pieces * PIECE);
    if (count > 0) packed_lengths[packed_pieces++] = count;
  }
  if (packed_pieces == 0) fail("nothing of the data packs");
  return rate(packed_pieces * PIECE, unpack_turn);
}

static double zstd_pack_loop(void) { return pack_loop(true); }
static double zstd_unpack_loop(void) { return unpack_loop(true); }
static double zlib_pack_loop(void) { return pack_loop(false); }
static double zlib_unpack_loop(void) { return unpack_loop(false); }

// MARK: TLS over loopback

enum { FRAME_HEADER = 24 };
static SSL *tls_near;

static void read_all(SSL *tls, unsigned char *bytes, size_t count) {
  size_t done = 0;
  for (; count > 0; bytes += done, count -= done)
    if (SSL_read_ex(tls, bytes, count, &done) != 1) fail("the connection broke");
}

static void write_all(SSL *tls, const unsigned char *bytes, size_t count) {
  size_t done = 0;
  for (; count > 0; bytes += done, count -= done)
    if (SSL_write_ex(tls, bytes, count, &done) != 1) fail("the connection broke");
}

static void use_new_certificate(SSL_CTX *context) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
  X509_set_pubkey(certificate, key);
  if (!X509_sign(certificate, key, EVP_sha256()) || SSL_CTX_use_certificate(context, certificate) != 1 ||
      SSL_CTX_use_PrivateKey(context, key) != 1)
    fail("no certificate");
}

static void *serve(void *listener) {
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, 128 << 10);
  use_new_certificate(context);
  SSL *tls = SSL_new(context);
  int connection = accept(*(int *)listener, NULL, NULL), on = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  SSL_set_fd(tls, connection);
  if (SSL_accept(tls) != 1) fail("no TLS");
  unsigned char *frame = reserve(FRAME_HEADER + PIECE);
  // Until the process ends.
  for (;;) {
    for (size_t received = 0; received < inputs.count; received += PIECE)
      read_all(tls, frame, FRAME_HEADER + PIECE);
    write_all(tls, (const unsigned char *)"k", 1);
  }
  return NULL;
}

static double tls_turn(void) {
  static const unsigned char header[FRAME_HEADER];
  unsigned char acknowledgement;
  double start = now();
  for (size_t offset = 0; offset < inputs.count; offset += PIECE) {
    write_all(tls_near, header, FRAME_HEADER);
    write_all(tls_near, inputs.data + offset, PIECE);
  }
  read_all(tls_near, &acknowledgement, 1);
  return now() - start;
}

static double tls_loop(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0), connection = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &length) != 0)
    fail("listen: %s", strerror(errno));
  pthread_t thread;
  pthread_create(&thread, NULL, serve, &listener);
  if (connect(connection, (struct sockaddr *)&address, length) != 0) fail("connect: %s", strerror(errno));
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
  tls_near = SSL_new(context);
  SSL_set_fd(tls_near, connection);
  if (SSL_connect(tls_near) != 1) fail("no TLS");
  return rate(inputs.count, tls_turn);
}

// MARK: Journal

enum {
  RECORD_HEADER = 64,
  ALIGNMENT = 512,
  RECORD = (RECORD_HEADER + PIECE + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT
};
static bool journal_syncs;
static EVP_MAC_CTX *journal_mac;

static double journal_turn(void) {
  static unsigned char *record;
  if (!record) record = memset(reserve(RECORD), 0, RECORD);
  char path[4096];
  snprintf(path, sizeof path, "%s/journal", inputs.folder);
  int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file == -1) fail("%s: %s", path, strerror(errno));
  double start = now();
  off_t end = 0;
  struct digest previous = {0, 0};
  for (size_t offset = 0; offset < inputs.count; offset += PIECE) {
    // Each record names the one before it, and is checked by the digest of all its bytes.
    memcpy(record + 32, &previous, sizeof previous);
    memcpy(record + RECORD_HEADER, inputs.data + offset, PIECE);
    previous = digest(journal_mac, record, RECORD_HEADER + PIECE);
    memcpy(record + 48, &previous, sizeof previous);
    if (pwrite(file, record, RECORD, end) != RECORD) fail("%s: %s", path, strerror(errno));
    end += RECORD;
  }
  if (journal_syncs && fdatasync(file) != 0) fail("%s: %s", path, strerror(errno));
  double elapsed = now() - start;
  close(file);
  unlink(path);
  return elapsed;
}

static double journal_loop(bool syncs) {
  journal_syncs = syncs;
  journal_mac = new_mac();
  return rate(inputs.count, journal_turn);
}

static double journal_append_loop(void) { return journal_loop(false); }
static double journal_sync_loop(void) { return journal_loop(true); }

// MARK: Scan

static struct {
  size_t size, cursor, differing;
  int table;
  bool is_filling;
  size_t read_bytes;
} scan;

static void *scan_chunks(void *unused) {
  (void)unused;
  int file = open(inputs.disk, O_RDONLY | O_CLOEXEC);
  if (file == -1) fail("%s: %s", inputs.disk, strerror(errno));
  unsigned char *bytes = reserve(CHUNK);
  struct digest fresh[PAGES_PER_CHUNK], held[PAGES_PER_CHUNK];
  EVP_MAC_CTX *mac = new_mac();
  off_t data_start = 0, data_end = 0;
  for (;;) {
    size_t offset = __atomic_fetch_add(&scan.cursor, CHUNK, __ATOMIC_RELAXED);
    if (offset >= scan.size) break;
    size_t end = offset + CHUNK < scan.size ? offset + CHUNK : scan.size;
    off_t place = (off_t)offset, table_place = (off_t)(offset / PAGE * sizeof *fresh);
    memset(fresh, 0, sizeof fresh);
    while ((size_t)place < end) {
      if (place >= data_end) {
        data_start = lseek(file, place, SEEK_DATA);
        if (data_start == -1) data_start = data_end = (off_t)scan.size;
        else data_end = lseek(file, data_start, SEEK_HOLE);
      }
      off_t first = data_start > place ? data_start : place;
      if ((size_t)first >= end) break;
      size_t count = (size_t)((size_t)data_end < end ? data_end : (off_t)end) - (size_t)first;
      if (pread(file, bytes, count, first) != (ssize_t)count) fail("%s: %s", inputs.disk, strerror(errno));
      digest_pages(mac, bytes, count, PAGE, fresh + ((size_t)first - offset) / PAGE);
      __atomic_fetch_add(&scan.read_bytes, count, __ATOMIC_RELAXED);
      place = first + (off_t)count;
    }
    size_t table_bytes = (end - offset + PAGE - 1) / PAGE * sizeof *fresh;
    if (scan.is_filling) {
      if (pwrite(scan.table, fresh, table_bytes, table_place) != (ssize_t)table_bytes)
        fail("the table cannot be written");
    } else {
      if (pread(scan.table, held, table_bytes, table_place) != (ssize_t)table_bytes)
        fail("the table cannot be read");
      if (memcmp(fresh, held, table_bytes) != 0) __atomic_fetch_add(&scan.differing, 1, __ATOMIC_RELAXED);
    }
  }
  EVP_MAC_CTX_free(mac);
  free(bytes);
  close(file);
  return NULL;
}

static double scan_turn(void) {
  double start = now();
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  int count = cores < 1 ? 1 : cores > 4 ? 4 : (int)cores;
  pthread_t threads[4];
  scan.cursor = 0;
  scan.read_bytes = 0;
  for (int i = 0; i < count; i++) pthread_create(&threads[i], NULL, scan_chunks, NULL);
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
  if (scan.differing > 0) fail("a page changed in a disk that nobody writes");
  return now() - start;
}

static double scan_loop(void) {
  struct stat status;
  if (stat(inputs.disk, &status) != 0) fail("%s: %s", inputs.disk, strerror(errno));
  scan.size = (size_t)status.st_size;
  char path[4096];
  snprintf(path, sizeof path, "%s/table", inputs.folder);
  scan.table = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (scan.table == -1) fail("%s: %s", path, strerror(errno));
  scan.is_filling = true;
  scan_turn();
  scan.is_filling = false;
  return rate(scan.read_bytes, scan_turn);
}

// MARK: The command line

static const struct {
  const char *name;
  double (*run)(void);
} loops[] = {
    {"zero", zero_loop},
    {"digest-4k", digest_4k_loop},
    {"digest-64k", digest_64k_loop},
    {"zstd-pack", zstd_pack_loop},
    {"zstd-unpack", zstd_unpack_loop},
    {"zlib-pack", zlib_pack_loop},
    {"zlib-unpack", zlib_unpack_loop},
    {"tls", tls_loop},
    {"journal", journal_append_loop},
    {"journal-sync", journal_sync_loop},
    {"scan", scan_loop},
};

static void read_data(const char *path) {
  int file = open(path, O_RDONLY);
  struct stat status;
  if (file == -1 || fstat(file, &status) != 0) fail("%s: %s", path, strerror(errno));
  inputs.count = (size_t)status.st_size;
  if (inputs.count < CACHED || inputs.count % PIECE != 0)
    fail("%s: whole pieces of %d bytes are wanted", path, PIECE);
  inputs.data = reserve(inputs.count);
  if (read(file, inputs.data, inputs.count) != status.st_size) fail("%s: %s", path, strerror(errno));
  close(file);
}

int main(int count, char **arguments) {
  if (count == 5) {
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
      if (strcmp(arguments[1], loops[i].name)) continue;
      read_data(arguments[2]);
      inputs.disk = arguments[3];
      inputs.folder = arguments[4];
      printf("%.6f\n", loops[i].run());
      return 0;
    }
  }
  fprintf(stderr, "usage: micro LOOP DATA DISK FOLDER, with one of:");
  for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) fprintf(stderr, " %s", loops[i].name);
  fprintf(stderr, "\n");
  return 64;
}
