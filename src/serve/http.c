// SPDX-License-Identifier: Apache-2.0
/*
 * A client is not trusted. What bounds it: the number of connections, the memory of each (a request that does not fit
 * is refused by the library), a time without a byte, a time in all, no body, and that a report is made once a second
 * at most, however many ask for it.
 *
 * A request for a report waits for the child that watches: its connection is suspended meanwhile.
 */
#include "serve/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "serve/pages.h"

#define NS_PER_S         1000000000ull
#define PATIENCE_NS      (15 * NS_PER_S)  /* for a report */
#define CONNECTION_NS    (300 * NS_PER_S) /* in all: a client that sends a byte now and then ends here */
#define IDLE_S           15
#define MEMORY           (16 * 1024)
#define STATUS_NO_ANSWER 504

enum { MAX_CONNECTIONS = 32 };

/* One request. */
struct exchange {
	struct exchange *next; /* of those that wait */
	struct MHD_Connection *connection;
	pid_t pid;
	enum sp_report_format format;
	uint64_t asked_ns;
};

struct sp_http {
	struct MHD_Daemon *daemon;
	const struct sp_serve_gate *gate;
	struct sp_targets *targets;
	struct exchange *waiting;
	struct open {
		int fd;
		uint64_t since_ns; /* 0: free */
	} open[MAX_CONNECTIONS];
	uint64_t nr_requests, nr_refusals;
	bool is_ending;
};

/* ---- answers ---- */

static void add_header(struct MHD_Response *r, const char *name, const char *value)
{
	(void)MHD_add_response_header(r, name, value); /* fails for want of memory only; the answer is good without */
}

/* Nothing of ours is to be kept, framed or guessed at. */
static enum MHD_Result send_response(struct MHD_Connection *c, unsigned status, const char *type,
				     struct MHD_Response *r)
{
	if (!r)
		return MHD_NO;
	add_header(r, "Content-Type", type);
	add_header(r, "Cache-Control", "no-store");
	add_header(r, "X-Content-Type-Options", "nosniff");
	add_header(r, "X-Frame-Options", "DENY");
	add_header(r, "Referrer-Policy", "no-referrer");
	if (status == 405)
		add_header(r, "Allow", "GET, HEAD");
	if (status == 401)
		add_header(r, "WWW-Authenticate", "Basic realm=\"seep\", charset=\"UTF-8\"");
	enum MHD_Result done = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return done;
}

static enum MHD_Result send_line(struct MHD_Connection *c, unsigned status, const char *text)
{
	char line[256];
	int len = snprintf(line, sizeof(line), "%s\n", text);

	return send_response(c, status, "text/plain; charset=utf-8",
			     MHD_create_response_from_buffer((size_t)len, line, MHD_RESPMEM_MUST_COPY));
}

static enum MHD_Result refuse(struct sp_http *h, struct MHD_Connection *c, unsigned status, const char *why)
{
	h->nr_refusals++;
	return send_line(c, status, why);
}

static enum MHD_Result send_file(struct MHD_Connection *c, enum sp_report_format format, int fd, uint64_t size)
{
	int copy = dup(fd);
	struct MHD_Response *r = copy < 0 ? NULL : MHD_create_response_from_fd64(size, copy);

	if (!r && copy >= 0)
		close(copy);
	if (r && format == SP_REPORT_pprof)
		add_header(r, "Content-Disposition", "attachment; filename=\"seep.pb.gz\"");
	return send_response(c, 200, format == SP_REPORT_html ? "text/html; charset=utf-8" : "application/octet-stream",
			     r);
}

/* A text that `write` makes. */
static enum MHD_Result send_written(struct MHD_Connection *c, const char *type,
				    int (*write)(FILE *, const struct sp_metrics *), const struct sp_metrics *m)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return MHD_NO;
	int err = write(f, m);
	if (fclose(f) || err) {
		free(text);
		return MHD_NO;
	}
	struct MHD_Response *r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (!r)
		free(text);
	return send_response(c, 200, type, r);
}

static unsigned nr_connections(const struct sp_http *h)
{
	unsigned nr = 0;

	for (size_t i = 0; i < MAX_CONNECTIONS; i++)
		nr += h->open[i].since_ns != 0;
	return nr;
}

