/* SPDX-License-Identifier: Apache-2.0 */
/* Started slowly by its library (slowlib.c): main has not begun when a tool attaches. Leaks 6 blocks of 654 bytes
 * afterwards. */
#include "victim.h"

void *slow_leak(size_t size);

int main(void)
{
	char line[VICTIM_LINE];

	for (int i = 0; i < 6; i++)
		slow_leak(654);
	victim_path("slow_leak main", 6 * 654, 6);
	victim_done("go");
	while (victim_command(line, sizeof(line)))
		victim_done("nothing");
	return 0;
}
