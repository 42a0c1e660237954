// SPDX-License-Identifier: Apache-2.0
/* A call path's frames in seep's own text: names in one column, places in the next. */
#ifndef SEEP_REPORT_FRAMES_H
#define SEEP_REPORT_FRAMES_H

#include "report/page.h"

#define SP_FRAME_INDENT 2 /* against the path's own lines */

void sp_page_frames(struct sp_page *p, const struct sp_view_path *path);

#endif
