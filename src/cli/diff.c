// SPDX-License-Identifier: Apache-2.0
/* seep diff: what has grown between two recordings, or between two times of one. */
#include <errno.h>
#include <string.h>

#include "cli/run.h"
#include "report/diff.h"

/* A comparison being made: each recording is played once, and the looks that are wanted are taken. */
struct comparing {
	struct sp_diff *diff;
	uint64_t at_ns[SP_NR_DIFF_SIDES]; /* the first look so long after the first one; SP_LAST: the last look */
	bool is_wanted[SP_NR_DIFF_SIDES]; /* of the recording that is played */
	uint64_t began_ns;
	bool has_begun;
};

#define SP_LAST UINT64_MAX

static int take_side(struct comparing *c, enum sp_diff_side side, const struct sp_view *v, struct sp_why *why)
{
	uint64_t watched_ns = v->now_ns - c->began_ns;

	if (!c->is_wanted[side] || (c->at_ns[side] == SP_LAST ? !v->is_last : watched_ns < c->at_ns[side]))
		return 0;
	c->is_wanted[side] = false;
	int err = sp_diff_take(c->diff, side, v, watched_ns);
	return err ? sp_why_set(why, SP_FAULT_OURS, -err, "cannot compare: %s", strerror(-err)) : 0;
}

static int take(const struct sp_view *v, void *arg, struct sp_why *why)
{
	struct comparing *c = arg;

	if (!c->has_begun)
		c->began_ns = v->now_ns;
	c->has_begun = true;
	int err = take_side(c, SP_DIFF_BEFORE, v, why);
	return err ? err : take_side(c, SP_DIFF_AFTER, v, why);
}

/* Plays one file for the sides that are wanted of it. Returns an exit status. */
static int play(struct comparing *c, struct sp_run *run, const char *file)
{
	struct sp_why why = {0};

	c->has_begun = false;
	run->session.engine_config.replay_file = file;
	run->take = take;
	run->take_arg = c;
	int status = sp_run_session(run);
	if (status != SP_EXIT_DONE || (!c->is_wanted[SP_DIFF_BEFORE] && !c->is_wanted[SP_DIFF_AFTER]))
		return status;
	if (!c->has_begun)
		(void)sp_why_set(&why, SP_FAULT_TARGET, ENODATA, "%s holds no look", file);
	else
		(void)sp_why_set(&why, SP_FAULT_USAGE, ERANGE, "%s ends before the time that --%s asks for", file,
				 c->is_wanted[SP_DIFF_BEFORE] ? "from" : "to");
	return sp_cli_complain(run->cli, &why);
}

/* Both sides, of one file or of two. */
static int play_all(struct comparing *c, struct sp_run *run, const struct sp_args *args)
{
	const char *second = args->second ? args->second : args->target;

	c->is_wanted[SP_DIFF_BEFORE] = true;
	c->is_wanted[SP_DIFF_AFTER] = !args->second;
	int status = play(c, run, args->target);
	if (status != SP_EXIT_DONE || !args->second)
		return status;
	c->is_wanted[SP_DIFF_AFTER] = true;
	return play(c, run, second);
}

static int write_out(const struct sp_diff *d, const struct sp_run *run, const struct sp_args *args)
{
	int err = args->json ? sp_report_diff_json(stdout, d, (unsigned)args->top)
			     : sp_report_diff(stdout, d, (unsigned)args->top, &run->report);

	bool has_grown = args->fail_over && sp_diff_grown_bytes(d) > args->fail_over;

	return sp_cli_written(run->cli, err, has_grown ? SP_EXIT_LEAK : SP_EXIT_DONE);
}

static int compare(struct comparing *c, struct sp_run *run, const struct sp_args *args)
{
	struct sp_why why = {0};
	int status = play_all(c, run, args);

	if (status != SP_EXIT_DONE)
		return status;
	int err = sp_diff_compare(c->diff);
	if (err)
		return sp_run_finish(run->cli, err, &why);
	return write_out(c->diff, run, args);
}

static int init(struct sp_run *run, const struct sp_cli *cli, const struct sp_args *args, struct sp_why *why)
{
	if (!args->target) {
		int err = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "of what? (see '%s --help')", cli->called);
		sp_why_hint(why, "give two recordings, or one to compare its end with its beginning");
		return err;
	}
	return sp_run_init(run, cli, args, why);
}

static int run_diff(const struct sp_cli *cli, const struct sp_args *args)
{
	static const struct sp_choice replay = {"replay", 0}, by_size = {"size", SP_SORT_BYTES};
	const uint64_t end_of_first = args->second ? SP_LAST : 0;
	struct comparing c = {.at_ns = {[SP_DIFF_BEFORE] = args->from_ns ? args->from_ns : end_of_first,
					[SP_DIFF_AFTER] = args->to_ns ? args->to_ns : SP_LAST}};
	struct sp_args mine = *args;
	struct sp_why why = {0};
	struct sp_run run;

	mine.replay = args->target;
	mine.engine = &replay;
	mine.sort = &by_size;
	if (init(&run, cli, &mine, &why) < 0)
		return sp_cli_complain(cli, &why);
	run.session.target = NULL;
	run.session.top = 0;
	int err = sp_diff_new(&c.diff);
	if (err)
		return sp_run_finish(cli, err, &why);
	int status = compare(&c, &run, args);
	sp_diff_free(c.diff);
	return status;
}

static const struct sp_example examples[] = {
    {"app-1234.seep", "what the end of a recording holds that its beginning did not"},
    {"--from 5m --to 1h app-1234.seep", "the same of two times of it"},
    {"--fail-over 1M yesterday.seep today.seep", "status 1 when today's run left 1 MiB more than yesterday's"},
    {NULL, NULL},
};

const struct sp_command sp_command_diff = {
    .name = "diff",
    .id = SP_FOR_DIFF,
    .summary = "what has grown between two recordings, or two times of one",
    .usage = "[options] FILE [FILE]",
    .about =
	"Compares what two recordings hold at their ends, or one recording at two times, by call path: what grew, "
	"what is new, what shrank, what is gone. Names tell call paths from each other, so that the recordings may "
	"be of two runs and of two builds; of a file with another build-id, line numbers do not count.",
    .examples = examples,
    .run = run_diff,
};