static enum MHD_Result send_overview(struct sp_http *h, struct MHD_Connection *c, const struct sp_serve_request *q)
{
	struct sp_metrics_target list[SP_SERVE_MAX_TARGETS];
	const struct sp_metrics m = {.list = list,
				     .nr = sp_targets_list(h->targets, list),
				     .nr_refused = sp_targets_nr_refused(h->targets),
				     .requests = h->nr_requests,
				     .refusals = h->nr_refusals,
				     .connections = nr_connections(h),
				     .is_openmetrics = q->is_openmetrics};

	if (q->page == SP_SERVE_HOME)
		return send_written(c, "text/html; charset=utf-8", sp_page_targets, &m);
	return send_written(c,
			    q->is_openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
					      : "text/plain; version=0.0.4; charset=utf-8",
			    sp_metrics_write, &m);
}

/* ---- reports ---- */

static void wait_for_report(struct sp_http *h, struct exchange *x)
{
	x->next = h->waiting;
	h->waiting = x;
	MHD_suspend_connection(x->connection);
}

static enum MHD_Result try_report(struct sp_http *h, struct exchange *x)
{
	uint64_t size = 0;
	int fd = -1, err = sp_targets_report(h->targets, x->pid, x->format, x->asked_ns, &fd, &size);

	if (h->is_ending)
		return send_line(x->connection, 503, "seep is about to end");
	switch (err) {
	case 0:
		return send_file(x->connection, x->format, fd, size);
	case -EAGAIN:
		if (sp_clock_ns() > x->asked_ns + PATIENCE_NS)
			return send_line(x->connection, STATUS_NO_ANSWER, "no report came in time");
		wait_for_report(h, x);
		return MHD_YES;
	case -ESRCH:
		return refuse(h, x->connection, 404, "no such process is watched here");
	default:
		return send_line(x->connection, 503, "the process is not being watched now; /metrics says why");
	}
}

/* The only target there is, when none is named; 0: there are none, or several. */
static pid_t only_target(struct sp_http *h)
{
	struct sp_metrics_target list[SP_SERVE_MAX_TARGETS];

	return sp_targets_list(h->targets, list) == 1 ? list[0].pid : 0;
}

static enum MHD_Result begin_report(struct sp_http *h, struct exchange *x, const struct sp_serve_request *q)
{
	x->pid = q->pid ? q->pid : only_target(h);
	x->format = q->page == SP_SERVE_HOME ? SP_REPORT_html : SP_REPORT_pprof;
	x->asked_ns = sp_clock_ns();
	if (x->pid)
		return try_report(h, x);
	if (q->page == SP_SERVE_HOME)
		return send_overview(h, x->connection, q);
	return refuse(h, x->connection, 400, "which process? say ?pid=NUMBER; / lists them");
}

/* Wakes who waits and can be answered, or has waited for too long; the handler then tries again. */
static void look_after_waiting(struct sp_http *h)
{
	uint64_t now_ns = sp_clock_ns(), size;
	struct exchange **at = &h->waiting;
	int fd;

	while (*at) {
		struct exchange *x = *at;
		int err = sp_targets_report(h->targets, x->pid, x->format, x->asked_ns, &fd, &size);

		if (err == -EAGAIN && now_ns <= x->asked_ns + PATIENCE_NS && !h->is_ending) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		MHD_resume_connection(x->connection);
	}
}

/* ---- requests ---- */

static const char *header(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static bool has_body(struct MHD_Connection *c)
{
	const char *length = header(c, "Content-Length");

	return header(c, "Transfer-Encoding") || (length && strcmp(length, "0") != 0);
}

static enum MHD_Result answer(struct sp_http *h, struct exchange *x, const char *path, const char *method)
{
	struct MHD_Connection *c = x->connection;
	const struct sp_serve_words words = {.method = method,
					     .path = path,
					     .host = header(c, "Host"),
					     .authorization = header(c, "Authorization"),
					     .accept = header(c, "Accept"),
					     .pid = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "pid"),
					     .has_body = has_body(c)};
	struct sp_serve_request q;
	const char *why = "";
	unsigned status = sp_serve_decide(h->gate, &words, &q, &why);

	h->nr_requests++;
	if (status != 200)
		return refuse(h, c, status, why);
	switch (q.page) {
	case SP_SERVE_HEALTH:
		return send_line(c, 200, "ok");
	case SP_SERVE_METRICS:
		return send_overview(h, c, &q);
	default:
		return begin_report(h, x, &q);
	}
}

