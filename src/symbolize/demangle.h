// SPDX-License-Identifier: Apache-2.0
/* C++, Rust and D names as people write them; hostile names cannot make it run away. */
#ifndef SEEP_SYMBOLIZE_DEMANGLE_H
#define SEEP_SYMBOLIZE_DEMANGLE_H

#include <stddef.h>

/* 0 is never a useful size. NULL: not a mangled name, or refused (too long, or longer than `size` when written out). */
const char *sp_demangle(const char *symbol, char *buf, size_t size);

#endif
