// SPDX-License-Identifier: Apache-2.0
/*
 * The screen of seep trace on a terminal. The session calls back with a view of each look, and of the same look again
 * after every key; what a key needs besides (every call path for an export, the blocks for a "why") is asked of that
 * view and carried out when it comes.
 */
#include "cli/live.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "cli/live_export.h"
#include "cli/live_keys.h"
#include "cli/live_rows.h"
#include "cli/source.h"
#include "cli/terminal.h"

#define MAX_VIEW_PATHS (1u << 24) /* more than a view has */
#define MAX_ROWS       1000       /* call paths that are named for the screen; the sums above it are of all */

struct live {
	struct sp_run *run;
	const struct sp_args *args;
	struct sp_terminal terminal;
	struct sp_live_keys keys;
	struct sp_baseline baseline;
	struct sp_vec rows; /* struct sp_live_row, of the view that is being shown */
	struct sp_vec ids;  /* uint32_t: of the same call paths; the keys need them when the view has gone */
	struct sp_source *source;
	enum sp_live_wish todo; /* with the next view */
	char pid[16];
	char message[512];
	bool is_over; /* a program on the terminal in our place was told to end, and we with it */
};

/* ---- what it looks like ---- */

/* LC_ALL, LC_CTYPE and LANG, in this order, as setlocale(3) has it. */
static bool is_unicode(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	const char *value = NULL;

	for (size_t i = 0; i < SP_ARRAY_SIZE(names) && !(value && *value); i++)
		value = getenv(names[i]);
	return value && (strcasestr(value, "utf-8") || strcasestr(value, "utf8"));
}

static const char *name_of_sort(enum sp_sort sort)
{
	static const char *const names[] = {
	    [SP_SORT_BYTES] = "size", [SP_SORT_BLOCKS] = "blocks", [SP_SORT_GROWTH] = "growth", [SP_SORT_AGE] = "age"};

	return names[sort];
}

static const char *source_line(const struct sp_frame *f, void *arg)
{
	struct live *live = arg;

	return live->source ? sp_source_line(live->source, f) : NULL;
}

/* What was not named, as far as there is nothing else to say. */
static const char *message_of(struct live *live, const struct sp_view *v, char *buf, size_t size)
{
	if (live->message[0])
		return live->message;
	if (v->total_paths <= v->nr_paths)
		return NULL;
	snprintf(buf, size, "the first %zu of %" PRIu64 " call paths by %s; the sums above are of all", v->nr_paths,
		 v->total_paths, name_of_sort(live->run->session.sort));
	return buf;
}

static int draw(struct live *live, const struct sp_view *v)
{
	char foot[200], help[1600], message[200];
	struct sp_live s = {
	    .colour = live->run->report.colour,
	    .unicode = is_unicode(),
	    .page = live->keys.page,
	    .list = live->rows.data,
	    .nr = live->rows.nr,
	    .selected = sp_live_keys_row(&live->keys, live->ids.data, live->ids.nr),
	    .scroll = &live->keys.scroll,
	    .sort = name_of_sort(live->keys.sort),
	    .filter = live->keys.filter,
	    .foot = sp_live_keys_foot(&live->keys, foot, sizeof(foot)),
	    .help = sp_live_keys_help(help, sizeof(help)),
	    .message = message_of(live, v, message, sizeof(message)),
	    .interval_ns = live->run->session.interval_ns,
	    .paused = live->keys.paused,
	    .has_baseline = live->keys.has_baseline,
	    .baseline_ns = live->baseline.now_ns,
	    .source = source_line,
	    .source_arg = live,
	};

	sp_terminal_size(&s.rows, &s.columns);
	return sp_report_live(stdout, v, &s);
}

static int make_rows(struct live *live, const struct sp_view *v)
{
	const struct sp_baseline *b = live->keys.has_baseline ? &live->baseline : NULL;
	int err = sp_live_rows_make(v, live->keys.filter, b, live->keys.sort == SP_SORT_GROWTH, &live->rows);

	sp_vec_clear(&live->ids);
	for (size_t i = 0; i < live->rows.nr && !err; i++)
		err = sp_vec_push(&live->ids, &sp_vec_at(&live->rows, struct sp_live_row, i)->path->sum.path);
	return err;
}

/* ---- what a key left to be done with the next view ---- */

/* Runs seep itself in our place. The watch goes on meanwhile, but nobody looks. */
static void lend(struct live *live, const char *command, const char *address)
{
	char seep[] = "seep", name[16], pid[16], word[24];
	char *argv[] = {seep, name, pid, address ? word : NULL, NULL};

	snprintf(name, sizeof(name), "%s", command);
	snprintf(pid, sizeof(pid), "%s", live->pid);
	snprintf(word, sizeof(word), "%s", address ? address : "");
	if (sp_terminal_lend(&live->terminal, argv, "seep trace", &live->is_over) < 0)
		snprintf(live->message, sizeof(live->message), "cannot start seep %s", command);
}

/* The oldest block: what leaks has been there longest. */
static void ask_why(struct live *live, const struct sp_view *v)
{
	const struct sp_block *oldest = NULL;
	char address[24];

	for (size_t i = 0; i < v->nr_paths; i++) {
		const struct sp_view_path *p = &v->paths[i];

		for (size_t k = 0; k < p->nr_list && p->sum.path == live->keys.selected; k++)
			if (!oldest || p->list[k].birth_ns < oldest->birth_ns)
				oldest = &p->list[k];
	}
	if (!oldest) {
		snprintf(live->message, sizeof(live->message), "this call path holds nothing any more");
		return;
	}
	snprintf(address, sizeof(address), "0x%" PRIx64, oldest->addr);
	lend(live, "why", address);
}

