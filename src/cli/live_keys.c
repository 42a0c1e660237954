// SPDX-License-Identifier: Apache-2.0
/* The keys of seep trace's screen: one row each, and what they change. */
#include "cli/live_keys.h"

#include <stdarg.h>
#include <string.h>

#include "cli/command.h"
#include "cli/keys.h"

#define FOOT_COLUMNS 80

static const struct key_row {
	const char *key, *word; /* as at the foot of the screen; word NULL: not there */
	const char *text;       /* as in the help */
	const char *command;    /* of seep, that it needs; NULL: none */
} rows[] = {
    {"q", "quit", "end; the last report stays behind as text", NULL},
    {"?", "help", "this page", NULL},
    {"Enter", "stack", "the whole stack of a call path, with source lines where they are", NULL},
    {"Up Down", NULL, "another call path; also k, j, PgUp, PgDn, Home, End", NULL},
    {"/", "only", "only paths with this text in a function, module or file; Esc: all", NULL},
    {"s", "sort", "the next order: growth, size, blocks, age", NULL},
    {"p", "pause", "no new looks until p again; the program and the watch go on", NULL},
    {"v", "scan", "search its memory for blocks that nothing points to (seep scan)", "scan"},
    {"w", "why", "who holds the oldest block of the selected call path (seep why)", "why"},
    {"d", "since", "growth since now, instead of since the look before; d again: back", NULL},
    {"r", NULL, "look how much is in physical memory, or do not: many blocks take time", NULL},
    {"x", "export", "write what is there now to a file, in one of seep's formats", NULL},
};

static const char *const formats[] = {
#define ROW(name, ...) #name,
    SP_REPORT_FORMATS(ROW)
#undef ROW
};

static bool has_command(const char *name)
{
	return !name || sp_command_find(name);
}

/* ---- words ---- */

static void append(char *buf, size_t size, const char *fmt, ...) sp_printf(3, 4);

static void append(char *buf, size_t size, const char *fmt, ...)
{
	size_t len = strlen(buf);
	va_list args;

	va_start(args, fmt);
	vsnprintf(buf + len, size - len, fmt, args);
	va_end(args);
}

/* As many as stand whole in the narrowest of usual screens; the help has all. */
static void append_keys(char *buf, size_t size)
{
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++)
		if (rows[i].word && has_command(rows[i].command) &&
		    strlen(buf) + 3 + strlen(rows[i].key) + strlen(rows[i].word) <= FOOT_COLUMNS)
			append(buf, size, "%s%s %s", i ? "  " : "", rows[i].key, rows[i].word);
}

const char *sp_live_keys_foot(const struct sp_live_keys *k, char *buf, size_t size)
{
	buf[0] = '\0';
	if (k->is_typing)
		append(buf, size, "only (Enter: done, Esc: all): %s_", k->filter);
	else if (k->page == SP_LIVE_EXPORT) {
		append(buf, size, "export as");
		for (unsigned i = 0; i < SP_ARRAY_SIZE(formats) && i < 9; i++)
			append(buf, size, " %u %s ", i + 1, formats[i]);
		append(buf, size, "(Esc: no)");
	} else if (k->page != SP_LIVE_TABLE)
		append(buf, size, "Esc back  up, down  q quit");
	else
		append_keys(buf, size);
	return buf;
}

const char *sp_live_keys_help(char *buf, size_t size)
{
	buf[0] = '\0';
	for (size_t i = 0; i < SP_ARRAY_SIZE(rows); i++)
		if (has_command(rows[i].command))
			append(buf, size, "  %-8s %s\n", rows[i].key, rows[i].text);
	return buf;
}

/* ---- what they do ---- */

size_t sp_live_keys_row(const struct sp_live_keys *k, const uint32_t *ids, size_t nr)
{
	for (size_t i = 0; i < nr && k->has_selected; i++)
		if (ids[i] == k->selected)
			return i;
	return 0;
}

static void go_to(struct sp_live_keys *k, enum sp_live_page page)
{
	k->page = page;
	k->scroll = 0;
}

static void select_row(struct sp_live_keys *k, int key, const struct sp_live_shown *shown)
{
	size_t at;

	if (!shown->nr)
		return;
	at = sp_keys_move(key, sp_live_keys_row(k, shown->ids, shown->nr), shown->nr, shown->page_rows);
	k->selected = shown->ids[at];
	k->has_selected = true;
}

