#ifndef REPL_CZLIB_SHIM_H
#define REPL_CZLIB_SHIM_H
#include <zlib.h>
// deflateInit and inflateInit are macros that pass the header's version and struct size.
static inline int repl_deflate_init(z_streamp stream, int level) { return deflateInit(stream, level); }
static inline int repl_inflate_init(z_streamp stream) { return inflateInit(stream); }
#endif
