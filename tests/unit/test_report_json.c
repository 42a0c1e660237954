// SPDX-License-Identifier: Apache-2.0
/* report/json.c and report/jsonw.c. */
#include "view_fixture.h"

#include "report/jsonw.h"

/* Everything that must not reach a reader as it is: quotes, controls, C1, overlong and cut UTF-8, a surrogate. */
static const char nasty[] = "a\"b\\c/\b\f\n\r\t\x01\x7f\xc2\x85\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\xa7"
			    "|\xff|\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\xe2\x82";
static const char harmless[] =
    "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u007f\\u0085\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\xa7"
    "|\\ufffd|\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd\"";

static void a_report_is_one_line_with_the_documented_keys(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.view.nr_paths = 1;
	f.paths[0].frames = &f.leak[2];
	f.paths[0].nr_frames = 1;
	f.view.lost[SP_LOST_STACK_CUT] = 12;
	assert_report(
	    sp_report_json, &f.view, (struct sp_report_options){0},
	    "{\"schema\":\"seep/1\",\"kind\":\"outstanding\",\"time\":\"2023-11-15T03:00:41.123Z\",\"engine\":\"bpf\","
	    "\"pid\":12512,\"comm\":\"app\",\"kernel\":false,\"report\":2,\"last\":false,\"target_ended\":false,"
	    "\"interval_ms\":5000,\"scale\":1,\"sample_bytes\":0,\"filter\":{\"older_ms\":500,\"min_size\":0,\"max_"
	    "size\":null},"
	    "\"totals\":{\"bytes\":41205,\"blocks\":6,\"paths\":2},\"suppressed\":{\"bytes\":0,\"blocks\":0,\"paths\":"
	    "0},\"paths\":[{\"bytes\":40960,\"blocks\":5,\"error_"
	    "bytes\":0,\"error_blocks\":0,"
	    "\"growth_bytes\":24576,\"growth_blocks\":3,\"total_growth_bytes\":40960,\"oldest_ms\":12500,"
	    "\"survival\":{\"seen\":340,\"freed\":12},\"frames\":[{\"function\":\"start_thread\",\"offset\":219,"
	    "\"module\":\"libc.so.6\",\"module_path\":\"/usr/lib/libc.so.6\","
	    "\"build_id\":\"51657f818beb1ae70372216a99b7412b8a100a20\",\"module_offset\":\"0x89144\",\"file\":null,"
	    "\"line\":null,\"address\":\"0x7f8f70300144\",\"inlined\":false}]}],\"lost\":{\"stack_cut\":12}}\n");
}

static void blocks_are_listed_under_their_path(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.view.nr_paths = 1;
	f.paths[0].list = f.list;
	f.paths[0].nr_list = 2;
	text = report_text(sp_report_json, &f.view, (struct sp_report_options){.show_list = true});
	assert_non_null(strstr(text,
			       "\"inlined\":false}],\"list\":[{\"address\":\"0x7f8f70861210\",\"size\":8192,"
			       "\"age_ms\":2000},{\"address\":\"0x7f8f70863220\",\"size\":8192,\"age_ms\":1000}]}]"));
	free(text);
}

static void a_list_of_all_blocks_stands_beside_the_paths(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.view.nr_paths = 0;
	f.view.list = &f.list[2];
	f.view.nr_list = 1;
	text = report_text(sp_report_json, &f.view, (struct sp_report_options){.show_list = true});
	assert_non_null(strstr(text,
			       "\"paths\":[],\"list\":[{\"address\":\"0x7f8f70900000\",\"size\":245,\"age_ms\":800}],"
			       "\"lost\":{}}\n"));
	free(text);
}

static void an_unknown_call_path_has_no_address(void **state)
{
	struct sp_frame none = {.function = "[call path unknown]"};
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	f.view.nr_paths = 1;
	f.paths[0].frames = &none;
	f.paths[0].nr_frames = 1;
	text = report_text(sp_report_json, &f.view, (struct sp_report_options){0});
	assert_non_null(strstr(text, "{\"function\":\"[call path unknown]\",\"offset\":null,\"module\":null,"));
	assert_non_null(strstr(text, "\"address\":null"));
	free(text);
}

