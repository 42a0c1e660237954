// SPDX-License-Identifier: Apache-2.0
/* A view made by hand, for the tests of report/: two call paths of the demo, the second with inlined and nameless
 * frames. */
#ifndef SEEP_TESTS_VIEW_FIXTURE_H
#define SEEP_TESTS_VIEW_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <time.h>

#include "report/report.h"

#define FIXTURE_NOW_NS 1000000000000u

struct fixture {
	struct sp_view view;
	struct sp_view_path paths[2];
	struct sp_frame leak[3], other[4];
	struct sp_block list[3];
};

static inline void fixture_leak(struct fixture *f)
{
	f->leak[0] = (struct sp_frame){.address = 0x55d000001170,
				       .function = "fibonacci",
				       .raw_function = "fibonacci",
				       .offset = 0x1f,
				       .module = "app",
				       .module_path = "/app",
				       .build_id = "5e3cbd3c8a1f0b6d",
				       .module_offset = 0x1170,
				       .file = "leak.c",
				       .line = 21};
	f->leak[1] = f->leak[0];
	f->leak[1].function = "child";
	f->leak[1].offset = 0x4f;
	f->leak[1].address = 0x55d0000011f0;
	f->leak[1].line = 40;
	f->leak[2] = (struct sp_frame){.address = 0x7f8f70300144,
				       .function = "start_thread",
				       .offset = 0xdb,
				       .module = "libc.so.6",
				       .module_path = "/usr/lib/libc.so.6",
				       .build_id = "51657f818beb1ae70372216a99b7412b8a100a20",
				       .module_offset = 0x89144};
	f->paths[0] = (struct sp_view_path){.sum = {.path = 1,
						    .bytes = 40960,
						    .blocks = 5,
						    .growth_bytes = 24576,
						    .growth_blocks = 3,
						    .total_growth_bytes = 40960,
						    .oldest_birth_ns = FIXTURE_NOW_NS - 12500000000u,
						    .old_seen = 340,
						    .old_freed = 12},
					    .frames = f->leak,
					    .nr_frames = 3};
}

static inline void fixture_other(struct fixture *f)
{
	f->other[0] = (struct sp_frame){.address = 0x55d000002000,
					.function = "std::vector<int>::push_back(int const&)",
					.offset = 0x40,
					.module = "app",
					.module_path = "/app",
					.file = "/usr/include/c++/12/bits/stl_vector.h",
					.line = 1287,
					.inlined = true};
	f->other[1] = f->other[0];
	f->other[1].function = "fill(std::vector<int>&)";
	f->other[1].file = "/src/main.cc";
	f->other[1].line = 7;
	f->other[1].inlined = false;
	f->other[2] =
	    (struct sp_frame){.address = 0x7f8f70400abc, .module = "libstripped.so.1", .module_offset = 0xabc};
	f->other[3] = (struct sp_frame){.address = 0x7f0000000010};
	f->paths[1] = (struct sp_view_path){.sum = {.path = 2,
						    .bytes = 245,
						    .blocks = 1,
						    .growth_bytes = -100,
						    .growth_blocks = -1,
						    .oldest_birth_ns = FIXTURE_NOW_NS - 800000000u},
					    .frames = f->other,
					    .nr_frames = 4};
}

static inline void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	fixture_leak(f);
	fixture_other(f);
	f->list[0] = (struct sp_block){0x7f8f70861210, 8192, FIXTURE_NOW_NS - 2000000000u, 1, SP_FN_MALLOC, 0};
	f->list[1] = (struct sp_block){0x7f8f70863220, 8192, FIXTURE_NOW_NS - 1000000000u, 1, SP_FN_MALLOC, 0};
	f->list[2] = (struct sp_block){0x7f8f70900000, 245, FIXTURE_NOW_NS - 800000000u, 2, SP_FN_MALLOC, 0};
	f->view = (struct sp_view){
	    .engine = "bpf",
	    .pid = 12512,
	    .comm = "app",
	    .time = {.tv_sec = 1700017241, .tv_nsec = 123456789}, /* 2023-11-15 03:00:41 UTC */
	    .now_ns = FIXTURE_NOW_NS,
	    .interval_ns = 5000000000u,
	    .scale = 1,
	    .nr_report = 2,
	    .filter = {.min_age_ns = 500000000u},
	    .top = 10,
	    .paths = f->paths,
	    .nr_paths = 2,
	    .total_paths = 2,
	    .total_bytes = 41205,
	    .total_blocks = 6,
	};
}

typedef int (*report_fn)(FILE *out, const struct sp_view *v, const struct sp_report_options *o);

/* The report's text; free() it. */
static __attribute__((noinline, unused)) char *report_text(report_fn report, const struct sp_view *v,
							   struct sp_report_options o)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	o.utc = true;
	assert_non_null(f);
	assert_int_equal(report(f, v, &o), 0);
	assert_int_equal(fclose(f), 0);
	return text;
}

static inline void assert_report(report_fn report, const struct sp_view *v, struct sp_report_options o,
				 const char *want)
{
	char *got = report_text(report, v, o);

	assert_string_equal(got, want);
	free(got);
}

/* A stream to nowhere with room for nothing must be said, not swallowed. */
static inline void assert_reports_full_disk(report_fn report, const struct sp_view *v)
{
	const struct sp_report_options o = {.utc = true, .show_list = true};
	FILE *f = fopen("/dev/full", "w");

	if (!f)
		skip();
	assert_int_equal(report(f, v, &o), -ENOSPC);
	fclose(f);
}

#endif
