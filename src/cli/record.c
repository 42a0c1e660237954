// SPDX-License-Identifier: Apache-2.0
/* seep record: a watch into a file, for seep report and seep trace --replay. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/run.h"
#include "record/record.h"
#include "session/leaks.h"

/* One recording. Its file is made when the first view comes: then the target's name is known, and that it can be
 * watched. */
struct recording {
	struct sp_run run;
	struct sp_recorder_options o;
	struct sp_recorder *recorder;
	uint64_t scan_ns;       /* so often; 0: never */
	struct sp_leaks *leaks; /* made with the file */
	char pid[16];
	char name[128];
};

static void name_file(struct recording *rec, const struct sp_view *v)
{
	if (rec->o.path)
		return;
	snprintf(rec->name, sizeof(rec->name), "%s-%d.seep", v->comm, (int)v->pid);
	for (char *p = rec->name; *p; p++)
		if (*p == '/' || *p == ' ')
			*p = '_';
	rec->o.path = rec->name;
}

static void say_scan(const char *text, void *arg)
{
	const struct recording *rec = arg;

	fprintf(stderr, "%s: %s\n", rec->run.cli->program, text);
}

static int begin(struct recording *rec, const struct sp_view *v, struct sp_why *why)
{
	int err = sp_recorder_open(&rec->o, &rec->recorder, why);

	if (err || !rec->scan_ns)
		return err;
	snprintf(rec->pid, sizeof(rec->pid), "%d", (int)v->pid);
	rec->leaks = sp_leaks_new(rec->pid, rec->scan_ns, say_scan, rec);
	return rec->leaks ? 0 : sp_why_set(why, SP_FAULT_OURS, ENOMEM, "out of memory");
}

/* What a scan that followed this look has found; NULL: there was none. */
static const struct sp_leaks_found *scan(struct recording *rec, const struct sp_view *v)
{
	bool is_done = rec->leaks && !v->target_ended &&
		       (v->is_last ? sp_leaks_look_last(rec->leaks, v) : sp_leaks_look(rec->leaks, v));

	return is_done ? sp_leaks_found(rec->leaks) : NULL;
}

static int take(const struct sp_view *v, void *arg, struct sp_why *why)
{
	struct recording *rec = arg;
	int err = 0;

	name_file(rec, v);
	if (!rec->recorder)
		err = begin(rec, v, why);
	if (!err)
		err = sp_recorder_add(rec->recorder, v, scan(rec, v), why);
	if (err == -EFBIG)
		sp_why_hint(why, "it is as big as --max-size allows; what was recorded until now can be used");
	return err;
}

static int init(struct recording *rec, const struct sp_cli *cli, const struct sp_args *args, struct sp_why *why)
{
	if (!args->target && !args->argv) {
		int err = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "which program? (see '%s --help')", cli->called);
		sp_why_hint(why, "give its PID, its name, or -- and a command to start");
		return err;
	}
	int err = sp_run_init(&rec->run, cli, args, why);
	if (err)
		return err;
	rec->o = (struct sp_recorder_options){.path = args->output, .max_bytes = args->max_file, .lists = args->blocks};
	rec->scan_ns = args->scan_ns;
	rec->run.take = take;
	rec->run.take_arg = rec;
	rec->run.session.list = SP_LIST_ALL;
	rec->run.session.top = 0;
	if (args->for_ns)
		rec->run.session.count = args->for_ns / args->interval_ns ? args->for_ns / args->interval_ns : 1;
	return 0;
}

static void say_what_is_there(const struct recording *rec)
{
	struct sp_recorder_stats s;
	char bytes[16];

	if (!rec->recorder)
		return;
	sp_recorder_stats(rec->recorder, &s);
	fprintf(stderr, "%s: recorded %" PRIu64 " look%s in %s (%s)\n", rec->run.cli->program, s.nr_views,
		s.nr_views == 1 ? "" : "s", rec->o.path, sp_text_bytes(bytes, sizeof(bytes), s.bytes));
	if (s.nr_skipped)
		fprintf(stderr, "%s: %" PRIu64 " looks were left out, to stay below --max-size\n",
			rec->run.cli->program, s.nr_skipped);
}

static int run_record(const struct sp_cli *cli, const struct sp_args *args)
{
	struct recording rec = {0};
	struct sp_why why = {0};

	if (init(&rec, cli, args, &why) < 0)
		return sp_cli_complain(cli, &why);
	int status = sp_run_session(&rec.run);
	int err = sp_recorder_finish(rec.recorder, &why);
	say_what_is_there(&rec);
	sp_leaks_free(rec.leaks);
	sp_recorder_free(rec.recorder);
	return err && status == SP_EXIT_DONE ? sp_cli_complain(cli, &why) : status;
}

static const struct sp_example examples[] = {
    {"--for 10m redis-server", "ten minutes of redis-server, into redis-server-PID.seep"},
    {"-o app.seep -i 100ms -- ./app --port 80", "start ./app and record it ten times a second until it ends"},
    {"--scan 1m --for 1h 1234", "and every minute what nothing in the process points to any more"},
    {"--blocks -o app.seep 1234", "with the address of every block: larger, and seep report --list can show them"},
    {NULL, NULL},
};

const struct sp_command sp_command_record = {
    .name = "record",
    .id = SP_FOR_RECORD,
    .summary = "watch a program into a file",
    .usage = "[options] PID|NAME\n[options] -- CMD ARG...",
    .about = "Watches a program as seep trace does and writes what it sees into a file: at each look how many blocks "
	     "of which size each "
	     "call path holds, with names and source lines, and what was not seen. The file is complete at any moment, "
	     "even if seep is killed. "
	     "seep report and seep trace --replay read it, on any machine.",
    .examples = examples,
    .run = run_record,
};
