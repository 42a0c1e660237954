// SPDX-License-Identifier: Apache-2.0
/* The table of options, and how a row is shown. */
#include <stdio.h>
#include <string.h>

#include "cli/options.h"
#include "engines/engines.h"
#include "ledger/ledger.h"
#include "report/report.h"
#include "report/scan.h"
#include "triage/triage.h"

#define NS_PER_MS  1000000ull
#define NS_PER_SEC 1000000000ull
#define NS_PER_DAY (86400 * NS_PER_SEC)

static const struct sp_choice sorts_seep[] = {
    {"growth", SP_SORT_GROWTH}, {"size", SP_SORT_BYTES}, {"blocks", SP_SORT_BLOCKS}, {"age", SP_SORT_AGE}, {NULL, 0}};

static const struct sp_choice sorts_memleak[] = {{"size", SP_SORT_BYTES}, {"count", SP_SORT_BLOCKS}, {NULL, 0}};

const struct sp_choice sp_top_sorts[] = {{"growth", SP_SUSPECT_GROWTH}, {"anon", SP_SUSPECT_ANON},
					 {"rss", SP_SUSPECT_RSS},       {"swap", SP_SUSPECT_SWAP},
					 {"pid", SP_SUSPECT_PID},       {NULL, 0}};

#define ENGINE(name) {#name, 0},
static const struct sp_choice engines[] = {{"auto", 0}, SP_ENGINES(ENGINE){NULL, 0}};

static const struct sp_choice tables[] = {
    {"auto", SP_TABLE_AUTO}, {"shadow", SP_TABLE_SHADOW}, {"hash", SP_TABLE_HASH}, {NULL, 0}};

static const struct sp_choice colors[] = {{"auto", 0}, {"always", 0}, {"never", 0}, {NULL, 0}};

static const struct sp_choice formats[] = {
#define ROW(name, fn, once, judged) {#name, SP_REPORT_##fn},
    SP_REPORT_FORMATS(ROW)
#undef ROW
	{NULL, 0}};

static const struct sp_choice scan_formats[] = {
#define ROW(name) {#name, SP_SCAN_##name},
    SP_SCAN_FORMATS(ROW)
#undef ROW
	{NULL, 0}};

/* The type of a row and the type of its field agree, or this does not compile. */
#define FIELD(ctype, f)                                                                                                \
	(offsetof(struct sp_args, f) + 0 * sizeof(_Generic(&((struct sp_args *)0)->f, __typeof__(ctype) * : 0)))

/*                               type             field                           min  max  unit  choices */
#define FLAG(f)                SP_OPT_FLAG, FIELD(bool, f), 0, 0, 0, NULL
#define U64(f, min, max)       SP_OPT_U64, FIELD(uint64_t, f), min, max, 0, NULL
#define ADDRESS(f)             SP_OPT_ADDRESS, FIELD(uint64_t, f), 0, 0, 0, NULL
#define BYTES(f, min)          SP_OPT_BYTES, FIELD(uint64_t, f), min, UINT64_MAX, 0, NULL
#define MAYBE(f, min)          SP_OPT_MAYBE, FIELD(uint64_t, f), min, 1ull << 40, 0, NULL
#define DURATION(f, min, unit) SP_OPT_DURATION, FIELD(uint64_t, f), min, 365 * NS_PER_DAY, unit, NULL
#define STRING(f)              SP_OPT_STRING, FIELD(const char *, f), 0, 0, 0, NULL
#define WORDS(f)               SP_OPT_WORDS, FIELD(struct sp_word_list, f), 0, 0, 0, NULL
#define ARGV(f)                SP_OPT_ARGV, FIELD(char *const *, f), 0, 0, 0, NULL
#define CHOICE(f, choices)     SP_OPT_CHOICE, FIELD(const struct sp_choice *, f), 0, 0, 0, choices

