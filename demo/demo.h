// SPDX-License-Identifier: Apache-2.0
/* What the leaking and the repaired demo program share. */
#ifndef SEEP_DEMO_DEMO_H
#define SEEP_DEMO_DEMO_H

#define DEMO_NUMBERS 1024 /* long longs in one answer: 8192 bytes */

/* Next number of the series in the first place of a new table of DEMO_NUMBERS. The caller frees it. NULL: no memory. */
long long *fibonacci(long long before_last, long long last);

/* Thread: one number a second, *limit of them (0: for ever). Each program has its own. */
void *child(void *limit);

#endif
