#ifndef REPL_CZSTD_SHIM_H
#define REPL_CZSTD_SHIM_H
#include <zstd.h>
// ZSTD_getErrorCode and its closed set of codes.
#include <zstd_errors.h>
#endif
