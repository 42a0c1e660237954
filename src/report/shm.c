// SPDX-License-Identifier: Apache-2.0
/*
 * Shared memory as text: a sentence, one line an object, the commands that remove what is leaked.
 *
 *	81.2 MiB of shared memory in 14 objects; leaked: 64.0 MiB in 2
 *
 *	state   kind          size  in memory     age  owner     what
 *	leaked  sysv      64.0 MiB   64.0 MiB   2m10s  root      id 5, key 0x51234abc, creator 812 is gone, never
 *attached mapped  posix      8.0 MiB    2.1 MiB   3d04h  redis     /dev/shm/cache, held by redis-server[77]
 *
 *	to remove what is leaked, if you know that nobody will want it again:
 *	  ipcrm -m 5
 */
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>

#include "report/out.h"
#include "report/shm.h"

enum { NR_HOLDERS_SHOWN = 3 };

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static bool is_shown(const struct sp_shm_object *o, const struct sp_report_shm_options *opt)
{
	if (opt->all)
		return true;
	return o->resident + o->swapped >= opt->min_bytes || o->state == SP_SHM_IS_LEAKED ||
	       !(o->kind == SP_SHM_TMPFS && o->state == SP_SHM_IS_IDLE);
}

static const char *owner_of(uint32_t uid, char *buf, size_t size)
{
	struct passwd pw, *found = NULL;
	char store[2048];

	if (getpwuid_r(uid, &pw, store, sizeof(store), &found) == 0 && found)
		return sp_text_printable(buf, size, found->pw_name);
	snprintf(buf, size, "%u", uid);
	return buf;
}

/* snprintf at the end of what buf holds already. */
sp_printf(3, 4) static void append(char *buf, size_t size, const char *fmt, ...)
{
	size_t len = strlen(buf);
	va_list args;

	va_start(args, fmt);
	vsnprintf(buf + len, size - len, fmt, args);
	va_end(args);
}

/* "; held by redis[77] app[12](fd) and 3 more" */
static void put_holders(struct sp_out *out, const struct sp_shm_object *o)
{
	bool is_held = o->state == SP_SHM_IS_MAPPED || o->state == SP_SHM_IS_OPEN;

	if (is_held && !o->nr_holders)
		sp_out_puts(out, ", held by somebody not seen");
	for (size_t i = 0; i < o->nr_holders && i < NR_HOLDERS_SHOWN; i++)
		sp_out_printf(out, "%s %s[%d]%s", i ? "" : ", held by", o->holders[i].comm, (int)o->holders[i].pid,
			      o->holders[i].nr_maps ? "" : "(fd)");
	if (o->nr_holders > NR_HOLDERS_SHOWN)
		sp_out_printf(out, " and %zu more", o->nr_holders - NR_HOLDERS_SHOWN);
}

static uint64_t since(const struct sp_shm *s, int64_t then_s)
{
	return then_s >= 0 && s->now_s > then_s ? (uint64_t)(s->now_s - then_s) * 1000000000u : 0;
}

static void describe_segment(const struct sp_shm *s, const struct sp_shm_object *o, char *buf, size_t size)
{
	char span[16];

	append(buf, size, "id %u, key 0x%08x", o->id, o->key);
	if (o->creator)
		append(buf, size, ", creator %d%s", (int)o->creator, o->creator_lives ? "" : " is gone");
	else
		append(buf, size, ", creator unknown");
	if (o->attached_s > 0)
		append(buf, size, ", last attached %s ago",
		       sp_text_duration(span, sizeof(span), since(s, o->attached_s)));
	else
		append(buf, size, ", never attached");
	if (o->deleted)
		append(buf, size, ", goes with its last detach");
	if (o->swapped)
		append(buf, size, ", %s swapped", sp_text_bytes(span, sizeof(span), o->swapped));
}

static void put_what(struct sp_out *out, const struct sp_shm *s, const struct sp_shm_object *o)
{
	char text[512] = "";

	if (o->kind == SP_SHM_SYSV) {
		describe_segment(s, o, text, sizeof(text));
	} else {
		sp_text_printable(text, sizeof(text) - 64, o->name);
		if (o->deleted && o->kind != SP_SHM_MEMFD)
			append(text, sizeof(text), " (deleted)");
	}
	/* Where the path or number holds: what only descriptors lead to is not looked up by a name. */
	if (o->member && (o->kind == SP_SHM_SYSV || !o->deleted))
		append(text, sizeof(text), " (namespace of %d)", (int)o->member);
	sp_out_puts(out, text);
}