#define T           SP_FOR_TRACE
#define K           SP_FOR_KERNEL
#define M           SP_FOR_MEMLEAK
#define SHM         SP_FOR_SHM
#define TOP         SP_FOR_TOP
#define MAP         SP_FOR_MAP
#define S           SP_FOR_SCAN
#define C           SP_FOR_CHECK
#define W           SP_FOR_WHY
#define ALL         (SP_FOR_SEEP | S | C | W | T | K | M | SHM | TOP | MAP | R | P | D | SERVE | SP_FOR_DETACH | SP_FOR_HELP)
#define R           SP_FOR_RECORD
#define P           SP_FOR_REPORT
#define D           SP_FOR_DIFF
#define SERVE       SP_FOR_SERVE
#define HIDDEN      SP_OPT_HIDDEN
#define WORD        SP_OPT_POSITIONAL
#define ATTACH_WORD (SP_OPT_POSITIONAL | SP_OPT_ONLY_ATTACH)

/* name, argument, letter, type and field, default, commands, how, help */
const struct sp_opt sp_opts[] = {
    /* words in their places */
    {"PID|NAME", "PID|NAME", 0, STRING(target), NULL, T | R, ATTACH_WORD,
     "the process to watch, or the name of its program"},
    {"PID|NAME", "PID|NAME", 0, STRING(target), NULL, MAP, WORD, "the process to look at, or the name of its program"},
    {"PID|NAME", "PID|NAME", 0, STRING(target), NULL, S | C | W, WORD,
     "the process to look into, or the name of its program"},
    {"ADDRESS", "ADDRESS", 0, ADDRESS(address), NULL, W, WORD,
     "an address in the block, as seep scan --list and seep trace --list print them: hexadecimal, 0x or not"},
    {"PID|NAME", "PID|NAME", 0, STRING(target), NULL, SP_FOR_DETACH, WORD, "the process, or the name of its program"},
    {"FILE|PID", "FILE|PID", 0, STRING(target), NULL, P, WORD, "a recording, or a process to watch for a while"},
    {"FILE", "FILE", 0, STRING(target), NULL, D, WORD, "a recording"},
    {"FILE", "FILE", 0, STRING(second), NULL, D, WORD, "the recording to compare it with; without it, its own end"},
    {"PID|NAME...", "PID|NAME", 0, WORDS(words), NULL, SERVE, WORD,
     "processes to watch, and names of programs, whose processes are followed as they come and go"},
    {"INTERVAL", "INTERVAL", 0, DURATION(interval_ns, 10 * NS_PER_MS, NS_PER_SEC), NULL, T, WORD,
     "seconds between two reports; 500ms, 2m and 1h work too (default 5; on the screen 2)"},
    {"INTERVAL", "INTERVAL", 0, DURATION(interval_ns, 10 * NS_PER_MS, NS_PER_SEC), "5", K | M, WORD,
     "seconds between two reports; 500ms, 2m and 1h work too"},
    {"INTERVAL", "INTERVAL", 0, DURATION(interval_ns, 100 * NS_PER_MS, NS_PER_SEC), "3", TOP, WORD,
     "seconds between two looks; 500ms, 2m and 1h work too"},
    {"INTERVAL", "INTERVAL", 0, DURATION(interval_ns, 100 * NS_PER_MS, NS_PER_SEC), NULL, MAP, WORD,
     "seconds between two looks; 500ms, 2m and 1h work too; without it, one look"},
    {"COUNT", "COUNT", 0, U64(count, 1, UINT64_MAX), NULL, TOP | MAP, WORD,
     "how many looks to take, the first at once; without it, until interrupted"},
    {"COUNT", "COUNT", 0, U64(count, 1, UINT64_MAX), NULL, T | K | M, WORD,
     "how many reports to print before ending; without it, until interrupted"},
    {"CMD ARG...", "CMD ARG...", 0, ARGV(argv), NULL, T | R, WORD,
     "a program to start and to watch from its first instruction; its own options follow it"},
    {"COMMAND", "COMMAND", 0, STRING(topic), NULL, SP_FOR_HELP, WORD, "the command to explain"},

    /* what to watch */
    {"name", "NAME", 0, STRING(name), NULL, SERVE, 0,
     "watch every process of this program, also those that start later; the same as NAME"},
    {"cgroup", "PATH", 0, STRING(cgroup), NULL, SERVE, 0,
     "watch every process of this cgroup and of those below it (/system.slice/app.service), also those that start "
     "later"},
    {"listen", "ADDRESS:PORT", 0, STRING(listen), "127.0.0.1:9745", SERVE, 0,
     "where to be reached; port 0 takes a free one; other addresses than this machine's own need --token-file"},
    {"token-file", "FILE", 0, STRING(token_file), NULL, SERVE, 0,
     "answer only who knows the first line of FILE: as bearer token, or as password of any user"},
    {"scan", "TIME", 0, DURATION(scan_ns, NS_PER_SEC, 0), NULL, SERVE | R, 0,
     "so often look for blocks that nothing points to any more, as seep scan does; stops the process for milliseconds"},
    {"max-targets", "N", 0, U64(max_targets, 1, 256), "16", SERVE, 0,
     "watch so many processes at most; how many more there are is said"},
    {"pid", "PID|NAME", 'p', STRING(target), NULL, M, 0,
     "the process to watch, or the name of its program; without -p and -c, the kernel's allocators"},
    {"command", "COMMAND", 'c', STRING(command), NULL, M, 0,
     "start COMMAND and watch it from its first instruction; quotes and backslashes work as in a shell, nothing else "
     "does"},
    {"obj", "OBJ", 'O', STRING(object), "c", M, 0,
     "look for the allocator in this file only: a path in the target's root, a file's name, or a library's as in "
     "'jemalloc'; 'c' stands for the one that the target itself uses"},
    {"obj", "FILE", 'O', STRING(object), NULL, T | R, 0,
     "look for the allocator in this file only (a path in the target's root, a file's name, or a library's as in "
     "'jemalloc'), instead of where the target itself finds it"},
    {"symbols-prefix", "PREFIX", 0, STRING(symbols_prefix), NULL, T | M | R, 0,
     "what stands before the allocator's symbols, as je_ in je_malloc"},
    {"percpu", NULL, 0, FLAG(percpu), NULL, K | M, 0, "kernel: watch per-cpu allocations instead of slab and pages"},
    {"wa-missing-free", NULL, 0, FLAG(wa_missing_free), NULL, K | M, 0,
     "kernel: take an allocation at a known address as the free of the older block there, for frees that the kernel "
     "does not report"},

    /* how long, and where to */
    {"output", "FILE", 'o', STRING(output), NULL, R, 0,
     "the file to make; - is standard output; default: NAME-PID.seep, in this directory"},
    {"for", "TIME", 0, DURATION(for_ns, 10 * NS_PER_MS, 0), NULL, R, 0, "end after this time; default: at Ctrl-C"},
    {"for", "TIME", 0, DURATION(for_ns, NS_PER_SEC, 0), "30s", C, 0, "how long to watch"},
    {"for", "TIME", 0, DURATION(for_ns, 10 * NS_PER_MS, 0), "10s", P, 0, "how long to watch a process"},
    {"interval", "TIME", 'i', DURATION(interval_ns, 100 * NS_PER_MS, NS_PER_SEC), "1", R, 0,
     "time between two looks; of a long recording ever fewer are kept"},
    {"interval", "TIME", 'i', DURATION(interval_ns, 100 * NS_PER_MS, NS_PER_SEC), "5", SERVE, 0,
     "time between two looks: the age of the numbers in /metrics"},
    {"blocks", NULL, 0, FLAG(blocks), NULL, R, 0,
     "record the address of each block, too, for lists of blocks; without it the file only tells how many there are of "
     "each size, and is smaller"},
    {"max-size", "BYTES", 0, BYTES(max_file, 64 << 10), "256M", R, 0,
     "the file's greatest size: the nearer it comes, the fewer looks are kept"},

    {"from", "TIME", 0, DURATION(from_ns, NS_PER_MS, 0), NULL, D, 0,
     "compare from the first look so long after the beginning; default: of two files the end of the first, of one file "
     "its first look"},
    {"to", "TIME", 0, DURATION(to_ns, NS_PER_MS, 0), NULL, D, 0,
     "compare with the first look so long after the beginning; default: the last one"},
    {"fail-over", "BYTES", 0, BYTES(fail_over, 1), NULL, D, 0,
     "end with status 1 when the call paths that grew have grown by more than this, all together"},

    /* what to show */
    {"trace", NULL, 't', FLAG(trace_events), NULL, M, 0, "print every allocator call as it happens, and no reports"},
    {"show-allocs", NULL, 'a', FLAG(list), NULL, M, 0, "print the address and size of each outstanding block"},
    {"list", NULL, 'a', FLAG(list), NULL, T | K | P, 0, "print the blocks of each call path: address, size, age"},
    {"list", NULL, 'a', FLAG(list), NULL, S, 0, "print the address of every block"},
    {"top", "N", 'T', U64(top, 0, 1000000), "20", C, 0, "how many call paths and kinds of blocks to print; 0: all"},
    {"top", "N", 'T', U64(top, 0, 1000000), "20", S, 0, "how many kinds of blocks to print; 0: all"},
    {"top", "N", 'T', U64(top, 0, 100), "5", W, 0, "how many chains to print, each through another holder; 0: 100"},
    {"top", "N", 'T', U64(top, 0, 1000000), "10", T | K | M | P | D, 0, "how many call paths to print; 0: all"},
    {"top", "N", 'T', U64(top, 0, 1000), "10", SERVE, 0,
     "how many call paths of each process have metrics of their own: first what leaks, then what grows, then the "
     "largest"},
    {"verbose", NULL, 'v', FLAG(list), NULL, MAP, 0, "print each mapping, too: what it is and whose"},
    {"no-heap", NULL, 0, FLAG(no_heap), NULL, MAP, 0, "do not look inside the heap: quicker, reads none of its memory"},
    {"plain", NULL, 0, FLAG(plain), NULL, T, 0,
     "print reports as text on a terminal, too, and no screen; so do COUNT, --list, --replay and a started program"},
    {"batch", NULL, 'b', FLAG(batch), NULL, TOP, 0, "print lines as vmstat does, on a terminal, too"},
    {"top", "N", 'T', U64(top, 0, 1000000), "10", TOP, 0, "how many processes to print; 0: all, at most 1000"},
    {"filter", "TEXT", 'f', STRING(filter), NULL, TOP, 0,
     "print only processes with this in their command or cgroup; the sentence is about all of them"},
    {"older", "MS", 'o', DURATION(older_ns, 0, NS_PER_MS), "500", M, 0,
     "leave out blocks younger than this many milliseconds"},
    {"older", "TIME", 'o', DURATION(older_ns, 0, 0), "500ms", T | K | P | D | SERVE, 0,
     "leave out blocks younger than this; 0 shows everything"},
    {"sort", "KEY", 0, CHOICE(sort, sorts_seep), "growth", T | K | P, 0,
     "which call paths come first; equal ones go by size"},
    {"sort", "KEY", 0, CHOICE(sort, sp_top_sorts), "growth", TOP, 0,
     "which processes come first: what grew, steady growth before any other, or what is largest"},
    {"sort", "KEY", 0, CHOICE(sort, sorts_memleak), "size", M, 0, "which call paths count as the top ones"},
    {"combined-only", NULL, 0, FLAG(combined_only), NULL, M, 0,
     "print bytes and counts by call path, of blocks of any age, without addresses"},
    {"min-size", "BYTES", 'z', BYTES(min_size, 0), NULL, T | K | M | P | D | SERVE, 0,
     "leave out smaller blocks; K, M, G or T may follow the number"},
    {"max-size", "BYTES", 'Z', BYTES(max_size, 1), NULL, T | K | M | P | D | SERVE, 0, "leave out larger blocks"},
    {"all", NULL, 'a', FLAG(all), NULL, SHM, 0, "show small ordinary files in memory, too"},
    {"min-size", "BYTES", 'z', BYTES(min_size, 0), "1M", SHM, 0,
     "which ordinary files in memory count as small: they are shown with --all only, and are never called leaked"},
    {"unused", "TIME", 0, DURATION(unused_ns, 0, 0), "2d", SHM, 0,
     "an ordinary file in memory that nobody holds is leaked when nobody has read or written it for this long"},
    {"suppressions", "FILE", 0, STRING(suppressions), NULL, T | P | D | SERVE | C, 0,
     "leave out the call paths that a file in LeakSanitizer's syntax names: lines leak:PATTERN, where PATTERN fits a "
     "function, source file or module"},
    {"fail-on-leak", NULL, 0, FLAG(fail_on_leak), NULL, T, 0,
     "with CMD: print only the last report, and end with status 1 when it shows a block of any age that the program "
     "had "
     "not freed when it ended, or with CMD's own status when that is not 0"},
    {"show-pc", NULL, 0, FLAG(show_pc), NULL, M, 0, "print the address of each frame, as newer bcc does"},
    {"json", NULL, 0, FLAG(json), NULL, T | K | S | C | W | SHM | TOP | MAP | P | D, 0,
     "print each report as one JSON object on one line"},
    {"format", "FORMAT", 0, CHOICE(format, scan_formats), "text", S | C, 0,
     "how to print it; lsan and valgrind as those tools do, for programs that read them"},
    {"format", "FORMAT", 0, CHOICE(format, formats), "text", T | P, 0,
     "how to print a report; folded (for flame graphs), pprof, html (a page for a browser), lsan and valgrind (as "
     "those "
     "tools print leaks, for programs that read them) hold every call path, and only of the last report"},
    {"color", "WHEN", 0, CHOICE(color, colors), "auto", T | K | S | C | W | P | D | TOP | MAP, 0,
     "colours; auto: on a terminal, unless NO_COLOR is set"},
    {"debuginfod", NULL, 0, FLAG(debuginfod), NULL, T | R | P | C | W | SERVE, 0,
     "ask the servers in DEBUGINFOD_URLS for missing debug information"},
    {"growth", NULL, 0, FLAG(growth), NULL, T, 0,
     "watch what makes the process itself larger: brk() and mmap(), and the page faults that bring memory in, by call "
     "path; what goes back is taken off. Cheap: no code of the program is touched; with --resident, how much of each "
     "mapping is in memory"},
    {"resident", NULL, 0, FLAG(resident), NULL, T | M | S | C, 0,
     "tell how much of each call path is in physical memory; what was allocated and never touched is not"},
    {"no-lines", NULL, 0, FLAG(no_lines), NULL, T | R | P | C | W | SERVE, 0,
     "functions only, no source lines: cheaper"},

    /* how to look */
    {"once", NULL, 0, FLAG(once), NULL, S, 0,
     "one scan instead of two that must agree; a block on its way from one place to another may then be called leaked"},
    {"no-snapshot", NULL, 0, FLAG(no_snapshot), NULL, S | C | W, 0,
     "read the process while it runs instead of a copy-on-write snapshot; what it changes meanwhile may be wrong"},
    {"max-pause", "TIME", 0, DURATION(max_pause_ns, NS_PER_MS, 0), "500ms", S | C | W, 0,
     "for how long the process may be stopped at most; when that is not enough for a snapshot, it is read while it "
     "runs"},
    {"max-memory", "BYTES", 0, BYTES(max_memory, 1 << 20), NULL, S | C, 0,
     "how much memory seep itself may use for it; default: a tenth of the heap, at least 64M"},
    {"max-memory", "BYTES", 0, BYTES(max_memory, 1 << 20), "1G", W, 0,
     "how much memory seep itself may use for it: some 24 bytes a block"},

    /* how to watch */
    {"engine", "ENGINE", 'e', CHOICE(engine, engines), "auto", T | K | M | R | P | C | SERVE, 0,
     "how to watch; agent: from inside the process, at a small part of a probe's cost; bpf: from the kernel; auto: "
     "agent, and where that is not possible bpf, and says why"},
    {"sample-rate", "N", 's', U64(sample_rate, 1, UINT32_MAX), "1", T | K | M | R | SERVE, 0,
     "record one allocation in N and scale the numbers up; 1: all, exact"},
    {"sample", "BYTES", 0, MAYBE(sample_bytes, 1), "512K", T | M | R | SERVE, 0,
     "engine agent: record a block every so many bytes on average, by chance, and scale the sums up"},
    {"max-memory", "BYTES", 0, BYTES(max_memory, 1 << 20), NULL, T | M | R | SERVE, 0,
     "engine agent: memory that watching may take in the process; then it goes on by sampling, and says so; default: "
     "256M, or a tenth of what the process may use"},
    {"max-pause", "TIME", 0, DURATION(max_pause_ns, 100000, NS_PER_MS), "50ms", T | M | R | SERVE, 0,
     "engine agent: give up where the process would have to be stopped for longer; a bare number is milliseconds"},
    {"table", "TABLE", 0, CHOICE(table, tables), "auto", T | M | R | SERVE, 0,
     "engine agent: where it keeps blocks; shadow: fast, a quarter of the heap; hash: for heaps that are huge and "
     "sparse"},
    {"max-blocks", "N", 0, U64(max_blocks, 1, 1u << 30), NULL, T | K | M | R | C | SERVE, 0,
     "room for this many blocks at a time; what does not fit is counted and reported"},
    {"max-paths", "N", 0, U64(max_paths, 1, 1u << 26), NULL, T | K | M | R | C | SERVE, 0,
     "room for this many call paths"},
    {"replay", "FILE", 0, STRING(replay), NULL, T | K | M, 0,
     "show a recording (doc/file-format.md) instead of watching; needs no privileges"},
    {"ebpf", NULL, 0, FLAG(ebpf), NULL, M, HIDDEN, "refused: there is no C text to print"},

    {"help", NULL, 'h', FLAG(help), NULL, ALL, 0, "print this help and end"},
    {"version", NULL, 0, FLAG(version), NULL, SP_FOR_SEEP | M, 0, "print the version and end"},
    {NULL, NULL, 0, FLAG(help), NULL, 0, 0, NULL},
};

