// SPDX-License-Identifier: Apache-2.0
/*
 * What the server and a child that watches say to each other, over a SOCK_SEQPACKET pair. The server asks for a report
 * with one byte, its enum sp_report_format; a child sends messages, long ones as a memory file.
 */
#ifndef SEEP_SERVE_CHANNEL_H
#define SEEP_SERVE_CHANNEL_H

#include <stdio.h>

#include "base/base.h"

enum sp_message_kind {
	SP_MESSAGE_WATCHING, /* probes are in place */
	SP_MESSAGE_SAMPLE,   /* a file with a struct sp_sample */
	SP_MESSAGE_REPORT,   /* a file with the report of `format` */
	SP_MESSAGE_ENDED,    /* the target has ended */
	SP_MESSAGE_FAILED,   /* text: why it cannot be watched */
};

struct sp_message {
	uint32_t kind, format;
	uint64_t size; /* of the file */
	char text[1100];
};

/* fd: -1, or a file to send along, which stays the caller's. Does not wait: -EAGAIN. -EPIPE: nobody is there. */
sp_must_check int sp_message_send(int sock, const struct sp_message *m, int fd);

/*
 * 1: *ret, text ended, and *ret_fd, which is the caller's then (-1: none came); 0: nobody is there any more; -EAGAIN:
 * nothing is there.
 */
int sp_message_receive(int sock, struct sp_message *ret, int *ret_fd);

/* A file in memory, and a stream to write it. -errno. */
sp_must_check int sp_memory_file(const char *name, FILE **ret);

#endif
