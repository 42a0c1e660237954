// SPDX-License-Identifier: Apache-2.0
/* serve/: who may ask for what; addresses and tokens; samples of a view; metrics and the list of targets as text. */
#include "view_fixture.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve/metrics.h"
#include "serve/pages.h"
#include "serve/request.h"
#include "serve/sample.h"

static const struct sp_serve_gate open_gate = {.is_loopback = true};
static const struct sp_serve_gate token_gate = {.token = "0123456789abcdef", .is_loopback = false};

static unsigned ask(const struct sp_serve_gate *gate, struct sp_serve_words w)
{
	struct sp_serve_request q;
	const char *why = "";

	w.method = w.method ? w.method : "GET";
	w.path = w.path ? w.path : "/metrics";
	return sp_serve_decide(gate, &w, &q, &why);
}

#define ASK(gate, ...) ask(&(gate), (struct sp_serve_words){__VA_ARGS__})

static void only_get_and_head_without_a_body_are_answered(void **state)
{
	(void)state;
	assert_int_equal(ASK(open_gate, .host = "localhost:9745"), 200);
	assert_int_equal(ASK(open_gate, .method = "HEAD"), 200);
	assert_int_equal(ASK(open_gate, .method = "POST"), 405);
	assert_int_equal(ASK(open_gate, .method = "get"), 405);
	assert_int_equal(ASK(open_gate, .has_body = true), 413);
}

static void only_known_paths_are_there(void **state)
{
	(void)state;
	assert_int_equal(ASK(open_gate, .path = "/"), 200);
	assert_int_equal(ASK(open_gate, .path = "/profile", .pid = "12"), 200);
	assert_int_equal(ASK(open_gate, .path = "/profile", .pid = "12x"), 400);
	assert_int_equal(ASK(open_gate, .path = "/profile", .pid = "-1"), 400);
	assert_int_equal(ASK(open_gate, .path = "/profile", .pid = "99999999999"), 400);
	assert_int_equal(ASK(open_gate, .path = "/../etc/passwd"), 404);
	assert_int_equal(ASK(open_gate, .path = ""), 404);
	assert_int_equal(ASK(open_gate, .path = "/metrics/"), 404);
}

static void a_foreign_name_of_this_machine_is_refused(void **state)
{
	static const char *const own[] = {"localhost",    "LOCALHOST:9745", "127.0.0.1",
					  "127.1.2.3:80", "[::1]",          "[::1]:9745"};
	static const char *const foreign[] = {
	    "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "127.evil.example", "[::1", "",
	    "[::1]x",       "128.0.0.1:9745",         "127.0.0.1x:80"};

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(own); i++)
		assert_int_equal(ASK(open_gate, .host = own[i]), 200);
	for (size_t i = 0; i < SP_ARRAY_SIZE(foreign); i++)
		assert_int_equal(ASK(open_gate, .host = foreign[i]), 403);
	assert_int_equal(ASK(token_gate, .host = "evil.example", .authorization = "Bearer 0123456789abcdef"), 200);
}

static void the_token_is_asked_for_except_by_a_probe(void **state)
{
	(void)state;
	assert_int_equal(ASK(token_gate, .path = "/healthz"), 200);
	assert_int_equal(ASK(token_gate), 401);
	assert_int_equal(ASK(token_gate, .path = "/nothing"), 401);
	assert_int_equal(ASK(token_gate, .authorization = "Bearer 0123456789abcdef"), 200);
	assert_int_equal(ASK(token_gate, .authorization = "Bearer 0123456789abcdeF"), 401);
	assert_int_equal(ASK(token_gate, .authorization = "Bearer 0123456789abcdef0123456789abcdef"), 401);
	assert_int_equal(ASK(token_gate, .authorization = "Bearer 0123456789"), 401);
	assert_int_equal(ASK(token_gate, .authorization = "Bearer "), 401);
	/* "anybody:0123456789abcdef", as a browser says it; the same without the user; without the colon */
	assert_int_equal(ASK(token_gate, .authorization = "Basic YW55Ym9keTowMTIzNDU2Nzg5YWJjZGVm"), 200);
	assert_int_equal(ASK(token_gate, .authorization = "Basic OjAxMjM0NTY3ODlhYmNkZWY="), 200);
	assert_int_equal(ASK(token_gate, .authorization = "Basic MDEyMzQ1Njc4OWFiY2RlZg=="), 401);
	assert_int_equal(ASK(token_gate, .authorization = "Basic !!!!"), 401);
	assert_int_equal(ASK(token_gate, .authorization = "Basic "), 401);
}

