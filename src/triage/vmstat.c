// SPDX-License-Identifier: Apache-2.0
/*
 * vmstat's line from two readings. What to count and how to round follows procps' vmstat, so that both print the same
 * of the same readings: memory in whole KiB, rates rounded to the nearest whole number, times in percent of all CPUs'
 * ticks, guest time as user time.
 */
#include "triage/triage.h"

/* A counter that runs backwards (idle and iowait may, for a moment) counts as standing still. */
static uint64_t since(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

static uint64_t per_second(uint64_t n, uint64_t elapsed_ns)
{
	const uint64_t ns_per_s = 1000000000u;

	return elapsed_ns ? (uint64_t)(((__uint128_t)n * ns_per_s + elapsed_ns / 2) / elapsed_ns) : 0;
}

static void put_times(const struct sp_activity *a, const struct sp_activity *b, uint64_t *v)
{
	uint64_t us = since(a->user, b->user) + since(a->nice, b->nice);
	uint64_t sy = since(a->sys, b->sys) + since(a->irq, b->irq) + since(a->softirq, b->softirq);
	uint64_t id = since(a->idle, b->idle), wa = since(a->iowait, b->iowait), st = since(a->steal, b->steal);
	uint64_t sum = us + sy + id + wa + st;

	if (!sum)
		sum = id = 1;
	v[SP_VMSTAT_us] = (100 * us + sum / 2) / sum;
	v[SP_VMSTAT_sy] = (100 * sy + sum / 2) / sum;
	v[SP_VMSTAT_id] = (100 * id + sum / 2) / sum;
	v[SP_VMSTAT_wa] = (100 * wa + sum / 2) / sum;
	v[SP_VMSTAT_st] = (100 * st + sum / 2) / sum;
}

struct sp_vmstat_line sp_vmstat_line_of(const struct sp_activity *before, const struct sp_activity *now,
					uint64_t elapsed_ns, const struct sp_meminfo *mem, uint64_t page_bytes)
{
	static const struct sp_activity boot;
	const struct sp_activity *a = before ? before : &boot;
	uint64_t ns = before ? elapsed_ns : now->uptime_ms * 1000000u, kib_per_page = page_bytes / 1024;
	struct sp_vmstat_line line = {0};
	uint64_t *v = line.v;

	v[SP_VMSTAT_r] = now->running;
	v[SP_VMSTAT_b] = now->blocked;
	v[SP_VMSTAT_swpd] = since(mem->swap_free, mem->swap_total) / 1024;
	v[SP_VMSTAT_free] = mem->free / 1024;
	v[SP_VMSTAT_buff] = mem->buffers / 1024;
	v[SP_VMSTAT_cache] = (mem->cached + mem->slab_reclaimable) / 1024;
	v[SP_VMSTAT_si] = per_second(since(a->swapped_in_pages, now->swapped_in_pages) * kib_per_page, ns);
	v[SP_VMSTAT_so] = per_second(since(a->swapped_out_pages, now->swapped_out_pages) * kib_per_page, ns);
	v[SP_VMSTAT_bi] = per_second(since(a->paged_in_kb, now->paged_in_kb), ns);
	v[SP_VMSTAT_bo] = per_second(since(a->paged_out_kb, now->paged_out_kb), ns);
	v[SP_VMSTAT_in] = per_second(since(a->interrupts, now->interrupts), ns);
	v[SP_VMSTAT_cs] = per_second(since(a->switches, now->switches), ns);
	put_times(a, now, v);
	return line;
}
