// SPDX-License-Identifier: Apache-2.0
/*
 * The one table of options: a row feeds parsing, --help, the man pages and the shell completions.
 * Adding an option is one row in options.c and one field in struct sp_args.
 */
#ifndef SEEP_CLI_OPTIONS_H
#define SEEP_CLI_OPTIONS_H

#include "base/base.h"

/* Which commands a row belongs to. */
enum sp_for {
	SP_FOR_SEEP = 1 << 0, /* before the command */
	SP_FOR_TRACE = 1 << 1,
	SP_FOR_KERNEL = 1 << 2,
	SP_FOR_MEMLEAK = 1 << 3,
	SP_FOR_HELP = 1 << 4,
	SP_FOR_SHM = 1 << 5,
	SP_FOR_TOP = 1 << 6,
	SP_FOR_SCAN = 1 << 7,
	SP_FOR_CHECK = 1 << 8,
	SP_FOR_RECORD = 1 << 10,
	SP_FOR_REPORT = 1 << 11,
	SP_FOR_DIFF = 1 << 12,
	SP_FOR_MAP = 1 << 15,
	SP_FOR_DETACH = 1 << 13,
	SP_FOR_WHY = 1 << 16,
	SP_FOR_SERVE = 1 << 17,
};

/* One word that an option of type SP_OPT_CHOICE may have. */
struct sp_choice {
	const char *name; /* NULL ends a list */
	uint64_t value;
};

enum { SP_MAX_WORDS = 32 };

/* Words that are all of one kind. */
struct sp_word_list {
	const char *list[SP_MAX_WORDS];
	size_t nr;
};

/* Everything the user can say, for all commands. Strings point into argv. */
struct sp_args {
	bool help, version;
	bool list, show_pc, json, combined_only, trace_events, ebpf;
	bool percpu, wa_missing_free;
	bool debuginfod, no_lines, resident;
	bool once, no_snapshot;
	bool all;
	bool batch, growth, no_heap, fail_on_leak, plain, blocks;
	const char *target, *second, *command, *object, *symbols_prefix, *replay, *topic, *filter, *output,
	    *suppressions;
	uint64_t interval_ns, count, address;
	uint64_t older_ns, top, min_size, max_size, sample_rate, max_blocks, max_paths;
	uint64_t sample_bytes, for_ns, unused_ns, max_pause_ns, max_memory, max_file, from_ns, to_ns, fail_over;
	uint64_t scan_ns, max_targets;
	const char *name, *cgroup, *listen, *token_file;
	const struct sp_choice *sort, *engine, *color, *format, *table;
	struct sp_word_list words;
	char *const *argv; /* the program to launch, NULL-terminated; NULL: none */
};

enum sp_opt_type {
	SP_OPT_FLAG,     /* bool, no argument */
	SP_OPT_U64,      /* uint64_t in [min, max] */
	SP_OPT_ADDRESS,  /* uint64_t, not 0; hexadecimal with or without 0x */
	SP_OPT_BYTES,    /* uint64_t in [min, max], with K, M, G, T */
	SP_OPT_MAYBE,    /* the same, but --name alone is good, too: `def` is what it means, not a default */
	SP_OPT_DURATION, /* uint64_t nanoseconds in [min, max], with ns, us, ms, s, m, h, d */
	SP_OPT_STRING,   /* const char *, not empty */
	SP_OPT_CHOICE,   /* const struct sp_choice * */
	SP_OPT_WORDS,    /* struct sp_word_list: every further word */
	SP_OPT_ARGV,     /* char *const *: everything after "--" */
};

enum sp_opt_how {
	SP_OPT_HIDDEN = 1 << 0,      /* works, but is not advertised */
	SP_OPT_POSITIONAL = 1 << 1,  /* a word in its place, in the order of the rows */
	SP_OPT_ONLY_ATTACH = 1 << 2, /* positional: not there in launch mode and with --replay */
};

struct sp_opt {
	const char *name; /* without dashes; of a positional: as shown, "INTERVAL" */
	const char *arg;  /* what the argument is called; NULL for a flag */
	char letter;      /* 0: none */
	enum sp_opt_type type;
	size_t field;      /* offset in struct sp_args */
	uint64_t min, max; /* numbers: both included */
	uint64_t unit_ns;  /* duration: what a bare number counts; 0: a unit must be written (0 needs none) */
	const struct sp_choice *choices;
	const char *def;   /* default, in the user's words, parsed like the user's; NULL: zero */
	unsigned commands; /* SP_FOR_* */
	unsigned how;      /* SP_OPT_* of enum sp_opt_how */
	const char *help;  /* a sentence without capital and full stop; choices and default are added */
};

/* The orders of seep top, by the names that --sort knows: its screen has them, too. */
extern const struct sp_choice sp_top_sorts[];

/* All rows, in the order in which help shows them; a row without name ends the table. */
extern const struct sp_opt sp_opts[];

/* The rows of one command: for (o = sp_opt_first(c); o; o = sp_opt_next(o, c)). Hidden ones too. */
const struct sp_opt *sp_opt_first(unsigned command);
const struct sp_opt *sp_opt_next(const struct sp_opt *o, unsigned command);

/*
 * Turns the user's words into *ret, which starts from the rows' defaults. `called` is what the messages point to
 * ("seep trace"). Options and words may come in any order; what follows "--" is words, or the program to launch where
 * the command has a row for it. For SP_FOR_SEEP it stops at the first word. *ret_used: elements of argv consumed. A
 * fault is always SP_FAULT_USAGE, with the whole sentence in why->what. Not reentrant: getopt_long keeps state.
 */
sp_must_check int sp_options_parse(unsigned command, const char *called, int argc, char **argv, struct sp_args *ret,
				   int *ret_used, struct sp_why *why);

/* Writes `text` through the row into *args; the sentence of a failure names the option. */
sp_must_check int sp_opt_store(const struct sp_opt *o, const char *text, struct sp_args *args, struct sp_why *why);

/* "-a, --list", "--top N", "INTERVAL": as help shows a row; returns buf. 64 bytes are enough for every row. */
const char *sp_opt_shown(const struct sp_opt *o, char *buf, size_t size);

/* The row's sentence with its choices and default; returns buf. */
const char *sp_opt_text(const struct sp_opt *o, char *buf, size_t size);

/*
 * A length of time: decimal number, fraction allowed, with a unit (ns us ms s m h d); a bare number counts `unit_ns`.
 * -EINVAL: not one, or a bare number while unit_ns is 0; -ERANGE: not in [min, max].
 */
sp_must_check int sp_text_to_duration(const char *text, uint64_t unit_ns, uint64_t min, uint64_t max, uint64_t *ret);

#endif
