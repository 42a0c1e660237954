// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel's symbols from /proc/kallsyms, read and sorted once. Only code is answered; the other symbols are kept
 * as ends, so that an address behind the last function of a module does not get its name.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "symbolize/symbolizer.h"

#define MAX_TEXT_BYTES     (256u << 20) /* 10-15 MB are usual */
#define MAX_SYMBOLS        (4u << 20)
#define MAX_FUNCTION_BYTES (256u << 10)
#define FIRST_BYTES        (1u << 20)

struct symbol {
	uint64_t start;
	uint32_t name;   /* offset in text */
	uint32_t module; /* offset in text; 0: the kernel proper */
	bool is_code;
};

struct kernel {
	struct sp_symbolizer s;
	char *text;
	struct sp_vec symbols;
};

/* ---- reading ---- */

static int read_all(int fd, char **ret, size_t *ret_len)
{
	size_t cap = FIRST_BYTES, len = 0;
	char *text = malloc(cap + 1);

	while (text) {
		ssize_t n = read(fd, text + len, cap - len);
		int err = errno;

		if (n < 0 || cap >= MAX_TEXT_BYTES) {
			free(text);
			return n < 0 ? -err : -EFBIG;
		}
		if (n == 0)
			break;
		len += (size_t)n;
		if (len < cap)
			continue;
		cap *= 2;
		char *more = realloc(text, cap + 1);
		if (!more)
			free(text);
		text = more;
	}
	if (!text)
		return -ENOMEM;
	text[len] = '\0';
	*ret = text;
	*ret_len = len;
	return 0;
}

/* "ffffffff81000000 T _text" and, in a module, "\t[name]" behind it. Ends the words in place. */
static bool parse_line(char *text, char *line, struct symbol *ret)
{
	char *end, *name, *module;
	unsigned long long start = strtoull(line, &end, 16);

	if (end == line || end[0] != ' ' || !end[1] || end[2] != ' ' || !end[3])
		return false;
	name = end + 3;
	module = name + strcspn(name, " \t");
	*ret = (struct symbol){.start = start, .name = (uint32_t)(name - text)};
	ret->is_code = strchr("tTwW", end[1]) != NULL;
	if (*module) {
		*module++ = '\0';
		module += strspn(module, " \t");
		if (*module == '[')
			ret->module = (uint32_t)(module - text);
	}
	return true;
}

static int parse(struct kernel *k)
{
	char *line = k->text;

	while (*line) {
		char *newline = strchr(line, '\n');
		struct symbol sym;

		if (newline)
			*newline = '\0';
		if (parse_line(k->text, line, &sym) && sym.start) {
			int err = sp_vec_push(&k->symbols, &sym);

			if (err)
				return err;
		}
		if (!newline)
			break;
		line = newline + 1;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	/* As in the file: kallsyms lists aliases of one address in a stable order. */
	return (x->name > y->name) - (x->name < y->name);
}

/* ---- lookup ---- */

/* Of several names of one address the first function; NULL: data. */
static const struct symbol *first_alias(const struct kernel *k, size_t i)
{
	const struct symbol *found = NULL, *s = sp_vec_at(&k->symbols, struct symbol, i);
	uint64_t start = s->start;

	for (;; s--) {
		if (s->is_code)
			found = s;
		if (i-- == 0 || s[-1].start != start)
			return found;
	}
}

static const struct symbol *find(const struct kernel *k, uint64_t pc)
{
	size_t lo = 0, hi = k->symbols.nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (sp_vec_at(&k->symbols, struct symbol, mid)->start <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || pc - sp_vec_at(&k->symbols, struct symbol, lo - 1)->start >= MAX_FUNCTION_BYTES)
		return NULL;
	return first_alias(k, lo - 1);
}

static unsigned resolve(struct sp_symbolizer *s, uint64_t address, bool is_return, struct sp_frame *ret, unsigned max,
			bool *ret_keep)
{
	struct kernel *k = (struct kernel *)s;
	const struct symbol *sym = find(k, address - is_return);

	(void)max;
	(void)ret_keep;
	ret->module_offset = address;
	ret->module = sp_names_add(&s->names, sym && sym->module ? k->text + sym->module : "[kernel]");
	if (!sym)
		return 1;
	ret->offset = address - sym->start;
	sp_symbolizer_set_function(s, ret, k->text + sym->name);
	return 1;
}

static void close_kernel(struct sp_symbolizer *s)
{
	struct kernel *k = (struct kernel *)s;

	sp_vec_done(&k->symbols);
	free(k->text);
	free(k);
}

static const struct sp_symbolizer_ops ops = {.resolve = resolve, .close = close_kernel};

/* ---- opening ---- */

static int load(struct kernel *k, const char *root, struct sp_why *why)
{
	char path[PATH_MAX];
	size_t len;
	int err;

	snprintf(path, sizeof(path), "%s/kallsyms", root);
	sp_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	err = fd < 0 ? -errno : read_all(fd, &k->text, &len);
	if (!err)
		err = parse(k);
	if (err)
		return sp_why_set(why, SP_FAULT_OURS, -err, "cannot read the kernel's symbols from %s: %s", path,
				  strerror(-err));
	if (!k->symbols.nr) {
		err = sp_why_set(why, SP_FAULT_TARGET, EPERM, "the kernel hides its addresses in %s", path);
		sp_why_hint(why, "run as root, or: sysctl kernel.kptr_restrict=0");
		return err;
	}
	qsort(k->symbols.data, k->symbols.nr, sizeof(struct symbol), compare);
	return 0;
}

int sp_symbolizer_open_kernel(const struct sp_procfs *fs, struct sp_symbolizer **ret, struct sp_why *why)
{
	struct kernel *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "cannot read the kernel's symbols: out of memory");
	sp_symbolizer_init(&k->s, &ops);
	sp_vec_init(&k->symbols, sizeof(struct symbol), MAX_SYMBOLS);
	err = load(k, fs && fs->root ? fs->root : "/proc", why);
	if (err)
		sp_symbolizer_close(&k->s);
	else
		*ret = &k->s;
	return err;
}
