// SPDX-License-Identifier: Apache-2.0
/*
 * Finds what is ours among the target's mappings: by marks, since it may be an earlier run's. Marked regions are small,
 * private and anonymous; the agent's data is a memfd by the name of seep.
 */
#include "inject/impl.h"

#include <errno.h>
#include <string.h>

#include "wire/agent.h"

enum { MARKED_MAX = 4 << 20 /* bytes of a marked region */ };

/* From mapping i on, nothing but private anonymous memory up to start + bytes. */
static bool is_anonymous_up_to(const struct sp_maps *maps, size_t i, uint64_t bytes)
{
	uint64_t at = maps->list[i].start, end = at + bytes;

	for (; i < maps->nr && at < end; i++) {
		const struct sp_mapping *m = &maps->list[i];
		if (m->start != at || m->inode || m->path[0] || (m->prot & SP_PROT_SHARED))
			return false;
		at = m->end;
	}
	return at >= end;
}

/* Whoever wrote this mark: does it make sense? */
static bool is_sound(const struct sp_inject_mark *mark, const struct sp_maps *maps, size_t i)
{
	if (mark->magic != SP_INJECT_MAGIC || mark->kind < SP_INJECT_CODE || mark->kind > SP_INJECT_MAILBOX)
		return false;
	if (!mark->bytes || mark->bytes > MARKED_MAX || mark->bytes % 4096)
		return false;
	return mark->active_offset <= mark->bytes - sizeof(uint32_t) && is_anonymous_up_to(maps, i, mark->bytes);
}

bool sp_region_is_others(const struct sp_inject *in, const struct sp_inject_mark *mark)
{
	const struct sp_inject_mark *own = &in->owner;

	return in->own_only && (mark->owner_pid != own->owner_pid || mark->owner_start != own->owner_start ||
				mark->owner_pid_ns != own->owner_pid_ns);
}

static bool is_marked(struct sp_inject *in, const struct sp_maps *maps, size_t i, struct sp_region *ret)
{
	const struct sp_mapping *m = &maps->list[i];

	if (m->inode || m->path[0] || (m->prot & SP_PROT_SHARED) || m->end - m->start > MARKED_MAX)
		return false;
	*ret = (struct sp_region){.start = m->start};
	if (sp_inject_read(in, m->start, &ret->mark, sizeof(ret->mark)) < 0 || !is_sound(&ret->mark, maps, i) ||
	    sp_region_is_others(in, &ret->mark))
		return false;
	ret->bytes = ret->mark.bytes;
	ret->kind = ret->mark.kind;
	return true;
}

static bool is_data(struct sp_inject *in, const struct sp_mapping *m, struct sp_region *ret)
{
	struct sp_agent_header header;

	if (!(m->prot & SP_PROT_SHARED) || !sp_inject_is_memfd(m->path) || m->offset ||
	    sp_inject_read(in, m->start, &header, sizeof(header)) < 0 || header.magic != SP_AGENT_MAGIC)
		return false;
	const struct sp_inject_mark owner = {.owner_pid = header.watcher_pid,
					     .owner_start = header.watcher_start,
					     .owner_pid_ns = header.watcher_pid_ns};
	if (sp_region_is_others(in, &owner))
		return false;
	*ret = (struct sp_region){.start = m->start, .bytes = m->end - m->start, .kind = SP_REGION_DATA};
	return true;
}

static bool is_blank(struct sp_inject *in, uint64_t addr)
{
	static const uint8_t zeroes[4096];
	uint8_t page[sizeof(zeroes)];

	return sp_inject_read(in, addr, page, sizeof(page)) == 0 && !memcmp(page, zeroes, sizeof(page));
}

/* What this mailbox's owner was about to map when it was killed: there, anonymous, and still blank. */
static bool is_intended(struct sp_inject *in, const struct sp_maps *maps, const struct sp_region *mailbox,
			struct sp_region *ret)
{
	uint64_t words[2];

	if (sp_inject_read(in, mailbox->start + SP_MAILBOX_INTENT, words, sizeof(words)) < 0)
		return false;
	*ret = (struct sp_region){.start = words[0], .bytes = words[1], .kind = SP_INJECT_NEAR};
	for (size_t i = 0; i < maps->nr; i++)
		if (maps->list[i].start == words[0])
			return words[1] && words[1] <= MARKED_MAX && words[1] % 4096 == 0 &&
			       is_anonymous_up_to(maps, i, words[1]) && is_blank(in, words[0]);
	return false;
}

int sp_regions_find(struct sp_inject *in, const struct sp_maps *maps, struct sp_vec *ret)
{
	struct sp_region r, intended;

	for (size_t i = 0; i < maps->nr; i++) {
		if (!is_marked(in, maps, i, &r) && !is_data(in, &maps->list[i], &r))
			continue;
		int rc = sp_vec_push(ret, &r);
		if (rc == 0 && r.kind == SP_INJECT_MAILBOX && is_intended(in, maps, &r, &intended))
			rc = sp_vec_push(ret, &intended);
		if (rc < 0)
			return rc;
	}
	return 0;
}