/* The library calls once when the headers are there, and again when a suspended connection goes on. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *path, const char *method,
				  const char *version, const char *body, size_t *body_len, void **state)
{
	struct exchange *x = *state;

	(void)version;
	(void)body;
	(void)body_len;
	if (x)
		return try_report(arg, x);
	x = calloc(1, sizeof(*x));
	if (!x)
		return MHD_NO;
	x->connection = c;
	*state = x;
	return answer(arg, x, path, method);
}

static void on_completed(void *arg, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode code)
{
	struct sp_http *h = arg;
	struct exchange *x = *state;

	(void)c;
	(void)code;
	for (struct exchange **at = &h->waiting; *at; at = &(*at)->next) {
		if (*at != x)
			continue;
		*at = x->next;
		break;
	}
	free(x);
	*state = NULL;
}

/* ---- connections ---- */

static void on_connection(void *arg, struct MHD_Connection *c, void **state, enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct sp_http *h = arg;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED && *state)
		*(struct open *)*state = (struct open){.fd = -1};
	if (code == MHD_CONNECTION_NOTIFY_CLOSED || !info)
		return;
	for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
		if (h->open[i].since_ns)
			continue;
		h->open[i] = (struct open){.fd = info->connect_fd, .since_ns = sp_clock_ns()};
		*state = &h->open[i];
		return;
	}
}

static void end_old_connections(struct sp_http *h)
{
	uint64_t now_ns = sp_clock_ns();

	for (size_t i = 0; i < MAX_CONNECTIONS; i++)
		if (h->open[i].since_ns && now_ns > h->open[i].since_ns + CONNECTION_NS)
			shutdown(h->open[i].fd, SHUT_RDWR);
}

/* ---- the server ---- */

static int listen_at(const struct sp_serve_address *where, struct sp_serve_address *ret, struct sp_why *why)
{
	int on = 1, fd = socket(where->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;
	char text[64];

	*ret = *where;
	ret->len = sizeof(ret->storage);
	if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) &&
	    !bind(fd, &where->any, where->len) && !listen(fd, MAX_CONNECTIONS) &&
	    !getsockname(fd, &ret->any, &ret->len))
		return fd;
	err = sp_why_set(why, SP_FAULT_OURS, errno, "cannot listen on %s: %s",
			 sp_serve_address_text(where, text, sizeof(text)), strerror(errno));
	if (fd >= 0)
		close(fd);
	return err;
}

int sp_http_open(const struct sp_serve_address *where, const struct sp_serve_gate *gate, struct sp_targets *targets,
		 struct sp_http **ret, struct sp_serve_address *ret_address, struct sp_why *why)
{
	int fd = listen_at(where, ret_address, why);
	struct sp_http *h = fd < 0 ? NULL : calloc(1, sizeof(*h));

	if (fd < 0)
		return fd;
	if (h) {
		*h = (struct sp_http){.gate = gate, .targets = targets};
		h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, h,
					     MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
					     (unsigned)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
					     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
					     MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION,
					     on_connection, h, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	}
	if (h && h->daemon) {
		*ret = h;
		return 0;
	}
	free(h);
	close(fd);
	return sp_why_set(why, SP_FAULT_OURS, ENOMEM, "cannot start the HTTP server");
}

void sp_http_close(struct sp_http *h)
{
	if (!h)
		return;
	h->is_ending = true;
	look_after_waiting(h);
	MHD_run(h->daemon);
	MHD_stop_daemon(h->daemon);
	free(h);
}

int sp_http_fd(const struct sp_http *h)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);

	return info ? info->epoll_fd : -1;
}

void sp_http_turn(struct sp_http *h)
{
	look_after_waiting(h);
	end_old_connections(h);
	MHD_run(h->daemon);
}

int sp_http_timeout(struct sp_http *h, int ms)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;

	return MHD_get_timeout(h->daemon, &wait_ms) == MHD_YES && wait_ms < (unsigned)ms ? (int)wait_ms : ms;
}