static void carry_out(struct live *live, const struct sp_view *v)
{
	enum sp_live_wish todo = live->todo;

	live->todo = SP_LIVE_WISH_DRAW;
	live->run->session.top = MAX_ROWS;
	live->run->session.list = SP_LIST_NONE;
	if (todo == SP_LIVE_WISH_EXPORT)
		sp_live_export(v, (enum sp_report_format)live->keys.format, live->message, sizeof(live->message));
	else if (todo == SP_LIVE_WISH_WHY)
		ask_why(live, v);
	else if (todo == SP_LIVE_WISH_BASELINE && live->keys.has_baseline && sp_baseline_set(&live->baseline, v)) {
		live->keys.has_baseline = false;
		snprintf(live->message, sizeof(live->message), "no memory for that");
	}
}

/* ---- the session calls ---- */

/* What the screen showed at its end stays behind, as text. */
static int say_last(struct live *live, const struct sp_view *v)
{
	struct sp_view last = *v;

	if (live->args->top && last.nr_paths > live->args->top)
		last.nr_paths = live->args->top;
	return sp_report_trace(stdout, &last, &live->run->report);
}

static int on_view(const struct sp_view *v, void *arg, struct sp_why *why)
{
	struct live *live = arg;
	int err;

	(void)why;
	if (v->is_last)
		return say_last(live, v);
	carry_out(live, v);
	err = make_rows(live, v);
	return err ? err : draw(live, v);
}

static void open_source(struct live *live, pid_t pid)
{
	struct sp_why unused = {0};

	snprintf(live->pid, sizeof(live->pid), "%d", (int)pid);
	if (sp_source_open(pid, &live->source, &unused))
		live->source = NULL; /* stacks without source lines */
}

static int on_notice(const struct sp_run *run, enum sp_notice n, pid_t pid, const char *text)
{
	struct live *live = run->take_arg;

	if (n == SP_NOTICE_ENDED)
		sp_terminal_leave(&live->terminal);
	if (!live->terminal.is_entered)
		(void)sp_run_talk_stderr(run, n, pid, text);
	else
		snprintf(live->message, sizeof(live->message), "%s", text);
	if (n == SP_NOTICE_WATCHING) {
		open_source(live, pid);
		sp_terminal_enter(&live->terminal);
	}
	return 0;
}

static void apply(struct live *live)
{
	struct sp_session_options *o = &live->run->session;

	o->sort = live->keys.sort;
	o->paused = live->keys.paused;
	o->resident = live->keys.resident;
	o->top = live->todo == SP_LIVE_WISH_EXPORT ? 0 : MAX_ROWS;
	o->list = live->todo == SP_LIVE_WISH_WHY ? SP_LIST_PATH : SP_LIST_NONE;
}

static enum sp_screen_answer on_key(struct live *live)
{
	struct sp_live_shown shown = {.ids = live->ids.data, .nr = live->ids.nr};
	unsigned rows, columns;
	char bytes[64];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (n <= 0) /* poll() said that there is something: the terminal has gone */
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? SP_SCREEN_GO_ON : SP_SCREEN_END;
	sp_terminal_size(&rows, &columns);
	shown.page_rows = sp_report_live_room(rows);
	live->message[0] = '\0';
	live->todo = sp_live_keys_take(&live->keys, bytes, (size_t)n, &shown);
	if (live->todo == SP_LIVE_WISH_SCAN)
		lend(live, "scan", NULL);
	apply(live);
	return live->todo == SP_LIVE_WISH_QUIT || live->is_over ? SP_SCREEN_END : SP_SCREEN_REDRAW;
}

static enum sp_screen_answer on_event(enum sp_screen_event e, void *arg)
{
	struct live *live = arg;

	if (e == SP_SCREEN_KEY)
		return on_key(live);
	if (e == SP_SCREEN_LAST)
		sp_terminal_leave(&live->terminal);
	else if (e == SP_SCREEN_STOP)
		sp_terminal_stop(&live->terminal);
	else
		sp_terminal_enter(&live->terminal); /* after a SIGSTOP from elsewhere it is there already */
	return SP_SCREEN_REDRAW;
}

/* ---- the whole ---- */

bool sp_live_is_wanted(const struct sp_args *args)
{
	return !args->plain && !args->json && !args->count && !args->list && !args->replay && !args->argv &&
	       args->format->value == SP_REPORT_trace && sp_terminal_is_there();
}

void sp_live_say_none(const struct sp_cli *cli, const char *why)
{
	if (sp_terminal_is_there() && isatty(STDERR_FILENO))
		fprintf(stderr, "%s: text instead of a screen: %s\n", cli->program, why);
}

static void init(struct live *live, struct sp_run *run, const struct sp_args *args)
{
	*live = (struct live){.run = run, .args = args};
	live->keys.sort = run->session.sort;
	live->keys.resident = true;
	sp_baseline_init(&live->baseline);
	sp_vec_init(&live->rows, sizeof(struct sp_live_row), MAX_VIEW_PATHS);
	sp_vec_init(&live->ids, sizeof(uint32_t), MAX_VIEW_PATHS);
	run->take = on_view;
	run->take_arg = live;
	run->talk = on_notice;
	run->event = on_event;
	run->key_fd = STDIN_FILENO;
	run->session.verdicts = true;
	apply(live);
}

int sp_live_run(struct sp_run *run, const struct sp_args *args)
{
	struct live live;
	int status;

	init(&live, run, args);
	status = sp_run_session(run);
	sp_source_close(live.source);
	sp_baseline_done(&live.baseline);
	sp_vec_done(&live.rows);
	sp_vec_done(&live.ids);
	return status;
}
