// SPDX-License-Identifier: Apache-2.0
/* Any bytes as the kernel's types, cut down to what a program names. */
#include <bpf/btf.h>
#include <stdint.h>

#include "engines/bpf/impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct btf *ours;
	struct btf *few;

	if (!ours) {
		ours = btf__new_empty();
		if (!ours || btf__add_struct(ours, "wanted", 8) < 0)
			return 0;
	}
	if (!sp_bpf_types_cut(data, size, ours, &few))
		btf__free(few);
	return 0;
}
