// SPDX-License-Identifier: Apache-2.0
/* What a client sends, in lines: method, path, Host, Authorization, pid, Accept; the last one is an address, too. */
#include <stdlib.h>
#include <string.h>

#include "serve/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decide(const struct sp_serve_gate *gate, const struct sp_serve_words *w)
{
	struct sp_serve_request q = {.page = SP_SERVE_HEALTH};
	const char *why = NULL;
	unsigned status = sp_serve_decide(gate, w, &q, &why);

	if (status == 200 ? why != NULL : !why || strchr(why, '\n'))
		abort();
	if (status == 200 && (w->has_body || q.pid < 0))
		abort();
	if (status == 200 && gate->token[0] && q.page != SP_SERVE_HEALTH && !w->authorization)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sp_serve_gate gates[] = {
	    {.is_loopback = true}, {.token = "0123456789abcdef"}, {.token = "0123456789abcdef", .is_loopback = true}};
	char *text = strndup((const char *)data, size), *rest = text;
	const char *line[6];
	struct sp_serve_address address;
	char shown[64];

	for (size_t i = 0; i < SP_ARRAY_SIZE(line); i++)
		line[i] = strsep(&rest, "\n");
	const struct sp_serve_words w = {.method = line[0] ? line[0] : "",
					 .path = line[1] ? line[1] : "",
					 .host = line[2],
					 .authorization = line[3],
					 .pid = line[4],
					 .accept = line[5]};
	for (size_t i = 0; i < SP_ARRAY_SIZE(gates); i++)
		decide(&gates[i], &w);
	if (line[5] && !sp_serve_address_parse(line[5], &address, NULL))
		sp_serve_address_text(&address, shown, sizeof(shown));
	free(text);
	return 0;
}
