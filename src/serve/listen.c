// SPDX-License-Identifier: Apache-2.0
/* Where we are to be reached, and the secret that who asks must know. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>

#include "serve/request.h"

static int refuse(const char *text, struct sp_why *why)
{
	int err = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "'%s' is not an address to listen on", text);

	sp_why_hint(why, "write it as 127.0.0.1:9745 or [::1]:9745");
	return err;
}

static void set_v4(struct sp_serve_address *a, struct in_addr addr, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = addr};

	memcpy(&a->storage, &in, sizeof(in));
	a->len = sizeof(in);
	a->is_loopback = ntohl(addr.s_addr) >> 24 == 127;
}

static void set_v6(struct sp_serve_address *a, const struct in6_addr *addr, uint16_t port)
{
	struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *addr};

	memcpy(&a->storage, &in, sizeof(in));
	a->len = sizeof(in);
	a->is_loopback = IN6_IS_ADDR_LOOPBACK(addr);
}

int sp_serve_address_parse(const char *text, struct sp_serve_address *ret, struct sp_why *why)
{
	const char *colon = strrchr(text, ':');
	struct sp_serve_address a = {.len = 0};
	struct in6_addr v6;
	struct in_addr v4;
	char host[64];
	uint64_t port;

	if (!colon || (size_t)(colon - text) >= sizeof(host) || sp_text_to_u64(colon + 1, 0, UINT16_MAX, &port) < 0)
		return refuse(text, why);
	size_t len = (size_t)(colon - text);
	memcpy(host, text, len);
	host[len] = '\0';
	if (!strcmp(host, "localhost"))
		memcpy(host, "127.0.0.1", sizeof("127.0.0.1"));
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		if (inet_pton(AF_INET6, host + 1, &v6) != 1)
			return refuse(text, why);
		set_v6(&a, &v6, (uint16_t)port);
	} else if (inet_pton(AF_INET, host, &v4) == 1) {
		set_v4(&a, v4, (uint16_t)port);
	} else {
		return refuse(text, why);
	}
	*ret = a;
	return 0;
}

const char *sp_serve_address_text(const struct sp_serve_address *a, char *buf, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "?";
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	if (a->any.sa_family == AF_INET6) {
		memcpy(&v6, &a->storage, sizeof(v6));
		inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof(host));
		snprintf(buf, size, "[%s]:%u", host, ntohs(v6.sin6_port));
	} else {
		memcpy(&v4, &a->storage, sizeof(v4));
		inet_ntop(AF_INET, &v4.sin_addr, host, sizeof(host));
		snprintf(buf, size, "%s:%u", host, ntohs(v4.sin_port));
	}
	return buf;
}

/* ---- the token ---- */

static int refuse_file(const char *path, const char *what, struct sp_why *why)
{
	int err = sp_why_set(why, SP_FAULT_USAGE, EINVAL, "the token file '%s' %s", path, what);

	sp_why_hint(why, "make one: (umask 077; head -c 24 /dev/urandom | base64 > FILE)");
	return err;
}

/* A secret that everybody may read, or replace, is none. */
static int check_file(int fd, const char *path, struct sp_why *why)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return refuse_file(path, "is not a file", why);
	if (st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP))
		return refuse_file(path, "may be read by everybody, or written by others than its owner", why);
	return 0;
}

int sp_serve_token_read(const char *path, char ret[SP_SERVE_TOKEN_MAX + 1], struct sp_why *why)
{
	char text[SP_SERVE_TOKEN_MAX + 2] = "";
	sp_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return sp_why_set(why, SP_FAULT_USAGE, errno, "cannot open the token file '%s': %s", path,
				  strerror(errno));
	int err = check_file(fd, path, why);
	if (err)
		return err;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	if (got < 0)
		return sp_why_set(why, SP_FAULT_USAGE, errno, "cannot read the token file '%s': %s", path,
				  strerror(errno));
	text[strcspn(text, "\r\n")] = '\0';
	size_t len = strlen(text);
	if (len < SP_SERVE_TOKEN_MIN)
		return refuse_file(path, "holds less than 16 characters", why);
	if (len > SP_SERVE_TOKEN_MAX)
		return refuse_file(path, "holds more than 512 characters in its first line", why);
	memcpy(ret, text, len + 1);
	return 0;
}