static void open_stack(struct sp_live_keys *k, const struct sp_live_shown *shown)
{
	select_row(k, SP_KEY_NONE, shown);
	if (k->has_selected)
		go_to(k, SP_LIVE_STACK);
}

static void next_sort(struct sp_live_keys *k)
{
	static const enum sp_sort order[] = {SP_SORT_GROWTH, SP_SORT_BYTES, SP_SORT_BLOCKS, SP_SORT_AGE};
	size_t at = 0;

	while (at + 1 < SP_ARRAY_SIZE(order) && order[at] != k->sort)
		at++;
	k->sort = order[(at + 1) % SP_ARRAY_SIZE(order)];
}

static enum sp_live_wish on_table(struct sp_live_keys *k, int key, const struct sp_live_shown *shown)
{
	if (sp_key_moves(key))
		select_row(k, key, shown);
	else if (sp_key_is_enter(key))
		open_stack(k, shown);
	else if (key == '/')
		k->is_typing = true;
	else if (key == 's')
		next_sort(k);
	else if (key == 'r')
		k->resident = !k->resident;
	else if (key == SP_KEY_ESC)
		k->filter[0] = '\0';
	else if (key == 'd') {
		k->has_baseline = !k->has_baseline;
		return SP_LIVE_WISH_BASELINE;
	}
	return SP_LIVE_WISH_DRAW;
}

/* As far down as it goes is known only when it is drawn: there it stops. */
static void on_text(struct sp_live_keys *k, int key, const struct sp_live_shown *shown)
{
	const size_t far = 1u << 20;

	if (sp_key_moves(key))
		k->scroll = sp_keys_move(key, k->scroll, far, shown->page_rows);
	else if (key == SP_KEY_ESC || sp_key_is_enter(key))
		go_to(k, SP_LIVE_TABLE);
}

static enum sp_live_wish on_export(struct sp_live_keys *k, int key)
{
	go_to(k, SP_LIVE_TABLE);
	if (key < '1' || key > '9' || (size_t)(key - '1') >= SP_ARRAY_SIZE(formats))
		return SP_LIVE_WISH_DRAW;
	k->format = (unsigned)(key - '1');
	return SP_LIVE_WISH_EXPORT;
}

/* The keys that mean the same on every page. False: it is none of them. */
static bool on_any_page(struct sp_live_keys *k, int key, const struct sp_live_shown *shown, enum sp_live_wish *ret)
{
	if (key == 'q')
		*ret = SP_LIVE_WISH_QUIT;
	else if (key == 'p' || key == ' ')
		k->paused = !k->paused;
	else if (key == '?')
		go_to(k, k->page == SP_LIVE_HELP ? SP_LIVE_TABLE : SP_LIVE_HELP);
	else if (key == 'x')
		go_to(k, SP_LIVE_EXPORT);
	else if (key == 'v' && has_command("scan"))
		*ret = SP_LIVE_WISH_SCAN;
	else if (key == 'w' && has_command("why") && shown->nr)
		*ret = SP_LIVE_WISH_WHY;
	else
		return false;
	return true;
}

static enum sp_live_wish take(struct sp_live_keys *k, int key, const struct sp_live_shown *shown)
{
	enum sp_live_wish wish = SP_LIVE_WISH_DRAW;

	if (k->is_typing && key < SP_KEY_NONE) {
		k->is_typing = sp_keys_type(k->filter, sizeof(k->filter), key);
		return wish;
	}
	if (k->page == SP_LIVE_EXPORT)
		return on_export(k, key);
	if (on_any_page(k, key, shown, &wish))
		return wish;
	if (k->page == SP_LIVE_TABLE)
		return on_table(k, key, shown);
	on_text(k, key, shown);
	return wish;
}

enum sp_live_wish sp_live_keys_take(struct sp_live_keys *k, const char *bytes, size_t nr,
				    const struct sp_live_shown *shown)
{
	struct sp_keys in = {.at = bytes, .end = bytes + nr};
	enum sp_live_wish wish = SP_LIVE_WISH_DRAW;
	int key;

	while (wish == SP_LIVE_WISH_DRAW && (key = sp_keys_next(&in)) != SP_KEY_NONE)
		wish = take(k, key, shown);
	return wish;
}