static void put_object(struct sp_out *out, const struct sp_shm *s, const struct sp_shm_object *o)
{
	char size[16], memory[16], age[16] = "-", owner[64];

	if (o->created_s >= 0)
		sp_text_duration(age, sizeof(age), since(s, o->created_s));
	sp_out_printf(out, "%-7s %-7s %10s %10s %7s  %-8s  ", sp_shm_state_key(o->state), sp_shm_kind_key(o->kind),
		      sp_text_bytes(size, sizeof(size), o->size), sp_text_bytes(memory, sizeof(memory), o->resident),
		      age, owner_of(o->uid, owner, sizeof(owner)));
	put_what(out, s, o);
	put_holders(out, o);
	sp_out_puts(out, "\n");
}

static void put_list(struct sp_out *out, const struct sp_shm *s, const struct sp_report_shm_options *opt)
{
	uint64_t nr = 0, left_out = 0;
	char bytes[16];

	for (size_t i = 0; i < s->nr && !out->err; i++) {
		if (!is_shown(&s->list[i], opt)) {
			left_out++;
			continue;
		}
		if (!nr++)
			sp_out_printf(out, "\n%-7s %-7s %10s %10s %7s  %-8s  %s\n", "state", "kind", "size",
				      "in memory", "age", "owner", "what");
		put_object(out, s, &s->list[i]);
	}
	if (left_out)
		sp_out_printf(out, "\n%" PRIu64 " ordinary file%s in memory under %s not shown (--all shows %s)\n",
			      left_out, plural(left_out), sp_text_bytes(bytes, sizeof(bytes), opt->min_bytes),
			      left_out == 1 ? "it" : "them");
}

/* A path as a shell reads it back. Names that steer terminals are not offered at all. */
static bool quote(const char *name, char *buf, size_t size)
{
	char clean[512];
	size_t n = 0;

	sp_text_printable(clean, sizeof(clean), name);
	if (strcmp(clean, name) != 0)
		return false;
	buf[n++] = '\'';
	for (; *name && n + 6 < size; name++) {
		if (*name == '\'') {
			memcpy(buf + n, "'\\''", 4);
			n += 4;
		} else {
			buf[n++] = *name;
		}
	}
	buf[n++] = '\'';
	buf[n] = '\0';
	return !*name;
}

static void put_remedy(struct sp_out *out, const struct sp_shm_object *o)
{
	char path[700], enter[64] = "";

	if (o->member)
		snprintf(enter, sizeof(enter), "nsenter --target %d --%s ", (int)o->member,
			 o->kind == SP_SHM_SYSV ? "ipc" : "mount");
	if (o->kind == SP_SHM_SYSV)
		sp_out_printf(out, "  %sipcrm -m %u\n", enter, o->id);
	else if (quote(o->name, path, sizeof(path)))
		sp_out_printf(out, "  %srm -- %s\n", enter, path);
}

static void put_remedies(struct sp_out *out, const struct sp_shm *s)
{
	if (!s->nr_leaked)
		return;
	sp_out_puts(out, "\nto remove what is leaked, if nobody will want its contents again:\n");
	for (size_t i = 0; i < s->nr && s->list[i].state == SP_SHM_IS_LEAKED && !out->err; i++)
		put_remedy(out, &s->list[i]);
}

static void put_unseen(struct sp_out *out, const struct sp_shm *s)
{
	if (s->nr_hidden_processes)
		sp_out_printf(out, "not seen: what %" PRIu64 " process%s %s (not permitted)\n", s->nr_hidden_processes,
			      s->nr_hidden_processes == 1 ? "" : "es", s->nr_hidden_processes == 1 ? "holds" : "hold");
	if (s->nr_hidden_ns)
		sp_out_printf(out, "not seen: %" PRIu64 " other namespace%s (not permitted)\n", s->nr_hidden_ns,
			      plural(s->nr_hidden_ns));
	if (s->nr_skipped)
		sp_out_printf(out, "not seen: %" PRIu64 " folder%s or object%s\n", s->nr_skipped, plural(s->nr_skipped),
			      plural(s->nr_skipped));
	if (s->others_exist)
		sp_out_puts(out, "not seen: processes outside this container, which may hold what looks unused here\n");
}

int sp_report_shm(FILE *stream, const struct sp_shm *s, const struct sp_report_shm_options *opt)
{
	struct sp_out out = {.stream = stream};
	char total[16], leaked[16];

	if (!s->nr)
		sp_out_puts(&out, "no shared memory; ");
	else
		sp_out_printf(&out, "%s of shared memory in %zu object%s; ",
			      sp_text_bytes(total, sizeof(total), s->total_bytes), s->nr, plural(s->nr));
	if (s->nr_leaked)
		sp_out_printf(&out, "leaked: %s in %" PRIu64 "\n",
			      sp_text_bytes(leaked, sizeof(leaked), s->leaked_bytes), s->nr_leaked);
	else
		sp_out_puts(&out, "nothing leaked\n");
	put_list(&out, s, opt);
	put_remedies(&out, s);
	put_unseen(&out, s);
	return sp_out_finish(&out);
}
