// SPDX-License-Identifier: Apache-2.0
/* A look at the machine and at every process, into the triage. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "session/top_impl.h"

int sp_top_open(struct sp_top *t, const struct sp_top_options *o, struct sp_why *why)
{
	int err;

	*t = (struct sp_top){.o = o};
	sp_vec_init(&t->slabs_before, sizeof(struct sp_slab), SP_SLAB_MAX);
	sp_vec_init(&t->slabs_now, sizeof(struct sp_slab), SP_SLAB_MAX);
	sp_vec_init(&t->suspects, sizeof(struct sp_suspect), SP_PS_MAX);
	sp_vec_init(&t->rows, sizeof(struct sp_top_row), SP_TOP_MAX_ROWS);
	err = sp_cgroups_open(o->procfs, &t->cgroups, why);
	if (!err)
		err = sp_ps_open(o->procfs, t->cgroups, &t->table, why);
	if (!err && sp_triage_new(SP_PS_MAX, &t->triage) < 0)
		err = sp_why_set(why, SP_FAULT_OURS, ENOMEM, "no memory for the histories of processes");
	if (!err)
		t->has_slabs = !sp_slabs_read(o->procfs, &t->slabs_before);
	return err;
}

void sp_top_close(struct sp_top *t)
{
	sp_triage_free(t->triage);
	sp_ps_close(t->table);
	sp_cgroups_close(t->cgroups);
	sp_vec_done(&t->slabs_before);
	sp_vec_done(&t->slabs_now);
	sp_vec_done(&t->suspects);
	sp_vec_done(&t->rows);
	sp_vec_done(&t->full);
}

/* The machine's numbers as near to each other as can be, and before the processes', which take longer. */
static int read_machine(struct sp_top *t, struct sp_top_look *look, struct sp_why *why)
{
	const struct sp_procfs *fs = t->o->procfs;
	int err;

	clock_gettime(CLOCK_REALTIME, &look->time);
	look->now_ns = sp_clock_ns();
	err = sp_meminfo_read(fs, &look->mem, why);
	if (!err)
		err = sp_activity_read(fs, &look->activity, why);
	look->pressure = sp_pressure_read(fs);
	return err;
}

static int take_processes(struct sp_top *t)
{
	const struct sp_machine m = sp_machine_of(&t->now.mem);
	int err = 0;

	sp_triage_begin(t->triage, t->now.now_ns, &m);
	/* We are left out: our own tables fill while we watch, and that is nobody's question. */
	for (size_t i = 0; i < sp_ps_nr(t->table) && !err; i++)
		if (t->o->procfs || sp_ps_at(t->table, i)->pid != getpid())
			err = sp_triage_process(t->triage, sp_ps_at(t->table, i));
	sp_triage_end(t->triage);
	return err;
}

int sp_top_look(struct sp_top *t, struct sp_why *why)
{
	struct sp_top_look look;
	int err = read_machine(t, &look, why);

	if (!err)
		err = sp_ps_scan(t->table, look.mem.swap_free < look.mem.swap_total, why);
	if (err)
		return err;
	t->before = t->nr_looks ? t->now : look;
	t->now = look;
	if (!t->nr_looks++)
		t->first = look;
	err = take_processes(t);
	if (!err)
		err = sp_top_watch_cgroups(t);
	return err ? sp_why_set(why, SP_FAULT_OURS, -err, "cannot keep the histories of processes: %s", strerror(-err))
		   : 0;
}
