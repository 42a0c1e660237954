// SPDX-License-Identifier: Apache-2.0
/* seep top: where the machine's memory goes, whose it is, and what to type next. */
#include <errno.h>
#include <string.h>

#include "cli/run.h"
#include "cli/terminal.h"
#include "cli/top_keys.h"

struct top {
	const struct sp_args *args;
	struct sp_report_options report;
	int (*write)(FILE *out, const struct sp_top_view *v, const struct sp_report_options *o);
	bool is_screen;
	struct sp_terminal terminal;
	struct sp_top_keys keys;
	pid_t pids[SP_TOP_MAX_ROWS]; /* of the rows on the screen */
	size_t nr_pids;
};

/* ---- the screen ---- */

static const char *name_of_sort(const struct top *t)
{
	const struct sp_choice *c = sp_top_sorts;

	while (c->name && c->value != t->keys.show.sort)
		c++;
	return c->name ? c->name : "";
}

static int draw(struct top *t, const struct sp_top_view *v)
{
	struct sp_screen s = {.colour = t->report.colour,
			      .selected = t->keys.selected,
			      .sort = name_of_sort(t),
			      .filter = t->keys.filter,
			      .paused = t->keys.show.paused,
			      .is_typing = t->keys.is_typing};

	t->nr_pids = v->nr_rows;
	for (size_t i = 0; i < v->nr_rows; i++)
		t->pids[i] = v->rows[i].suspect.ps.pid;
	sp_terminal_size(&s.rows, &s.columns);
	return sp_report_top_screen(stdout, v, &s);
}

/* What the screen showed at its end stays behind, as text. */
static int say_last(struct top *t, const struct sp_top_view *v)
{
	struct sp_top_view last = *v;
	unsigned rows;

	sp_terminal_leave(&t->terminal);
	sp_terminal_size(&rows, &t->report.width);
	last.is_fresh = false;
	last.nr_rows = v->nr_rows < t->args->top || !t->args->top ? v->nr_rows : t->args->top;
	return sp_report_top(stdout, &last, &t->report);
}

static int on_report(const struct sp_top_view *v, void *arg)
{
	struct top *t = arg;

	if (!t->is_screen)
		return t->write(stdout, v, &t->report);
	return v->is_last ? say_last(t, v) : draw(t, v);
}

/* ---- keys ---- */

static enum sp_screen_answer trace(struct top *t)
{
	char pid[16], seep[] = "seep", command[] = "trace";
	char *argv[] = {seep, command, pid, NULL};
	bool is_over = false;

	snprintf(pid, sizeof(pid), "%d", (int)t->keys.selected);
	if (sp_terminal_lend(&t->terminal, argv, "seep top", &is_over) < 0)
		return SP_SCREEN_REDRAW;
	return is_over ? SP_SCREEN_END : SP_SCREEN_REDRAW;
}

static enum sp_screen_answer on_key(struct top *t)
{
	char bytes[64];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (n <= 0) /* poll() said that there is something: the terminal has gone */
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? SP_SCREEN_GO_ON : SP_SCREEN_END;
	switch (sp_top_keys_take(&t->keys, bytes, (size_t)n, t->pids, t->nr_pids)) {
	case SP_TOP_WISH_QUIT:
		return SP_SCREEN_END;
	case SP_TOP_WISH_TRACE:
		return trace(t);
	default:
		return SP_SCREEN_REDRAW;
	}
}

static enum sp_screen_answer on_event(enum sp_screen_event e, void *arg)
{
	struct top *t = arg;

	if (e == SP_SCREEN_KEY)
		return on_key(t);
	if (e == SP_SCREEN_STOP)
		sp_terminal_stop(&t->terminal);
	else
		sp_terminal_enter(&t->terminal); /* after a SIGSTOP from elsewhere it is there already */
	return SP_SCREEN_REDRAW;
}

/* ---- the command ---- */

static void init(struct top *t, const struct sp_args *args)
{
	*t = (struct top){
	    .args = args,
	    .report = sp_run_report_options(args),
	    .write = args->json ? sp_report_top_json : sp_report_top,
	    .is_screen = !args->json && !args->batch && sp_terminal_is_there(),
	    .keys = {.show = {.sort = (enum sp_suspect_sort)args->sort->value, .top = (unsigned)args->top}},
	};
	snprintf(t->keys.filter, sizeof(t->keys.filter), "%s", args->filter ? args->filter : "");
	t->keys.show.filter = t->keys.filter;
	if (t->is_screen)
		t->keys.show.top = 0; /* it scrolls */
}

static int run_top(const struct sp_cli *cli, const struct sp_args *args)
{
	struct sp_why why = {0};
	struct top t;
	int err;

	init(&t, args);
	const struct sp_top_options options = {.interval_ns = args->interval_ns,
					       .count = args->count,
					       .show = &t.keys.show,
					       .key_fd = t.is_screen ? STDIN_FILENO : -1};
	if (t.is_screen)
		sp_terminal_enter(&t.terminal);
	err = sp_top_run(&options, &(struct sp_top_callbacks){on_report, on_event, &t}, &why);
	sp_terminal_leave(&t.terminal);
	return sp_run_finish(cli, err, &why);
}

static const struct sp_example examples[] = {
    {"", "a screen that is drawn anew every 3 seconds; q ends it with the sentence"},
    {"3 10", "ten looks, 3 seconds apart; in a pipe, vmstat's lines and the sentence at the end"},
    {"--batch 60 60 | tail -n 1", "only the sentence, after an hour"},
    {"--json 5 | jq -r .verdict.sentence", "for programs: one JSON object a look"},
    {"--filter docker --sort anon", "only what runs in docker's containers, the largest first"},
    {NULL, NULL},
};

const struct sp_command sp_command_top = {
    .name = "top",
    .id = SP_FOR_TOP,
    .summary = "where the machine's memory goes, whose it is, what to type next",
    .usage = "[options] [INTERVAL [COUNT]]",
    .about = "Shows vmstat's line every INTERVAL, which kind of memory grew since the start, and which processes' "
	     "anonymous memory grows, how fast and how surely; and ends with one sentence that says where free memory "
	     "went, whether that is a leak at all, and the command to type next.",
    .examples = examples,
    .run = run_top,
};
