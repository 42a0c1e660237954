// SPDX-License-Identifier: Apache-2.0
/* What keys do to seep top's screen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/top_keys.h"

static const pid_t pids[] = {10, 20, 30};

static enum sp_top_wish press(struct sp_top_keys *k, const char *keys)
{
	return sp_top_keys_take(k, keys, strlen(keys), pids, 3);
}

static void arrows_and_letters_move_and_stop_at_the_ends(void **state)
{
	struct sp_top_keys k = {0};

	(void)state;
	press(&k, "j");
	assert_int_equal(k.selected, 20);
	press(&k, "\033[B");
	assert_int_equal(k.selected, 30);
	press(&k, "\033OB");
	assert_int_equal(k.selected, 30);
	press(&k, "\033[A\033[Ak");
	assert_int_equal(k.selected, 10);
	k.selected = 99; /* it has ended: begin at the top */
	press(&k, "j");
	assert_int_equal(k.selected, 20);
	assert_int_equal(sp_top_keys_take(&k, "j", 1, NULL, 0), SP_TOP_WISH_DRAW);
}

static void enter_traces_the_selected_one(void **state)
{
	struct sp_top_keys k = {0};

	(void)state;
	assert_int_equal(press(&k, "\r"), SP_TOP_WISH_TRACE);
	assert_int_equal(k.selected, 10);
	assert_int_equal(press(&k, "j\n"), SP_TOP_WISH_TRACE);
	assert_int_equal(k.selected, 20);
	assert_int_equal(sp_top_keys_take(&k, "\r", 1, NULL, 0), SP_TOP_WISH_DRAW);
}

static void letters_pause_sort_and_quit(void **state)
{
	struct sp_top_keys k = {0};

	(void)state;
	press(&k, "p");
	assert_true(k.show.paused);
	press(&k, " ");
	assert_false(k.show.paused);
	press(&k, "s");
	assert_int_equal(k.show.sort, SP_SUSPECT_ANON);
	press(&k, "ssss");
	assert_int_equal(k.show.sort, SP_SUSPECT_GROWTH);
	assert_int_equal(press(&k, "xq"), SP_TOP_WISH_QUIT);
}

static void a_filter_is_typed_and_corrected(void **state)
{
	struct sp_top_keys k = {0};

	(void)state;
	press(&k, "/qs");
	assert_true(k.is_typing);
	assert_string_equal(k.show.filter, "qs");
	press(&k, "\303\274\177\177"); /* one character of two bytes, one of one */
	assert_string_equal(k.show.filter, "q");
	press(&k, "\033[A\033[200~"); /* no text */
	assert_string_equal(k.show.filter, "q");
	press(&k, "\r");
	assert_false(k.is_typing);
	assert_string_equal(k.show.filter, "q");
	press(&k, "/\025new\033");
	assert_false(k.is_typing);
	assert_string_equal(k.show.filter, "");
}

static void a_filter_has_an_end(void **state)
{
	struct sp_top_keys k = {0};

	(void)state;
	press(&k, "/");
	for (int i = 0; i < 1000; i++)
		press(&k, "x");
	assert_int_equal(strlen(k.filter), SP_TOP_FILTER_SIZE - 1);
	press(&k, "\t\001");
	assert_int_equal(strlen(k.filter), SP_TOP_FILTER_SIZE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(arrows_and_letters_move_and_stop_at_the_ends),
	    cmocka_unit_test(enter_traces_the_selected_one),
	    cmocka_unit_test(letters_pause_sort_and_quit),
	    cmocka_unit_test(a_filter_is_typed_and_corrected),
	    cmocka_unit_test(a_filter_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
