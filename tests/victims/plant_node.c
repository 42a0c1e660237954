/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The planted leak for node, as an addon: plant(count, size). Declares the few functions of Node-API that it needs
 * (https://nodejs.org/api/n-api.html), because distributions package the header apart or not at all.
 */
#include "plant.h"

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env env, napi_callback_info info);

extern int napi_get_cb_info(napi_env env, napi_callback_info info, size_t *argc, napi_value *argv, napi_value *self,
			    void **data);
extern int napi_get_value_int64(napi_env env, napi_value value, int64_t *ret);
extern int napi_create_int64(napi_env env, int64_t value, napi_value *ret);
extern int napi_create_function(napi_env env, const char *name, size_t len, napi_callback cb, void *data,
				napi_value *ret);
extern int napi_set_named_property(napi_env env, napi_value object, const char *name, napi_value value);

VICTIM_NOINLINE static napi_value plant_call(napi_env env, napi_callback_info info)
{
	napi_value argv[2], ret = NULL;
	size_t argc = 2;
	int64_t count = 0, size = 0;

	if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) || argc != 2 ||
	    napi_get_value_int64(env, argv[0], &count) || napi_get_value_int64(env, argv[1], &size))
		return NULL;
	napi_create_int64(env, (int64_t)plant_outer((size_t)count, (size_t)size), &ret);
	return ret;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports);

__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
	napi_value fn;

	if (napi_create_function(env, "plant", SIZE_MAX, plant_call, NULL, &fn) == 0)
		napi_set_named_property(env, exports, "plant", fn);
	return exports;
}
