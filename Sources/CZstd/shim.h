#ifndef REPL_CZSTD_SHIM_H
#define REPL_CZSTD_SHIM_H
#include <zstd.h>
#endif
