// SPDX-License-Identifier: Apache-2.0
/*
 * Drawing a page. The sequences are ECMA-48's; whoever enters the screen has switched the terminal's own wrapping off
 * (cli/terminal.c), so a line that is too long is cut by the terminal.
 */
#include "report/screen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sp_canvas_init(struct sp_canvas *c)
{
	*c = (struct sp_canvas){0};
	c->out.stream = open_memstream(&c->text, &c->size);
	return c->out.stream ? 0 : -ENOMEM;
}

void sp_canvas_done(struct sp_canvas *c)
{
	if (c->out.stream)
		fclose(c->out.stream);
	free(c->text);
	*c = (struct sp_canvas){0};
}

const char *sp_canvas_text(struct sp_canvas *c, int *ret_err)
{
	int err = sp_out_finish(&c->out);

	if (err)
		*ret_err = err;
	return err ? NULL : c->text;
}

size_t sp_screen_nr_lines(const char *text)
{
	size_t nr = 0;

	for (const char *s = text; *s; s++)
		nr += *s == '\n' || !s[1];
	return nr;
}

static const char *skip_lines(const char *text, size_t nr)
{
	for (; nr && *text; nr--) {
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return text;
}

void sp_screen_put_lines(struct sp_out *out, const char *text, size_t first, size_t nr)
{
	for (text = skip_lines(text, first); nr; nr--) {
		size_t len = strcspn(text, "\n");

		sp_out_write(out, text, len);
		sp_out_puts(out, "\n");
		text += len + (text[len] == '\n');
	}
}

size_t sp_screen_fit(const char *text, unsigned columns)
{
	size_t len = 0;

	while (text[len] && columns--)
		for (len++; ((unsigned char)text[len] & 0xc0) == 0x80; len++)
			;
	return len;
}

static void draw_lines(struct sp_out *out, const char *text)
{
	sp_out_puts(out, "\033[H");
	while (*text) {
		size_t len = strcspn(text, "\n");

		/* Cleared first: behind a line as wide as the screen the cursor still stands on its last character. */
		sp_out_puts(out, "\033[2K");
		sp_out_write(out, text, len);
		sp_out_puts(out, text[len] ? "\r\n" : "");
		text += len + (text[len] == '\n');
	}
	sp_out_puts(out, "\033[J");
}

int sp_canvas_draw(struct sp_canvas *c, FILE *stream, unsigned rows)
{
	struct sp_out out = {.stream = stream};
	int err = 0;
	const char *text = sp_canvas_text(c, &err);
	size_t nr;

	if (!text)
		return err;
	nr = sp_screen_nr_lines(text);
	rows = rows ? rows : 1;
	draw_lines(&out, skip_lines(text, nr > rows ? nr - rows : 0));
	return sp_out_finish(&out);
}
