// SPDX-License-Identifier: Apache-2.0
/* Messages with at most one descriptor. */
#include "serve/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

union control {
	char room[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int sp_message_send(int sock, const struct sp_message *m, int fd)
{
	union control control = {.room = {0}};
	struct iovec io = {.iov_base = (void *)(uintptr_t)m, .iov_len = sizeof(*m)};
	struct msghdr msg = {.msg_iov = &io, .msg_iovlen = 1};

	if (fd >= 0) {
		msg.msg_control = control.room;
		msg.msg_controllen = sizeof(control.room);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		*c = (struct cmsghdr){
		    .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The first descriptor of a message; room is for one, so the kernel closes any other. */
static int take_fd(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int sp_message_receive(int sock, struct sp_message *ret, int *ret_fd)
{
	union control control;
	struct iovec io = {.iov_base = ret, .iov_len = sizeof(*ret)};
	struct msghdr msg = {
	    .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	ssize_t got = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : 0;
	if (got == 0)
		return 0;
	*ret_fd = take_fd(&msg);
	if ((size_t)got != sizeof(*ret)) {
		if (*ret_fd >= 0)
			close(*ret_fd);
		return 0;
	}
	ret->text[sizeof(ret->text) - 1] = '\0';
	return 1;
}

int sp_memory_file(const char *name, FILE **ret)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret = fdopen(fd, "w+");
	if (*ret)
		return 0;
	int err = errno;
	close(fd);
	return -err;
}
