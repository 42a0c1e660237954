/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The planted leak for redis-server, as a module: the command PLANT COUNT SIZE. Declares the few functions of the
 * module interface that it needs (https://redis.io/docs/reference/modules/), because Debian packages no header.
 */
#include "plant.h"

struct RedisModuleCtx;
struct RedisModuleString;
typedef int (*command_fn)(struct RedisModuleCtx *ctx, struct RedisModuleString **argv, int argc);
typedef int (*get_api_fn)(const char *name, void *ret);

enum { API_VERSION = 1, OK = 0, ERR = 1 };

static struct {
	void (*set_attribs)(struct RedisModuleCtx *ctx, const char *name, int version, int api);
	int (*create_command)(struct RedisModuleCtx *ctx, const char *name, command_fn fn, const char *flags, int first,
			      int last, int step);
	int (*to_number)(const struct RedisModuleString *s, long long *ret);
	int (*reply_number)(struct RedisModuleCtx *ctx, long long number);
	int (*wrong_arity)(struct RedisModuleCtx *ctx);
} api;

VICTIM_NOINLINE static int plant_command(struct RedisModuleCtx *ctx, struct RedisModuleString **argv, int argc)
{
	long long count, size;

	if (argc != 3 || api.to_number(argv[1], &count) != OK || api.to_number(argv[2], &size) != OK)
		return api.wrong_arity(ctx);
	return api.reply_number(ctx, (long long)plant_outer((size_t)count, (size_t)size));
}

int RedisModule_OnLoad(struct RedisModuleCtx *ctx, struct RedisModuleString **argv, int argc);

__attribute__((visibility("default"))) int RedisModule_OnLoad(struct RedisModuleCtx *ctx,
							      struct RedisModuleString **argv, int argc)
{
	get_api_fn get = *(get_api_fn *)ctx; /* the context begins with it */

	(void)argv;
	(void)argc;
	if (get("RedisModule_SetModuleAttribs", &api.set_attribs) != OK ||
	    get("RedisModule_CreateCommand", &api.create_command) != OK ||
	    get("RedisModule_StringToLongLong", &api.to_number) != OK ||
	    get("RedisModule_ReplyWithLongLong", &api.reply_number) != OK ||
	    get("RedisModule_WrongArity", &api.wrong_arity) != OK)
		return ERR;
	api.set_attribs(ctx, "plant", 1, API_VERSION);
	return api.create_command(ctx, "plant", plant_command, "readonly", 0, 0, 0);
}