static const struct sp_opt *find_from(const struct sp_opt *o, unsigned command)
{
	while (o->name && !(o->commands & command))
		o++;
	return o->name ? o : NULL;
}

const struct sp_opt *sp_opt_first(unsigned command)
{
	return find_from(sp_opts, command);
}

const struct sp_opt *sp_opt_next(const struct sp_opt *o, unsigned command)
{
	return find_from(o + 1, command);
}

const char *sp_opt_shown(const struct sp_opt *o, char *buf, size_t size)
{
	char letter[] = "-?, ";

	letter[1] = o->letter;
	if (o->how & SP_OPT_POSITIONAL)
		snprintf(buf, size, "%s", o->name);
	else if (o->type == SP_OPT_MAYBE)
		snprintf(buf, size, "%s--%s[=%s]", o->letter ? letter : "", o->name, o->arg);
	else
		snprintf(buf, size, "%s--%s%s%s", o->letter ? letter : "", o->name, o->arg ? " " : "",
			 o->arg ? o->arg : "");
	return buf;
}

/* snprintf at the end of what buf holds already. */
static void append(char *buf, size_t size, const char *before, const char *text)
{
	size_t len = strlen(buf);

	snprintf(buf + len, size - len, "%s%s", before, text);
}

const char *sp_opt_text(const struct sp_opt *o, char *buf, size_t size)
{
	const char *between = ": ";

	snprintf(buf, size, "%s", o->help);
	if (o->choices)
		append(buf, size, " ", "(one of");
	for (const struct sp_choice *c = o->choices; c && c->name; c++) {
		append(buf, size, between, c->name);
		between = ", ";
	}
	if (o->def)
		append(buf, size,
		       o->choices                ? "; default "
		       : o->type == SP_OPT_MAYBE ? " (without BYTES: "
						 : " (default ",
		       o->def);
	if (o->choices || o->def)
		append(buf, size, "", ")");
	return buf;
}
