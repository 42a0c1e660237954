// SPDX-License-Identifier: Apache-2.0
/* What makes a process itself larger: the programs of bpf/growth.bpf.h on the kernel's tracepoints. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "engines/bpf/impl.h"

/*
 * Does rss_stat come with every page? Since Linux 6.2, when its count was taken from its arguments; before that the
 * kernel counted 64 faults together. In the type: a context, the memory, which counter, and the count.
 */
bool sp_bpf_growth_is_confirmed(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *t = NULL;

	if (!btf)
		return false;
	int id = btf__find_by_name_kind(btf, "btf_trace_rss_stat", BTF_KIND_TYPEDEF);
	if (id > 0)
		t = btf__type_by_id(btf, btf__type_by_id(btf, (uint32_t)id)->type);
	if (t && btf_is_ptr(t))
		t = btf__type_by_id(btf, t->type);
	bool is_confirmed = t && btf_is_func_proto(t) && btf_vlen(t) == 3;
	btf__free(btf);
	return is_confirmed;
}

/* A state of its first thread, by which the programs know the target where its pid is not known. */
static int mark(struct bpf_map *threads, int pidfd)
{
	sp_autofree void *state = calloc(1, bpf_map__value_size(threads));

	if (!state)
		return -ENOMEM;
	return bpf_map_update_elem(bpf_map__fd(threads), &pidfd, state, BPF_ANY) ? -errno : 0;
}

int sp_bpf_growth_attach(struct sp_bpf_links *l, struct bpf_program *const *programs, size_t nr,
			 struct bpf_map *threads, const struct sp_proc *target, struct sp_why *why)
{
	int err = mark(threads, sp_proc_pidfd(target));

	for (size_t i = 0; i < nr && !err; i++) {
		if (!bpf_program__autoload(programs[i]))
			continue;
		struct bpf_link *link = bpf_program__attach(programs[i]);
		err = link ? sp_vec_push(&l->objects, &link) : -errno;
	}
	return err ? sp_bpf_explain(err, "attach to the kernel's tracepoints", why) : 0;
}
