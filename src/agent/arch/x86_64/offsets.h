// SPDX-License-Identifier: Apache-2.0
/* Layouts as entry.S needs them; agent.c asserts that they are right. */
#ifndef SEEP_AGENT_OFFSETS_H
#define SEEP_AGENT_OFFSETS_H

#define CONFIG_FLAGS       76
#define CONFIG_HEADER      96
#define CONFIG_AREAS       112
#define CONFIG_THREAD_MASK 248
#define CONFIG_MAX_SHADOWS 260
#define CONFIG_SIZE_MASK   272
#define CONFIG_SIZE_ADD    280

#define AREA_FILTER      9
#define AREA_THREAD_KEYS 11
#define AREA_THREADS     12
#define AREA_CHUNKS      13
#define AREA_SHADOW      14

#define HEADER_MODE        68
#define HEADER_NR_FILTERED 140

#define HOOK_FALLBACK 8
#define HOOK_KIND     20
#define HOOK_SIZE_ARG 21

#define THREAD_COUNTDOWN 16

#define KIND_MALLOC 1

/* struct sp_agent_call: the frame of a hook. CALL_BYTES: up to the return address, 8 modulo 16. */
#define CALL_ARGS   8
#define CALL_RESULT 40
#define CALL_COOKIE 48
#define CALL_MEAN   56
#define CALL_OLD    64
#define CALL_BYTES  104

#endif
