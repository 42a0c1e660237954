// SPDX-License-Identifier: Apache-2.0
/*
 * Allocator calls as bcc's memleak -t prints them: the repr() of the tuple that its trace_fields() returns,
 *	(b'app', 25266, 0, b'.....', 1623.912558, b'alloc exited, size = 121, result = 55ae780210b0')
 * The flags (interrupts off, preemption depth) are those of a trace buffer that we do not use: dots, 'not set'.
 */
#include "cli/events.h"

#include <inttypes.h>
#include <string.h>

#include "cli/run.h"

/* A bytes literal as Python's repr() writes it. 4 bytes a character at most, and 4 more. */
static void python_bytes(char *dst, size_t size, const char *src, size_t max)
{
	unsigned char quote = memchr(src, '\'', strnlen(src, max)) && !memchr(src, '"', strnlen(src, max)) ? '"' : '\'';
	size_t n = (size_t)snprintf(dst, size, "b%c", quote);

	for (size_t i = 0; i < max && src[i] && n + 6 < size; i++) {
		unsigned char c = (unsigned char)src[i];

		if (c == '\t' || c == '\n' || c == '\r')
			n += (size_t)snprintf(dst + n, size - n, "\\%c", c == '\t' ? 't' : c == '\n' ? 'n' : 'r');
		else if (c == '\\' || c == quote)
			n += (size_t)snprintf(dst + n, size - n, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			n += (size_t)snprintf(dst + n, size - n, "\\x%02x", c);
		else
			n += (size_t)snprintf(dst + n, size - n, "%c", c);
	}
	snprintf(dst + n, size - n, "%c", quote);
}

/* Seconds as Python's repr() of a float with microseconds: no zeros at the end, but one digit. */
static void python_seconds(char *dst, size_t size, uint64_t ns)
{
	size_t len = (size_t)snprintf(dst, size, "%" PRIu64 ".%06" PRIu64, ns / 1000000000, ns / 1000 % 1000000);

	while (dst[len - 1] == '0' && dst[len - 2] != '.')
		dst[--len] = '\0';
}

static void message(const struct sp_event *e, char *buf, size_t size)
{
	switch (e->kind) {
	case SP_EVENT_ENTER:
		snprintf(buf, size, "alloc entered, size = %" PRIu64, e->size);
		break;
	case SP_EVENT_ALLOC:
		snprintf(buf, size, "alloc exited, size = %" PRIu64 ", result = %" PRIx64, e->size, e->addr);
		break;
	case SP_EVENT_FREE:
		snprintf(buf, size, "free entered, address = %" PRIx64 ", size = %" PRIu64, e->addr, e->size);
		break;
	}
}

const char *sp_event_text(const struct sp_event *e, char *buf, size_t size)
{
	char task[4 * sizeof(e->comm) + 8], seconds[32], msg[96] = "";

	python_bytes(task, sizeof(task), e->comm, sizeof(e->comm));
	python_seconds(seconds, sizeof(seconds), e->time_ns);
	message(e, msg, sizeof(msg));
	snprintf(buf, size, "(%s, %" PRIu32 ", %" PRIu32 ", b'.....', %s, b'%s')", task, e->tid, e->cpu, seconds, msg);
	return buf;
}

void sp_events_print(const struct sp_event *e, void *arg)
{
	struct sp_run *run = arg;
	char line[256];

	int err;

	if (run->write_err)
		return;
	printf("%s\n", sp_event_text(e, line, sizeof(line)));
	err = sp_run_flush();
	if (err)
		sp_run_stdout_failed(run, err);
}
