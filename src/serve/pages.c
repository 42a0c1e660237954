// SPDX-License-Identifier: Apache-2.0
/* A table that a browser fetches anew every ten seconds. */
#include "serve/pages.h"

#include <inttypes.h>

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>seep</title>\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    "<meta http-equiv=\"refresh\" content=\"10\"><meta name=\"color-scheme\" content=\"light dark\">\n"
    "<style>body{font:15px system-ui,sans-serif;margin:2em}td,th{padding:.2em 1em .2em 0;text-align:left}"
    ".n{text-align:right;font-variant-numeric:tabular-nums}</style></head><body>\n<h1>seep</h1>\n";

static void put_text(struct sp_out *o, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			sp_out_puts(o, "&lt;");
		else if (*text == '&')
			sp_out_puts(o, "&amp;");
		else
			sp_out_write(o, text, 1);
	}
}

static void put_number(struct sp_out *o, const char *text)
{
	sp_out_printf(o, "<td class=\"n\">%s</td>", text);
}

static void put_sums(struct sp_out *o, const struct sp_sample *s)
{
	put_number(o, SP_BYTES(s->bytes));
	put_number(o, SP_BYTES(s->growing_bytes));
	put_number(o, s->has_leaked ? SP_BYTES(s->leaked_bytes) : "-");
}

static void put_row(struct sp_out *o, const struct sp_metrics_target *t)
{
	int pid = (int)t->pid;

	sp_out_printf(o, "<tr><td class=\"n\">%d</td><td>", pid);
	put_text(o, t->comm);
	sp_out_puts(o, "</td><td>");
	put_text(o, t->is_up ? "watched" : t->reason ? t->reason : "about to be watched");
	sp_out_puts(o, "</td>");
	if (t->sample)
		put_sums(o, t->sample);
	else
		sp_out_puts(o, "<td></td><td></td><td></td>");
	if (t->is_up)
		sp_out_printf(o, "<td><a href=\"/?pid=%d\">report</a> <a href=\"/profile?pid=%d\">profile</a></td>",
			      pid, pid);
	sp_out_puts(o, "</tr>\n");
}

int sp_page_targets(FILE *stream, const struct sp_metrics *m)
{
	struct sp_out out = {.stream = stream};

	sp_out_puts(&out, head);
	if (!m->nr)
		sp_out_puts(&out, "<p>No process to watch is running.</p>\n");
	else
		sp_out_puts(&out, "<table><tr><th class=\"n\">pid</th><th>program</th><th>state</th><th class=\"n\">"
				  "outstanding</th><th class=\"n\">growing</th><th class=\"n\">leaked</th></tr>\n");
	for (size_t i = 0; i < m->nr; i++)
		put_row(&out, &m->list[i]);
	if (m->nr)
		sp_out_puts(&out, "</table>\n");
	if (m->nr_refused)
		sp_out_printf(&out, "<p>%" PRIu64 " more processes are not watched (--max-targets).</p>\n",
			      m->nr_refused);
	sp_out_puts(&out, "<p><a href=\"/metrics\">metrics</a></p>\n</body></html>\n");
	return sp_out_finish(&out);
}