static void addresses_are_numbers_with_a_port(void **state)
{
	static const struct {
		const char *text, *shown;
		bool is_loopback;
	} good[] = {{"127.0.0.1:9745", "127.0.0.1:9745", true}, {"localhost:0", "127.0.0.1:0", true},
		    {"127.8.8.8:1", "127.8.8.8:1", true},       {"[::1]:9745", "[::1]:9745", true},
		    {"0.0.0.0:65535", "0.0.0.0:65535", false},  {"[::]:80", "[::]:80", false}};
	static const char *const bad[] = {
	    "",        ":9745",  "127.0.0.1", "127.0.0.1:",     "127.0.0.1:65536", "::1:9745", "[::1]",
	    "[::1:80", "a.b:80", "1.2.3:80",  "[127.0.0.1]:80", "[]:80",           "1.2.3.4:x"};
	struct sp_serve_address a;
	char text[64];

	(void)state;
	for (size_t i = 0; i < SP_ARRAY_SIZE(good); i++) {
		assert_int_equal(sp_serve_address_parse(good[i].text, &a, NULL), 0);
		assert_string_equal(sp_serve_address_text(&a, text, sizeof(text)), good[i].shown);
		assert_int_equal(a.is_loopback, good[i].is_loopback);
	}
	for (size_t i = 0; i < SP_ARRAY_SIZE(bad); i++) {
		struct sp_why why = {0};

		assert_int_equal(sp_serve_address_parse(bad[i], &a, &why), -EINVAL);
		assert_int_equal(why.fault, SP_FAULT_USAGE);
		assert_non_null(strstr(why.hint, "127.0.0.1:9745"));
	}
}

/* ---- the token's file ---- */

static int read_token(const char *text, mode_t mode, char *ret, struct sp_why *why)
{
	char path[] = "/tmp/seep-token-XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	*why = (struct sp_why){0};
	r = sp_serve_token_read(path, ret, why);
	unlink(path);
	return r;
}

static void a_token_file_is_a_secret_or_refused(void **state)
{
	char token[SP_SERVE_TOKEN_MAX + 1], long_line[SP_SERVE_TOKEN_MAX + 100];
	struct sp_why why;

	(void)state;
	assert_int_equal(read_token("0123456789abcdef\nmore\n", 0600, token, &why), 0);
	assert_string_equal(token, "0123456789abcdef");
	assert_int_equal(read_token("0123456789abcdef\r\n", 0640, token, &why), 0);
	assert_string_equal(token, "0123456789abcdef");
	assert_int_equal(read_token("0123456789abcde\n", 0600, token, &why), -EINVAL);
	assert_non_null(strstr(why.what, "less than 16"));
	assert_int_equal(read_token("0123456789abcdef\n", 0644, token, &why), -EINVAL);
	assert_non_null(strstr(why.what, "read by everybody"));
	assert_int_equal(read_token("0123456789abcdef\n", 0660, token, &why), -EINVAL);
	memset(long_line, 'x', sizeof(long_line) - 1);
	long_line[sizeof(long_line) - 1] = '\0';
	assert_int_equal(read_token(long_line, 0600, token, &why), -EINVAL);
	assert_non_null(strstr(why.what, "more than 512"));
	assert_int_equal(sp_serve_token_read("/nowhere/token", token, &why), -ENOENT);
	assert_int_equal(sp_serve_token_read("/", token, &why), -EINVAL);
}

