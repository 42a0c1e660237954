// SPDX-License-Identifier: Apache-2.0
/* A call path's frames: names in one column, places in the next; a place that does not fit gets its own line. */
#include "report/frames.h"

#include <inttypes.h>
#include <string.h>

#define MAX_NAME_COLUMN 40 /* longer names do not push the others' places away */
#define MIN_PLACE       20 /* a source path is never cut below this */
#define BUILD_ID_SHOWN  12 /* hex digits: as git shows a commit, enough to find the file */
#define PLACE_SIZE      512

void sp_page_put(struct sp_page *p, enum sp_paint paint, const char *text)
{
	sp_out_paint(&p->out, p->o->colour, paint, text);
}

/* Columns of a text on the terminal: one per code point. */
static unsigned columns(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* The function, or its address when it has no name. Returns buf or the name itself. */
static const char *name_of(const struct sp_frame *f, char *buf, size_t size)
{
	if (f->function)
		return f->function;
	snprintf(buf, size, "0x%" PRIx64, f->address);
	return buf;
}

static unsigned name_columns(const struct sp_frame *f)
{
	char buf[32];

	return columns(name_of(f, buf, sizeof(buf))) + (f->inlined ? (unsigned)strlen(" (inlined)") : 0);
}

/* Where the second column begins: behind the longest name, unless that is much too long. */
static unsigned name_column(const struct sp_view_path *path)
{
	unsigned widest = 0;

	for (unsigned i = 0; i < path->nr_frames; i++) {
		unsigned n = name_columns(&path->frames[i]);

		if (n <= MAX_NAME_COLUMN && n > widest)
			widest = n;
	}
	return widest;
}

/* "file:line", or what finds it: module+offset and the build-id's beginning. "" when nothing is known. */
static void format_place(const struct sp_frame *f, char *buf, size_t size)
{
	buf[0] = '\0';
	if (f->file && f->line)
		snprintf(buf, size, "%s:%u", f->file, f->line);
	else if (f->file)
		snprintf(buf, size, "%s", f->file);
	else if (f->module && f->build_id)
		snprintf(buf, size, "%s+0x%" PRIx64 " build-id %.*s", f->module, f->module_offset, BUILD_ID_SHOWN,
			 f->build_id);
	else if (f->module && f->module_offset)
		snprintf(buf, size, "%s+0x%" PRIx64, f->module, f->module_offset);
	else if (f->module)
		snprintf(buf, size, "%s", f->module);
}

/* Cuts the beginning of a long place: its end is what one looks for. room 0: no limit. */
static void put_place(struct sp_page *p, const char *place, unsigned room)
{
	unsigned n = columns(place), cut = 0;
	char text[PLACE_SIZE + 4];

	if (room >= MIN_PLACE && n > room)
		cut = n - room + 3;
	for (; cut; cut--)
		do
			place++;
		while (((unsigned char)*place & 0xc0) == 0x80);
	snprintf(text, sizeof(text), "%s%s", n > columns(place) ? "..." : "", place);
	sp_page_put(p, SP_PAINT_DIM, text);
}

static void put_source(struct sp_page *p, const struct sp_frame *f)
{
	const char *text = p->source ? p->source(f, p->source_arg) : NULL;

	if (!text)
		return;
	sp_out_pad(&p->out, p->indent + SP_FRAME_INDENT);
	sp_out_printf(&p->out, "%6u | %s\n", f->line, text);
}

static void put_frame(struct sp_page *p, const struct sp_frame *f, unsigned column)
{
	char name_buf[32], place[PLACE_SIZE];
	unsigned left = p->indent + SP_FRAME_INDENT, used = name_columns(f), width = p->o->width;

	format_place(f, place, sizeof(place));
	sp_out_pad(&p->out, left);
	sp_out_puts(&p->out, name_of(f, name_buf, sizeof(name_buf)));
	if (f->inlined)
		sp_page_put(p, SP_PAINT_DIM, " (inlined)");
	if (place[0]) {
		unsigned at = used > column ? used : column;

		if (width && left + at + 2 + columns(place) > width) {
			sp_out_puts(&p->out, "\n");
			sp_out_pad(&p->out, left + 4);
			put_place(p, place, width > left + 4 ? width - left - 4 : 0);
		} else {
			sp_out_pad(&p->out, at - used + 2);
			put_place(p, place, 0);
		}
	}
	sp_out_puts(&p->out, "\n");
	put_source(p, f);
}

void sp_page_frames(struct sp_page *p, const struct sp_view_path *path)
{
	unsigned column = name_column(path);

	for (unsigned i = 0; i < path->nr_frames && !p->out.err; i++)
		put_frame(p, &path->frames[i], column);
}
