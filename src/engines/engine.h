// SPDX-License-Identifier: Apache-2.0
/*
 * Does:    the contract of an engine: what watches a target and fills the ledger.
 * Runs in: our process, one thread (an engine may have threads of its own).
 * May not: print, keep time for the session, write the ledger outside read().
 * Owns:    its probes, maps and hooks; stop() takes every one of them away.
 * Fails by: -errno with a reason.
 *
 * Adding an engine is one folder and one row in sp_engines[] (engines/engines.c).
 */
#ifndef SEEP_ENGINES_ENGINE_H
#define SEEP_ENGINES_ENGINE_H

#include <sys/types.h>

#include "base/base.h"
#include "ledger/ledger.h"
#include "proc/proc.h"
#include "symbolize/symbolize.h"

/* One allocator event as it happens, for `memleak -t`. */
struct sp_event {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint32_t pid, tid, cpu;
	char comm[16];
	enum { SP_EVENT_ENTER, SP_EVENT_ALLOC, SP_EVENT_FREE } kind;
	uint64_t addr, size;
};

struct sp_engine_config {
	struct sp_proc *target; /* NULL: the kernel (or, for replay, the file) */
	/*
	 * The target's names, NULL: none. An engine that follows the target's mappings refreshes them at once, with the
	 * time of the change, and binds the paths that it hands to the ledger (sp_symbolizer_bind).
	 */
	struct sp_symbolizer *names;
	const char *object; /* look for the allocator in this file only (as the target names it); NULL: as the target
			       resolves */
	const char *symbols_prefix;  /* before every allocator symbol; NULL: none */
	uint64_t min_size, max_size; /* record only blocks in this range; max 0: no limit */
	uint32_t sample_rate;        /* one call in N, 0 or 1: every one */
	uint64_t sample_bytes;       /* mean distance of sampled bytes (Poisson); 0: exact */
	uint64_t max_memory;         /* agent: bytes in the target for its tables; 0: default */
	uint64_t max_pause_ns;       /* agent: of one stop of the target; 0: default */
	enum sp_engine_table { SP_TABLE_AUTO, SP_TABLE_SHADOW, SP_TABLE_HASH } table; /* agent: where live blocks are */
	bool is_held;        /* the target is the stopped child of sp_launch_start(), in this thread */
	uint32_t max_blocks; /* 0: default */
	uint32_t max_paths;  /* 0: default */
	bool growth; /* processes: what makes them larger (mappings, pages that come) instead of the allocator */
	bool percpu; /* kernel: per-cpu allocations instead of slab and pages */
	bool wa_missing_free;    /* kernel: an allocation at a known address replaces the old block */
	const char *replay_file; /* engine replay */
	void (*on_event)(const struct sp_event *e, void *arg); /* NULL: no event stream; called from poll() */
	void *on_event_arg;
	void (*say)(const char *text, void *arg); /* something that the user should know, while it runs; NULL: nobody */
	void *say_arg;
};

struct sp_engine; /* what start() made; its first member is the ops pointer */

struct sp_engine_stats {
	uint64_t start_ns;     /* from start() to watching */
	unsigned nr_functions; /* hooked */
	unsigned nr_modules;   /* with unwind data */
	uint64_t nr_rows;
	const char *allocator; /* path of the module whose malloc is watched; NULL: none (kernel) */
	uint64_t scale;        /* numbers were multiplied by this (sampling); 1: exact */
	uint64_t sample_bytes; /* blocks stand for others by bytes (sp_ledger_set_sampling); 0: none does */
	uint64_t pause_ns;     /* the target's longest stop; 0: it was never stopped */
	uint64_t memory;       /* bytes that watching takes in the target; 0: none */
	pid_t pid;             /* replay: whom the recording shows, 0: the kernel; other engines: 0 */
	const char *comm;      /* replay: its name, printable, until stop(); other engines: NULL */
	uint64_t epoch_ns;     /* replay: CLOCK_REALTIME when the recording's clock was 0; 0: not known */
	bool has_no_lists;     /* replay: the blocks' addresses are not known */
	const char *recorded;  /* replay: the engine that recorded, until stop(); NULL: not known */
};

enum sp_engine_news {
	SP_NEWS_NONE,
	SP_NEWS_EXEC,    /* the target became another program: the engine has started over, the ledger is cleared */
	SP_NEWS_MODULES, /* its modules changed: refresh the symbolizer */
	SP_NEWS_END,     /* nothing more will come (replay: end of the recording) */
};

struct sp_engine_ops {
	const char *name; /* "bpf", "replay" */

	/* Could it watch this target, and if not, why and what would help? Cheap, changes nothing. */
	int (*probe)(const struct sp_engine_config *c, struct sp_why *why);

	/*
	 * Starts watching. On failure nothing is left behind. The config is copied; strings must live on. From here on
	 * (*ret)->ops is to be used: it may be another table (one mode of several).
	 */
	int (*start)(const struct sp_engine_config *c, struct sp_engine **ret, struct sp_why *why);

	/* Descriptor that becomes readable when poll() has something to do; -1: none. */
	int (*fd)(struct sp_engine *e);

	/* Housekeeping: events out, new modules in. Called when fd() is readable and at least four times a second. */
	enum sp_engine_news (*poll)(struct sp_engine *e, struct sp_ledger *l);

	/*
	 * Makes the ledger's next snapshot. -ESRCH: the target is gone, nothing more can be read (bpf can still read);
	 * the ledger still holds the last snapshot (replay: after the recording's last one, when poll() says
	 * SP_NEWS_END).
	 */
	int (*read)(struct sp_engine *e, struct sp_ledger *l, struct sp_why *why);

	/* The instant "now" for reports: CLOCK_MONOTONIC, or the recording's time. */
	uint64_t (*now_ns)(struct sp_engine *e);

	/* Names from the recording; NULL op or NULL result: the session opens its own. */
	struct sp_symbolizer *(*symbolizer)(struct sp_engine *e);

	void (*stats)(struct sp_engine *e, struct sp_engine_stats *ret);
	/*
	 * Optional. The next read() is the last (may be said twice): recording ends now, and the probes begin to go, in
	 * the background where that takes long. What has been recorded stays readable.
	 */
	void (*wind_down)(struct sp_engine *e);

	void (*stop)(struct sp_engine *e); /* removes every probe and frees; NULL is fine */
};

struct sp_engine {
	const struct sp_engine_ops *ops;
};

/* All engines, best first; NULL-terminated. */
extern const struct sp_engine_ops *const sp_engines[];

/* By name; NULL: unknown. */
const struct sp_engine_ops *sp_engine_find(const char *name);

/*
 * The first engine of sp_engines[] (replay excepted) behind `after` (NULL: of all) whose probe() says yes. *why: why
 * not a better one, kept when it is there already; also on success.
 */
sp_must_check int sp_engine_choose(const struct sp_engine_config *c, const struct sp_engine_ops *after,
				   const struct sp_engine_ops **ret, struct sp_why *why);

#endif