/* ---- samples ---- */

static void make_growing(struct fixture *f)
{
	fixture_init(f);
	f->view.has_verdicts = true;
	f->paths[0].verdict = (struct sp_verdict){.class = SP_CLASS_GROWING, .trend.slope = 100};
	f->paths[1].verdict = (struct sp_verdict){.class = SP_CLASS_STEADY};
	f->view.lost[SP_LOST_STACK_CUT] = 7;
	f->view.own_cpu_ns = 1500000000;
}

static void a_sample_has_the_worst_paths_first(void **state)
{
	struct sp_leaks_found leaks;
	struct fixture f;

	(void)state;
	make_growing(&f);
	struct sp_sample *s = sp_sample_make(&f.view, 10, NULL);
	assert_non_null(s);
	assert_true(sp_sample_is_good(s, sp_sample_size(s->nr_paths)));
	assert_int_equal(s->nr_paths, 2);
	assert_int_equal(s->growing_bytes, 40960);
	assert_string_equal(s->paths[0].function, "fibonacci");
	assert_string_equal(s->paths[0].place, "leak.c:21");
	assert_string_equal(s->paths[0].stack, "start_thread;child;fibonacci");
	assert_int_equal(s->paths[1].growing_bytes, 0);
	uint64_t id = s->paths[0].id;
	free(s);

	/* what leaks stands before what grows, however little it is */
	sp_u64map_init(&leaks.bytes, 8);
	sp_u64map_init(&leaks.blocks, 8);
	assert_int_equal(sp_u64map_set(&leaks.bytes, 3, 245), 0);
	assert_int_equal(sp_u64map_set(&leaks.blocks, 3, 1), 0);
	s = sp_sample_make(&f.view, 1, &leaks);
	assert_int_equal(s->nr_paths, 1);
	assert_int_equal(s->paths[0].leaked_bytes, 245);
	assert_int_equal(s->growing_bytes, 40960); /* of all paths, shown or not */
	free(s);
	sp_u64map_done(&leaks.bytes);
	sp_u64map_done(&leaks.blocks);

	/* another run: other addresses, the same name */
	for (unsigned i = 0; i < 3; i++)
		f.leak[i].address += 0x1000000;
	s = sp_sample_make(&f.view, 10, NULL);
	assert_int_equal(s->paths[0].id, id);
	free(s);
}

static void paths_of_one_name_are_one(void **state)
{
	struct fixture f;

	(void)state;
	make_growing(&f);
	f.paths[1].frames = f.leak;
	f.paths[1].nr_frames = 3;
	struct sp_sample *s = sp_sample_make(&f.view, 10, NULL);
	assert_int_equal(s->nr_paths, 1);
	assert_int_equal(s->paths[0].bytes, 41205);
	assert_int_equal(s->paths[0].blocks, 6);
	assert_int_equal(s->paths[0].growing_bytes, 40960);
	free(s);
}

static void a_deep_stack_keeps_its_inner_end(void **state)
{
	struct sp_frame deep[120];
	struct fixture f;

	(void)state;
	make_growing(&f);
	for (unsigned i = 0; i < SP_ARRAY_SIZE(deep); i++)
		deep[i] = f.leak[i ? 1 : 0];
	f.paths[0].frames = deep;
	f.paths[0].nr_frames = SP_ARRAY_SIZE(deep);
	struct sp_sample *s = sp_sample_make(&f.view, 10, NULL);
	const char *stack = s->paths[0].stack;
	assert_int_equal(strncmp(stack, "...;child;", 10), 0);
	assert_string_equal(stack + strlen(stack) - 16, ";child;fibonacci");
	free(s);
}

