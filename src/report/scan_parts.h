// SPDX-License-Identifier: Apache-2.0
/* Parts of a scan's report that other reports have, too. */
#ifndef SEEP_REPORT_SCAN_PARTS_H
#define SEEP_REPORT_SCAN_PARTS_H

#include "report/jsonw.h"
#include "report/page.h"
#include "report/scan.h"

/* Blocks that look alike, a line each, with an empty line before and after; nothing when there is none. */
void sp_page_scan_groups(struct sp_page *p, const struct sp_scan *s);

/* How sure it is: the heap, the scans, what was not seen. */
void sp_page_scan_foot(struct sp_page *p, const struct sp_scan *s);

/* The keys of a scan from pause_ms to models; the groups, without the array around them; the object of losses. */
void sp_jsonw_scan_facts(struct sp_jsonw *w, const struct sp_scan *s);
void sp_jsonw_scan_groups(struct sp_jsonw *w, const struct sp_scan *s);
void sp_jsonw_scan_lost(struct sp_jsonw *w, const char *key, const struct sp_scan *s);

#endif