static char *written(void (*write)(struct sp_jsonw *w))
{
	char *text = NULL;
	size_t len = 0;
	struct sp_out out = {.stream = open_memstream(&text, &len)};
	struct sp_jsonw w;

	assert_non_null(out.stream);
	sp_jsonw_init(&w, &out);
	write(&w);
	sp_jsonw_line(&w);
	assert_int_equal(sp_out_finish(&out), 0);
	fclose(out.stream);
	return text;
}

static void write_nasty(struct sp_jsonw *w)
{
	sp_jsonw_string(w, nasty);
}

static void write_nested(struct sp_jsonw *w)
{
	sp_jsonw_array(w);
	sp_jsonw_object(w);
	sp_jsonw_end(w);
	sp_jsonw_object(w);
	sp_jsonw_key(w, "a");
	sp_jsonw_array(w);
	sp_jsonw_end(w);
	sp_jsonw_key(w, "b");
	sp_jsonw_string(w, NULL);
	sp_jsonw_end(w);
	sp_jsonw_u64(w, UINT64_MAX);
	sp_jsonw_i64(w, INT64_MIN);
	sp_jsonw_bool(w, true);
	sp_jsonw_hex(w, UINT64_MAX);
	sp_jsonw_string(w, "");
	sp_jsonw_end(w);
}

static void strings_of_any_bytes_become_valid_utf8(void **state)
{
	char *text = written(write_nasty);

	(void)state;
	text[strlen(text) - 1] = '\0';
	assert_string_equal(text, harmless);
	free(text);
}

static void commas_stand_between_values_only(void **state)
{
	char *text = written(write_nested);

	(void)state;
	assert_string_equal(text, "[{},{\"a\":[],\"b\":null},18446744073709551615,-9223372036854775808,true,"
				  "\"0xffffffffffffffff\",\"\"]\n");
	free(text);
}

static void a_full_disk_is_reported(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	assert_reports_full_disk(sp_report_json, &f.view);
}

static void hard_view(struct fixture *f)
{
	fixture_init(f);
	f->view.comm = nasty;
	f->leak[0].function = nasty;
	f->leak[1].file = nasty;
	f->view.list = f->list;
	f->view.nr_list = 3;
	for (unsigned i = 0; i < SP_NR_LOST; i++)
		f->view.lost[i] = UINT64_MAX;
}

static int write_hard_report(const char *path)
{
	const struct sp_report_options o = {.show_list = true};
	struct fixture f;
	FILE *out = fopen(path, "w");
	int r;

	if (!out)
		return 1;
	hard_view(&f);
	r = sp_report_json(out, &f.view, &o);
	return fclose(out) || r;
}

/* Other people's parsers are the judge; each is tried if it is there. */
static void other_readers_accept_a_hard_report(void **state)
{
	static const char *const readers[] = {
	    "python3 -c 'import json,sys; json.load(open(sys.argv[1], encoding=\"utf-8\"))'",
	    "jq -e .lost.blocks_full"};
	char path[] = "/tmp/seep-test-json-XXXXXX", command[256];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(write_hard_report(path), 0);
	for (size_t i = 0; i < SP_ARRAY_SIZE(readers); i++) {
		snprintf(command, sizeof(command), "command -v %.7s >/dev/null || exit 0; %s %s >/dev/null",
			 i ? "jq" : "python3", readers[i], path);
		assert_int_equal(system(command), 0);
	}
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_report_is_one_line_with_the_documented_keys),
	    cmocka_unit_test(blocks_are_listed_under_their_path),
	    cmocka_unit_test(a_list_of_all_blocks_stands_beside_the_paths),
	    cmocka_unit_test(an_unknown_call_path_has_no_address),
	    cmocka_unit_test(strings_of_any_bytes_become_valid_utf8),
	    cmocka_unit_test(commas_stand_between_values_only),
	    cmocka_unit_test(other_readers_accept_a_hard_report),
	    cmocka_unit_test(a_full_disk_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