static void bytes_that_are_no_sample_are_refused(void **state)
{
	struct fixture f;

	(void)state;
	make_growing(&f);
	struct sp_sample *s = sp_sample_make(&f.view, 10, NULL);
	size_t size = sp_sample_size(2);
	assert_false(sp_sample_is_good(s, size - 1));
	assert_false(sp_sample_is_good(s, 8));
	s->nr_paths = 1ull << 60;
	assert_false(sp_sample_is_good(s, size));
	s->nr_paths = 2;
	memset(s->paths[1].stack, 'x', sizeof(s->paths[1].stack));
	assert_false(sp_sample_is_good(s, size));
	free(s);
}

/* ---- text ---- */

static char *written(int (*write)(FILE *, const struct sp_metrics *), const struct sp_metrics *m)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(write(out, m), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in:\n%s", part, text);
}

static void metrics_have_every_target_and_are_escaped(void **state)
{
	struct fixture f;

	(void)state;
	make_growing(&f);
	f.leak[0].function = "quote\"back\\slash";
	struct sp_sample *s = sp_sample_make(&f.view, 10, NULL);
	const struct sp_metrics_target list[] = {
	    {.pid = 12512, .comm = "app", .is_up = true, .sample = s},
	    {.pid = 7, .comm = "other", .reason = "cannot attach: \"no\"", .failures = 3}};
	struct sp_metrics m = {.list = list, .nr = 2, .nr_refused = 1, .is_openmetrics = true};
	char *text = written(sp_metrics_write, &m);

	assert_has(text, "# TYPE seep_lost counter\n");
	assert_has(text, "seep_lost_total{pid=\"12512\",comm=\"app\",kind=\"stack_cut\"} 7\n");
	assert_has(text, "seep_up{pid=\"12512\",comm=\"app\"} 1\nseep_up{pid=\"7\",comm=\"other\"} 0\n");
	assert_has(text, "seep_down_info{pid=\"7\",comm=\"other\",reason=\"cannot attach: \\\"no\\\"\"} 1\n");
	assert_has(text, "seep_growing_bytes{pid=\"12512\",comm=\"app\"} 40960\n");
	assert_has(text, "seep_watch_cpu_seconds_total{pid=\"12512\",comm=\"app\"} 1.500000000\n");
	assert_has(text, "function=\"quote\\\"back\\\\slash\"");
	assert_has(text, "seep_targets_refused 1\n");
	assert_null(strstr(text, "seep_leaked_bytes{")); /* no scan has said */
	assert_null(strstr(text, "seep_limit_bytes{"));
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	free(text);

	m.is_openmetrics = false;
	text = written(sp_metrics_write, &m);
	assert_has(text, "# TYPE seep_lost_total counter\n");
	assert_null(strstr(text, "# EOF"));
	free(text);
	free(s);
}

static void the_list_escapes_names_of_targets(void **state)
{
	const struct sp_metrics_target list[] = {{.pid = 7, .comm = "<script>&", .reason = "a<b"}};
	const struct sp_metrics m = {.list = list, .nr = 1};
	char *text = written(sp_page_targets, &m);

	(void)state;
	assert_has(text, "&lt;script>&amp;");
	assert_has(text, "a&lt;b");
	assert_null(strstr(text, "<script"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_get_and_head_without_a_body_are_answered),
	    cmocka_unit_test(only_known_paths_are_there),
	    cmocka_unit_test(a_foreign_name_of_this_machine_is_refused),
	    cmocka_unit_test(the_token_is_asked_for_except_by_a_probe),
	    cmocka_unit_test(addresses_are_numbers_with_a_port),
	    cmocka_unit_test(a_token_file_is_a_secret_or_refused),
	    cmocka_unit_test(a_sample_has_the_worst_paths_first),
	    cmocka_unit_test(paths_of_one_name_are_one),
	    cmocka_unit_test(a_deep_stack_keeps_its_inner_end),
	    cmocka_unit_test(bytes_that_are_no_sample_are_refused),
	    cmocka_unit_test(metrics_have_every_target_and_are_escaped),
	    cmocka_unit_test(the_list_escapes_names_of_targets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
