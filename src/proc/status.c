// SPDX-License-Identifier: Apache-2.0
/* Parses /proc/PID/stat and /proc/PID/status, and describes a process in one line. */
#include "proc/priv.h"

#include <errno.h>
#include <string.h>

enum {
	SP_PF_KTHREAD = 0x00200000, /* include/linux/sched.h; unchanged since 2.6.27 */
};

/* Steps over nr fields of digits and signs; NULL when the text ends before. */
static const char *skip_fields(const char *s, unsigned nr)
{
	for (; nr; nr--) {
		s += strspn(s, " ");
		s += strcspn(s, " ");
	}
	s += strspn(s, " ");
	return *s ? s : NULL;
}

/* One unsigned decimal field behind nr others. */
static bool field_u64(const char *s, unsigned nr, uint64_t *ret)
{
	uint64_t v = 0;

	s = skip_fields(s, nr);
	if (!s || *s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	}
	*ret = v;
	return true;
}

/*
 * "pid (comm) state ppid ...", see proc_pid_stat(5). comm is any text, also with spaces, newlines and parentheses: a
 * process may call itself ") R 1 (". No field behind it holds a parenthesis, so it ends at the last one.
 */
int sp_stat_parse(const char *text, struct sp_stat *ret)
{
	struct sp_stat st = {};
	uint64_t ppid;

	const char *open = strchr(text, '(');
	const char *close = strrchr(text, ')');
	if (!open || !close || close < open || close[1] != ' ' || !close[2])
		return -EINVAL;

	size_t len = (size_t)(close - open - 1);
	if (len >= sizeof(st.comm))
		len = sizeof(st.comm) - 1;
	memcpy(st.comm, open + 1, len);

	const char *rest = close + 2; /* field 3 of the man page */
	st.state = *rest;
	if (!field_u64(rest, 1, &ppid) || !field_u64(rest, 6, &st.flags) || !field_u64(rest, 17, &st.nr_threads) ||
	    !field_u64(rest, 19, &st.start_time))
		return -EINVAL;
	st.ppid = (pid_t)ppid;
	*ret = st;
	return 0;
}

int sp_stat_read(int dirfd, struct sp_stat *ret)
{
	char text[4096]; /* 52 numbers and a name: under 1200 bytes */

	ssize_t n = sp_proc_read_head(dirfd, "stat", text, sizeof(text));
	if (n < 0)
		return (int)n;
	return sp_stat_parse(text, ret);
}

bool sp_stat_is_kernel_thread(const struct sp_stat *st)
{
	return st->flags & SP_PF_KTHREAD;
}

bool sp_stat_is_dead(const struct sp_stat *st)
{
	return st->state == 'Z' || st->state == 'X' || st->state == 'x';
}

/* The kernel escapes newlines in the Name line, so no name can fake a line of its own. */
const char *sp_status_find(const char *status, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = status; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, len) && line[len] == ':')
			return line + len + 1;
	}
	return NULL;
}

const char *sp_proc_describe(int dirfd, const struct sp_stat *st, char *buf, size_t size)
{
	char raw[256];

	ssize_t n = sp_proc_read_head(dirfd, "cmdline", raw, sizeof(raw));
	if (n > 0) {
		for (ssize_t i = 0; i < n - 1; i++)
			raw[i] = raw[i] ? raw[i] : ' ';
		if (raw[strspn(raw, " ")])
			return sp_text_printable(buf, size, raw);
	}
	snprintf(raw, sizeof(raw), "[%s]", st->comm);
	return sp_text_printable(buf, size, raw);
}
