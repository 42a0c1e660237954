// SPDX-License-Identifier: Apache-2.0
/* seep and memleak: one program under two names. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
	return sp_cli_main(argc, argv);
}
