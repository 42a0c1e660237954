// SPDX-License-Identifier: Apache-2.0
/* The page that lists what is watched. */
#ifndef SEEP_SERVE_PAGES_H
#define SEEP_SERVE_PAGES_H

#include "serve/metrics.h"

/* HTML without scripts; names of targets only as escaped text. */
sp_must_check int sp_page_targets(FILE *out, const struct sp_metrics *m);

#endif
