// SPDX-License-Identifier: Apache-2.0
/* The engines there are, best first: one row each. An engine NAME lives in engines/NAME/ and defines sp_engine_NAME. */
#ifndef SEEP_ENGINES_ENGINES_H
#define SEEP_ENGINES_ENGINES_H

#include "engines/engine.h"

#define SP_ENGINES(X) X(agent) X(bpf) X(replay)

#define SP_ENGINE_DECLARE(name) extern const struct sp_engine_ops sp_engine_##name;
SP_ENGINES(SP_ENGINE_DECLARE)
#undef SP_ENGINE_DECLARE

#endif
