// SPDX-License-Identifier: Apache-2.0
/* addr2line as the judge of names and lines. */
#ifndef SEEP_TESTS_SYMBOLIZE_JUDGE_H
#define SEEP_TESTS_SYMBOLIZE_JUDGE_H

#include "symbolize_fixture.h"

/* Return addresses of all calls in the code that we compiled. */
static size_t list_calls(const char *path, uint64_t *ret, size_t max)
{
	char line[1024];
	size_t nr = 0;
	bool is_behind_call = false;
	FILE *f = run("objdump -d --no-show-raw-insn -j .text -j .text.unlikely %s 2>/dev/null", path);

	while (fgets(line, sizeof(line), f) && nr < max) {
		unsigned long long addr;

		if (sscanf(line, " %llx:\t", &addr) != 1)
			continue;
		if (is_behind_call)
			ret[nr++] = addr;
		is_behind_call = strstr(line, "\tcall") != NULL;
	}
	pclose(f);
	return nr;
}

/* "foo() [clone .cold]" and "foo.part.0" are the symbol's names; addr2line gives the function's. */
static void without_clone(const char *name, char *buf, size_t size)
{
	static const char *const marks[] = {" [clone", ".part.", ".constprop.", ".isra.", ".cold", ".lto_priv"};

	snprintf(buf, size, "%s", name);
	for (size_t i = 0; i < SP_ARRAY_SIZE(marks); i++) {
		char *mark = strstr(buf, marks[i]);

		if (mark)
			*mark = '\0';
	}
	size_t len = strlen(buf), digits = 0; /* GCC's nested functions: "inside.0" */
	while (digits < len && buf[len - 1 - digits] >= '0' && buf[len - 1 - digits] <= '9')
		digits++;
	if (digits && digits < len && buf[len - 1 - digits] == '.')
		buf[len - 1 - digits] = '\0';
}

struct want {
	char function[8192], file[8192];
	unsigned line;
};

/* One frame of addr2line -a: two lines. False at the next address or the end; that line stays in *line. */
static bool read_want(FILE *f, char *line, size_t size, struct want *ret)
{
	if (!fgets(line, (int)size, f) || !strncmp(line, "0x", 2))
		return false;
	line[strcspn(line, "\n")] = '\0';
	snprintf(ret->function, sizeof(ret->function), "%s", line);
	assert_non_null(fgets(line, (int)size, f));
	char *colon = strrchr(line, ':');
	assert_non_null(colon);
	*colon = '\0';
	snprintf(ret->file, sizeof(ret->file), "%s", line);
	ret->line = (unsigned)strtoul(colon + 1, NULL, 10);
	return true;
}

/* Where DWARF has no linkage name (lambdas, local classes) addr2line knows only "operator()"; we have the whole symbol.
 */
static bool is_part_of(const char *bare, const char *name)
{
	const char *at = strstr(name, bare);

	return at && at > name + 2 && !strncmp(at - 2, "::", 2) && at[strlen(bare)] == '(';
}

/* And when such a function is inlined, addr2line gives the symbol of the physical function instead. */
static void compare_name(const struct sp_frame *got, const struct want *want, const struct sp_frame *outermost)
{
	char name[4096], wanted[8192];

	assert_non_null(got->function);
	without_clone(got->function, name, sizeof(name));
	without_clone(want->function, wanted, sizeof(wanted));
	if (is_part_of(wanted, name))
		return;
	if (strcmp(name, wanted) != 0 && got->inlined && !strchr(name, '('))
		without_clone(outermost->function, name, sizeof(name));
	assert_string_equal(name, wanted);
}

static void compare_frame(const struct sp_frame *got, const struct want *want, const struct sp_frame *outermost)
{
	compare_name(got, want, outermost);
	if (want->line) {
		char canon_got[PATH_MAX], canon_want[PATH_MAX];

		assert_non_null(got->file);
		/* binutils joins names without cleaning them. */
		assert_string_equal(realpath(got->file, canon_got) ? canon_got : got->file,
				    realpath(want->file, canon_want) ? canon_want : want->file);
	}
	assert_int_equal(got->line, want->line);
	assert_int_equal(got->inlined, got != outermost);
}

/* Returns the number of frames compared, and how many of them were inlined. */
static unsigned compare_address(struct sp_symbolizer *s, bool is_raw, uint64_t bias, uint64_t addr, FILE *f, char *line,
				size_t size, unsigned *ret_inlined)
{
	struct sp_frame frames[MAX_FRAMES];
	unsigned nr = sp_symbolize(s, bias + addr, true, frames, MAX_FRAMES), i = 0;
	struct want want;

	for (unsigned k = 0; is_raw && k < nr; k++)
		frames[k].function = frames[k].raw_function;
	while (read_want(f, line, size, &want)) {
		if (!strcmp(want.function, "??") || want.file[0] == '?')
			continue; /* of the C runtime: no debug information */
		assert_true(i < nr);
		assert_int_equal(frames[i].module_offset, addr);
		compare_frame(&frames[i], &want, &frames[nr - 1]);
		i++;
	}
	if (i)
		assert_int_equal(i, nr);
	*ret_inlined += i ? i - 1 : 0;
	return i;
}

/*
 * binutils' addr2line loses inlined functions whose code is in pieces, which clang makes many of. LLVM's judges those,
 * by raw names: it has a style of its own for demangled ones.
 */
static bool is_judged_raw(const char *name)
{
	return strstr(name, "clang") != NULL;
}

static const char *judge_of(const char *name)
{
	return is_judged_raw(name) ? "llvm-symbolizer --output-style=GNU --no-demangle" : "addr2line -C";
}

#endif
