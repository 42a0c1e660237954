// SPDX-License-Identifier: Apache-2.0
/*
 * The allocator functions that are hooked: one row each, for every engine. Read by our process and by the BPF
 * programs (through the probe's cookie), so only integers here.
 */
#ifndef SEEP_WIRE_FNS_H
#define SEEP_WIRE_FNS_H

/* What a function does with its arguments. */
enum sp_fn_kind {
	SP_KIND_NONE,
	SP_KIND_MALLOC,   /* size in argument SIZE, result is the block */
	SP_KIND_NEW,      /* the same, but throws when there is no memory */
	SP_KIND_PASSED,   /* such a one whose return must not be watched: counted only */
	SP_KIND_CALLOC,   /* argument 0 times argument 1 */
	SP_KIND_REALLOC,  /* old block in argument 0, size in argument 1 */
	SP_KIND_REALLOCA, /* old block in argument 0, argument 1 times argument 2 */
	SP_KIND_POSIX,    /* result through the pointer in argument 0, size in argument 2 */
	SP_KIND_FREE,     /* block in argument 0 */
	SP_KIND_THROW,    /* an exception begins to unwind the stack */
	SP_KIND_LOADER,   /* the dynamic linker has changed, or is about to change, what is loaded */
	SP_KIND_MMAP,     /* length in argument 1 */
	SP_KIND_MUNMAP,   /* address, length in arguments 0, 1 */
	SP_KIND_MREMAP,   /* address, old length, new length in arguments 0, 1, 2 */
	SP_KIND_KERNEL,   /* what the kernel itself tells of */
};

/* Where a function is looked for. */
enum sp_fn_where {
	SP_WHERE_MALLOC, /* as the target resolves the name */
	SP_WHERE_CXX,    /* only in a module that also defines malloc (elsewhere it goes through malloc) */
	SP_WHERE_LIBC,   /* as the target resolves the name; the mapping calls */
	SP_WHERE_ALL,    /* in every module that has it */
	SP_WHERE_LINKER, /* where the dynamic linker says that it is (r_debug) */
	SP_WHERE_KERNEL, /* nowhere: no function of the target */
};

