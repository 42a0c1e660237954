// SPDX-License-Identifier: Apache-2.0
/*
 * Names that no C file of ours may use, because a safer one does the same. The developer profile puts this header
 * before every file (-include), so it first brings in the system headers that declare these names. Tests may use them:
 * they are built with SEEP_UNPOISONED.
 */
#ifndef SEEP_BASE_POISON_H
#define SEEP_BASE_POISON_H

#if !defined(SEEP_UNPOISONED) && !defined(__ASSEMBLER__)

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* no bound: snprintf, memccpy, fgets */
#pragma GCC poison sprintf vsprintf strcpy stpcpy strcat gets
/* a bound that does not terminate, or pads: memccpy, snprintf */
#pragma GCC poison strncpy stpncpy strncat
/* no error: sp_text_to_u64, strtoul */
#pragma GCC poison atoi atol atoll atof
/* hidden state shared by threads: strtok_r, localtime_r, gmtime_r */
#pragma GCC poison strtok localtime gmtime ctime asctime
/* a race by design: mkstemp */
#pragma GCC poison tmpnam mktemp tempnam
/* a shell between us and a program: posix_spawn, execve */
#pragma GCC poison system popen

#endif
#endif
