// SPDX-License-Identifier: Apache-2.0
/* Writes a word of the user into its field, or says in one sentence why it does not fit. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/options.h"

static const struct {
	const char *name;
	uint64_t ns;
} units[] = {
    {"ns", 1},          {"us", 1000},         {"ms", 1000000},       {"s", 1000000000},
    {"m", 60000000000}, {"h", 3600000000000}, {"d", 86400000000000},
};

static uint64_t unit_of(const char *name, uint64_t bare)
{
	if (!*name)
		return bare;
	for (size_t i = 0; i < SP_ARRAY_SIZE(units); i++)
		if (!strcmp(name, units[i].name))
			return units[i].ns;
	return 0;
}

/* Reads digits as a count of `unit`; *text moves behind them. False: too large. */
static bool read_whole(const char **text, uint64_t *ret)
{
	uint64_t value = 0;
	bool overflow = false;

	for (; **text >= '0' && **text <= '9'; (*text)++)
		overflow |= __builtin_mul_overflow(value, 10u, &value) ||
			    __builtin_add_overflow(value, (unsigned)(**text - '0'), &value);
	*ret = value;
	return !overflow;
}

int sp_text_to_duration(const char *text, uint64_t unit_ns, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t ns, unit, fraction = 0, scale = 1;
	const char *p = text;
	bool fits, digits;

	fits = read_whole(&p, &ns);
	digits = p != text;
	if (*p == '.') {
		p++;
		digits = digits && *p >= '0' && *p <= '9';
		/* Nine digits are a nanosecond of a second; what follows does not count. */
		for (; *p >= '0' && *p <= '9'; p++) {
			if (scale < 1000000000) {
				fraction = fraction * 10 + (uint64_t)(*p - '0');
				scale *= 10;
			}
		}
	}
	unit = unit_of(p, unit_ns);
	if (!unit && !*p && !ns && !fraction)
		unit = 1; /* nothing is nothing in any unit */
	if (!digits || !unit)
		return -EINVAL;
	if (!fits || __builtin_mul_overflow(ns, unit, &ns))
		return -ERANGE;
	/* A fraction below 1 of at most a day: 86400e9 * 1e9 does not fit 64 bits, so the unit is divided first. */
	ns += unit / scale * fraction + unit % scale * fraction / scale;
	if (ns < min || ns > max)
		return -ERANGE;
	*ret = ns;
	return 0;
}

static const char *what_it_is_not(const struct sp_opt *o)
{
	switch (o->type) {
	case SP_OPT_ADDRESS:
		return "an address (as 0x55d0c0ffee10)";
	case SP_OPT_BYTES:
	case SP_OPT_MAYBE:
		return "a size (as 4096, 64K or 2M)";
	case SP_OPT_DURATION:
		return o->unit_ns ? "a length of time (as 5, 500ms or 2m)"
				  : "a length of time with its unit (as 500ms, 30s or 2m)";
	default:
		return "a number";
	}
}

/* "--top" or, for a word in its place, "INTERVAL". */
static const char *dashes(const struct sp_opt *o)
{
	return o->how & SP_OPT_POSITIONAL ? "" : "--";
}

/* A bound in the words that the user would type. */
static const char *bound(const struct sp_opt *o, uint64_t value, char *buf, size_t size)
{
	size_t i = 0;

	if (o->type != SP_OPT_DURATION || !value) {
		snprintf(buf, size, "%llu", (unsigned long long)value);
		return buf;
	}
	while (i + 1 < SP_ARRAY_SIZE(units) && value >= units[i + 1].ns && value % units[i + 1].ns == 0)
		i++;
	snprintf(buf, size, "%llu%s", (unsigned long long)(value / units[i].ns), units[i].name);
	return buf;
}

/* Not 0, and no address of a process is 0. */
static int read_address(const char *text, uint64_t *ret)
{
	static const char hex[] = "0123456789abcdefABCDEF";
	const char *digits = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? text + 2 : text;
	size_t len = strspn(digits, hex);

	if (!len || len > 16 || digits[len])
		return -EINVAL;
	*ret = strtoull(digits, NULL, 16);
	return *ret ? 0 : -EINVAL;
}

static int refuse_number(const struct sp_opt *o, const char *text, int err, struct sp_why *why)
{
	char min[32], max[32];

	if (err == -ERANGE)
		return sp_why_set(why, SP_FAULT_USAGE, ERANGE, "'%s' is out of range for %s%s: %s to %s", text,
				  dashes(o), o->name, bound(o, o->min, min, sizeof(min)),
				  bound(o, o->max, max, sizeof(max)));
	return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "'%s' is not %s for %s%s", text, what_it_is_not(o), dashes(o),
			  o->name);
}

static int store_number(const struct sp_opt *o, const char *text, uint64_t *field, struct sp_why *why)
{
	int err;

	if (o->type == SP_OPT_U64)
		err = sp_text_to_u64(text, o->min, o->max, field);
	else if (o->type == SP_OPT_ADDRESS)
		err = read_address(text, field);
	else if (o->type == SP_OPT_BYTES || o->type == SP_OPT_MAYBE)
		err = sp_text_to_bytes(text, o->min, o->max, field);
	else
		err = sp_text_to_duration(text, o->unit_ns, o->min, o->max, field);
	return err ? refuse_number(o, text, err, why) : 0;
}

static int store_choice(const struct sp_opt *o, const char *text, const struct sp_choice **field, struct sp_why *why)
{
	char list[256] = "";

	for (const struct sp_choice *c = o->choices; c->name; c++) {
		size_t len = strlen(list);

		if (!strcmp(text, c->name)) {
			*field = c;
			return 0;
		}
		snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "", c->name);
	}
	return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "'%s' is not a choice for --%s: %s", text, o->name, list);
}

static int store_word(const struct sp_opt *o, const char *text, struct sp_word_list *field, struct sp_why *why)
{
	if (!*text)
		return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "%s%s must not be empty", dashes(o), o->name);
	if (field->nr == SP_MAX_WORDS)
		return sp_why_set(why, SP_FAULT_USAGE, ENOSPC, "'%s' is one word too many", text);
	field->list[field->nr++] = text;
	return 0;
}

int sp_opt_store(const struct sp_opt *o, const char *text, struct sp_args *args, struct sp_why *why)
{
	void *field = (char *)args + o->field;

	switch (o->type) {
	case SP_OPT_FLAG:
		*(bool *)field = true;
		return 0;
	case SP_OPT_STRING:
		if (!*text)
			return sp_why_set(why, SP_FAULT_USAGE, EINVAL, "%s%s must not be empty", dashes(o), o->name);
		*(const char **)field = text;
		return 0;
	case SP_OPT_WORDS:
		return store_word(o, text, field, why);
	case SP_OPT_ARGV: /* not one word: parse.c sets it */
		return 0;
	case SP_OPT_CHOICE:
		return store_choice(o, text, field, why);
	default:
		return store_number(o, text, field, why);
	}
}