/*       id            symbol                                  kind              size  where */
#define SP_FNS(X)                                                                                                      \
	X(MALLOC, "malloc", SP_KIND_MALLOC, 0, SP_WHERE_MALLOC)                                                        \
	X(CALLOC, "calloc", SP_KIND_CALLOC, 0, SP_WHERE_MALLOC)                                                        \
	X(REALLOC, "realloc", SP_KIND_REALLOC, 1, SP_WHERE_MALLOC)                                                     \
	X(REALLOCARRAY, "reallocarray", SP_KIND_REALLOCA, 1, SP_WHERE_MALLOC)                                          \
	X(MEMALIGN, "memalign", SP_KIND_MALLOC, 1, SP_WHERE_MALLOC)                                                    \
	X(ALIGNED_ALLOC, "aligned_alloc", SP_KIND_MALLOC, 1, SP_WHERE_MALLOC)                                          \
	X(POSIX_MEMALIGN, "posix_memalign", SP_KIND_POSIX, 2, SP_WHERE_MALLOC)                                         \
	X(VALLOC, "valloc", SP_KIND_MALLOC, 0, SP_WHERE_MALLOC)                                                        \
	X(PVALLOC, "pvalloc", SP_KIND_MALLOC, 0, SP_WHERE_MALLOC)                                                      \
	X(FREE, "free", SP_KIND_FREE, 0, SP_WHERE_MALLOC)                                                              \
	X(CFREE, "cfree", SP_KIND_FREE, 0, SP_WHERE_MALLOC)                                                            \
	X(FREE_SIZED, "free_sized", SP_KIND_FREE, 0, SP_WHERE_MALLOC)                                                  \
	X(FREE_ALIGNED_SIZED, "free_aligned_sized", SP_KIND_FREE, 0, SP_WHERE_MALLOC)                                  \
	X(NEW, "_Znwm", SP_KIND_NEW, 0, SP_WHERE_CXX)                                                                  \
	X(NEW_ARRAY, "_Znam", SP_KIND_NEW, 0, SP_WHERE_CXX)                                                            \
	X(NEW_NOTHROW, "_ZnwmRKSt9nothrow_t", SP_KIND_MALLOC, 0, SP_WHERE_CXX)                                         \
	X(NEW_ARRAY_NOTHROW, "_ZnamRKSt9nothrow_t", SP_KIND_MALLOC, 0, SP_WHERE_CXX)                                   \
	X(NEW_ALIGNED, "_ZnwmSt11align_val_t", SP_KIND_NEW, 0, SP_WHERE_CXX)                                           \
	X(NEW_ARRAY_ALIGNED, "_ZnamSt11align_val_t", SP_KIND_NEW, 0, SP_WHERE_CXX)                                     \
	X(NEW_ALIGNED_NOTHROW, "_ZnwmSt11align_val_tRKSt9nothrow_t", SP_KIND_MALLOC, 0, SP_WHERE_CXX)                  \
	X(NEW_ARRAY_ALIGNED_NOTHROW, "_ZnamSt11align_val_tRKSt9nothrow_t", SP_KIND_MALLOC, 0, SP_WHERE_CXX)            \
	X(DELETE, "_ZdlPv", SP_KIND_FREE, 0, SP_WHERE_CXX)                                                             \
	X(DELETE_ARRAY, "_ZdaPv", SP_KIND_FREE, 0, SP_WHERE_CXX)                                                       \
	X(DELETE_SIZED, "_ZdlPvm", SP_KIND_FREE, 0, SP_WHERE_CXX)                                                      \
	X(DELETE_ARRAY_SIZED, "_ZdaPvm", SP_KIND_FREE, 0, SP_WHERE_CXX)                                                \
	X(DELETE_NOTHROW, "_ZdlPvRKSt9nothrow_t", SP_KIND_FREE, 0, SP_WHERE_CXX)                                       \
	X(DELETE_ARRAY_NOTHROW, "_ZdaPvRKSt9nothrow_t", SP_KIND_FREE, 0, SP_WHERE_CXX)                                 \
	X(DELETE_ALIGNED, "_ZdlPvSt11align_val_t", SP_KIND_FREE, 0, SP_WHERE_CXX)                                      \
	X(DELETE_ARRAY_ALIGNED, "_ZdaPvSt11align_val_t", SP_KIND_FREE, 0, SP_WHERE_CXX)                                \
	X(DELETE_SIZED_ALIGNED, "_ZdlPvmSt11align_val_t", SP_KIND_FREE, 0, SP_WHERE_CXX)                               \
	X(DELETE_ARRAY_SIZED_ALIGNED, "_ZdaPvmSt11align_val_t", SP_KIND_FREE, 0, SP_WHERE_CXX)                         \
	X(DELETE_ALIGNED_NOTHROW, "_ZdlPvSt11align_val_tRKSt9nothrow_t", SP_KIND_FREE, 0, SP_WHERE_CXX)                \
	X(DELETE_ARRAY_ALIGNED_NOTHROW, "_ZdaPvSt11align_val_tRKSt9nothrow_t", SP_KIND_FREE, 0, SP_WHERE_CXX)          \
	X(MALLOCX, "mallocx", SP_KIND_MALLOC, 0, SP_WHERE_CXX)                                                         \
	X(RALLOCX, "rallocx", SP_KIND_REALLOC, 1, SP_WHERE_CXX)                                                        \
	X(DALLOCX, "dallocx", SP_KIND_FREE, 0, SP_WHERE_CXX)                                                           \
	X(SDALLOCX, "sdallocx", SP_KIND_FREE, 0, SP_WHERE_CXX)                                                         \
	X(MMAP, "mmap", SP_KIND_MMAP, 1, SP_WHERE_LIBC)                                                                \
	X(MMAP64, "mmap64", SP_KIND_MMAP, 1, SP_WHERE_LIBC)                                                            \
	X(MUNMAP, "munmap", SP_KIND_MUNMAP, 1, SP_WHERE_LIBC)                                                          \
	X(MREMAP, "mremap", SP_KIND_MREMAP, 2, SP_WHERE_LIBC)                                                          \
	X(LOADER, "_dl_debug_state", SP_KIND_LOADER, 0, SP_WHERE_LINKER)                                               \
	X(BRK, "brk", SP_KIND_KERNEL, 0, SP_WHERE_KERNEL)                                                              \
	X(FAULT, "page fault", SP_KIND_KERNEL, 0, SP_WHERE_KERNEL)                                                     \
	X(RAISE, "_Unwind_RaiseException", SP_KIND_THROW, 0, SP_WHERE_ALL)                                             \
	X(FORCED_UNWIND, "_Unwind_ForcedUnwind", SP_KIND_THROW, 0, SP_WHERE_ALL)

enum sp_fn {
#define SP_FN_ENUM(id, symbol, kind, size, where) SP_FN_##id,
	SP_FNS(SP_FN_ENUM)
#undef SP_FN_ENUM
	    SP_NR_FNS
};

#endif
