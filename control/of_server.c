// SPDX-License-Identifier: Apache-2.0
#include "of_server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "alone.h"
#include "auth.h"
#include "engine.h"
#include "hft/verify.h"
#include "log.h"
#include "loop.h"
#include "member_tell.h"
#include "network.h"
#include "nib.h"
#include "of_audit.h"
#include "of_conn.h"
#include "ovsdb.h"
#include "state.h"
#include "tls.h"

#define SESSIONS_MAX 1024
#define HOSTS_MAX 65536
#define OUTPUT_MAX_BYTES (16 << 20) // of a switch that does not read
#define DEAF_NS 100000000LL         // after nobody could be accepted

struct session {
	struct of_server *server;
	struct bufferevent *bev;
	struct of_switch *sw; // NULL: in the TLS handshake
	SSL *ssl;             // the bufferevent's; NULL: no TLS
	int64_t since_ns;     // uptime
	bool closing;         // at the end of the turn
	TAILQ_ENTRY(session) link;
};

struct of_server {
	struct evconnlistener *listeners[2]; // without, with TLS; NULL: none
	SSL_CTX *tls;
	struct of_net *net;
	struct nib *nib;
	struct member_tell member;
	struct of_audit *audit;
	int64_t deaf_ns; // nobody is accepted until then: no files were left; 0: they are
	TAILQ_HEAD(, session) sessions;
	unsigned int n_sessions;
	uint64_t policy_gen;
	bool policy_known;
	const struct engine *engine; // of the last turn
	int64_t now_ns;              // of the last turn, since the epoch
	enum prove_mode verify;
	uint32_t n_policies;
	struct of_policy_proof proof;
	char trouble[512]; // why switches cannot have the policy; "": they can
	struct {
		void (*fn)(void *ctx, uint64_t request, const char *why);
		void *ctx;
	} kept;
	struct {
		void (*fn)(void *ctx, uint64_t request, uint32_t parts);
		void *ctx;
	} parted;
	struct ovsdb_queue *queues; // as the NIB shows them
	uint32_t n_queues;
	uint64_t queues_gen;
};

static void net_send(void *session, const uint8_t *bytes, size_t len)
{
	struct session *s = session;

	if (s->closing)
		return;
	if (bufferevent_write(s->bev, bytes, len) < 0 ||
	    evbuffer_get_length(bufferevent_get_output(s->bev)) > OUTPUT_MAX_BYTES) {
		log_warning("openflow: a switch does not read; its session ends");
		s->closing = true;
	}
}

static void net_close(void *session)
{
	struct session *s = session;

	s->closing = true;
}

static void net_note(void *ctx, const char *text)
{
	log_info("openflow: %s", text);
	(void)ctx;
}

static void net_kept(void *ctx, uint64_t request, const char *why)
{
	const struct of_server *s = ctx;

	if (s->kept.fn != NULL)
		s->kept.fn(s->kept.ctx, request, why);
}

static void net_contested(void *ctx, const struct addr_contest *c)
{
	const struct of_server *s = ctx;

	if (s->engine != NULL)
		network_contested(engine_state(s->engine), c);
}

static void net_parted(void *ctx, uint64_t request, uint32_t parts)
{
	const struct of_server *s = ctx;

	if (s->parted.fn != NULL)
		s->parted.fn(s->parted.ctx, request, parts);
}

void of_server_on_parted(struct of_server *s, void (*fn)(void *ctx, uint64_t request, uint32_t parts), void *ctx)
{
	s->parted.fn = fn;
	s->parted.ctx = ctx;
}

void of_server_on_kept(struct of_server *s, void (*fn)(void *ctx, uint64_t request, const char *why), void *ctx)
{
	s->kept.fn = fn;
	s->kept.ctx = ctx;
}

static void session_end(struct session *s)
{
	struct of_server *server = s->server;

	if (s->sw != NULL)
		of_net_detach(server->net, s->sw, loop_uptime_ns());
	bufferevent_free(s->bev);
	TAILQ_REMOVE(&server->sessions, s, link);
	server->n_sessions--;
	free(s);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct session *s = ctx;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(in);
	struct err err;

	if (!s->closing && s->sw != NULL &&
	    of_net_input(s->server->net, s->sw, evbuffer_pullup(in, -1), len, loop_uptime_ns(), &err) < 0) {
		log_warning("openflow: a switch's session ends: %s", err.msg);
		s->closing = true;
		bufferevent_flush(bev, EV_WRITE, BEV_FLUSH);
	}
	evbuffer_drain(in, len);
}

static void note_handshake(const struct session *s, unsigned long error)
{
	char why[256];

	tls_why(s->ssl, error, why, sizeof(why));
	log_warning("openflow: no TLS session: %s", why);
}

static void begin(struct session *s)
{
	s->sw = of_net_attach(s->server->net, s, loop_uptime_ns());
	s->closing = s->sw == NULL;
}

static void on_change(struct bufferevent *bev, short what, void *ctx)
{
	struct session *s = ctx;

	if (what & BEV_EVENT_CONNECTED)
		begin(s); // the handshake is through: certificates are right
	else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
		s->closing = true;
	if (s->closing && s->sw == NULL && s->ssl != NULL)
		note_handshake(s, bufferevent_get_openssl_error(bev));
}

static struct bufferevent *make_bev(struct session *s, evutil_socket_t fd, SSL_CTX *tls)
{
	struct event_base *base = evconnlistener_get_base(s->server->listeners[tls != NULL]);
	struct bufferevent *bev;

	if (tls == NULL)
		return bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	s->ssl = SSL_new(tls);
	if (s->ssl == NULL)
		return NULL;
	bev = bufferevent_openssl_socket_new(base, fd, s->ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
		SSL_free(s->ssl);
	return bev;
}

static void accept_one(struct of_server *server, evutil_socket_t fd, SSL_CTX *tls)
{
	struct session *s = server->n_sessions < SESSIONS_MAX ? calloc(1, sizeof(*s)) : NULL;
	int one = 1;

	if (s == NULL) {
		log_warning("openflow: over %d switches, one is refused", SESSIONS_MAX);
		evutil_closesocket(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	s->server = server;
	s->since_ns = loop_uptime_ns();
	s->bev = make_bev(s, fd, tls);
	if (s->bev == NULL) {
		evutil_closesocket(fd);
		free(s);
		return;
	}
	TAILQ_INSERT_TAIL(&server->sessions, s, link);
	server->n_sessions++;
	bufferevent_setcb(s->bev, on_read, NULL, on_change, s);
	if (tls == NULL)
		begin(s);
	s->closing = s->closing || bufferevent_enable(s->bev, EV_READ | EV_WRITE) < 0;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *addr, int len, void *ctx)
{
	struct of_server *server = ctx;

	accept_one(server, fd, listener == server->listeners[1] ? server->tls : NULL);
	(void)addr;
	(void)len;
}

static void set_deaf(struct of_server *s, int64_t until_ns)
{
	s->deaf_ns = until_ns;
	for (int i = 0; i < 2; i++) {
		if (s->listeners[i] != NULL && until_ns != 0)
			evconnlistener_disable(s->listeners[i]);
		else if (s->listeners[i] != NULL)
			evconnlistener_enable(s->listeners[i]);
	}
}

static void on_accept_error(struct evconnlistener *listener, void *ctx)
{
	log_warning("openflow: cannot accept a switch: %s", evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
	set_deaf(ctx, loop_uptime_ns() + DEAF_NS);
	(void)listener;
}

static int listen_on(struct of_server *s, struct event_base *base, const char *text, bool with_tls, struct err *err)
{
	const char *key = with_tls ? "openflow_tls.listen" : "openflow_listen";
	unsigned int flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC;
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	struct err why;

	if (text == NULL)
		return 0;
	if (auth_address_parse(text, &addr, &len, &why) < 0)
		return err_set(err, EINVAL, "%s: %.256s", key, why.msg);
	s->listeners[with_tls] =
		evconnlistener_new_bind(base, on_accept, s, flags, -1, (struct sockaddr *)&addr, (int)len);
	if (s->listeners[with_tls] == NULL)
		return err_set(err, errno, "%s: cannot listen on %s: %s", key, text, strerror(errno));
	evconnlistener_set_error_cb(s->listeners[with_tls], on_accept_error);
	return 0;
}

struct of_server *of_server_create(struct event_base *base, const struct of_server_conf *conf, struct err *err)
{
	struct of_net_ops ops = {.send = net_send,
				 .close = net_close,
				 .note = net_note,
				 .kept = net_kept,
				 .contested = net_contested,
				 .parted = net_parted};
	struct of_net_conf net_conf = {.hosts_max = HOSTS_MAX,
				       .port_hosts_max = conf->port_hosts_max,
				       .lease_ns = conf->lease_ns,
				       .queues = conf->queues};
	struct of_server *s = calloc(1, sizeof(*s));

	if (s == NULL || getrandom(net_conf.key, sizeof(net_conf.key), 0) != sizeof(net_conf.key) ||
	    getrandom(&net_conf.salt, sizeof(net_conf.salt), 0) != sizeof(net_conf.salt)) {
		free(s);
		err_set(err, ENOMEM, "openflow: out of memory");
		return NULL;
	}
	s->nib = conf->nib;
	s->verify = conf->verify;
	s->tls = conf->tls;
	TAILQ_INIT(&s->sessions);
	ops.ctx = s;
	s->net = of_net_create(&ops, &net_conf);
	s->audit = s->net == NULL ? NULL : of_audit_create(s->net);
	nib_verifier_set(s->nib, (struct nib_verifier){s->audit == NULL ? NULL : of_audit_ask, s->audit});
	if (s->audit == NULL)
		err_set(err, ENOMEM, "openflow: out of memory");
	else if (listen_on(s, base, conf->listen, false, err) == 0 &&
		 listen_on(s, base, conf->tls_listen, true, err) == 0)
		return s;
	of_server_destroy(s);
	return NULL;
}

uint16_t of_server_port(const struct of_server *s, bool with_tls)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (s->listeners[with_tls] == NULL ||
	    getsockname(evconnlistener_get_fd(s->listeners[with_tls]), (struct sockaddr *)&addr, &len) < 0)
		return 0;
	return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
						: ((struct sockaddr_in *)&addr)->sin_port);
}

void of_server_destroy(struct of_server *s)
{
	struct session *at, *after;

	if (s == NULL)
		return;
	for (int i = 0; i < 2; i++) {
		if (s->listeners[i] != NULL)
			evconnlistener_free(s->listeners[i]);
	}
	for (at = TAILQ_FIRST(&s->sessions); at != NULL; at = after) {
		after = TAILQ_NEXT(at, link);
		session_end(at);
	}
	nib_net_set(s->nib, NULL);
	nib_verifier_set(s->nib, (struct nib_verifier){0});
	of_audit_destroy(s->audit);
	of_net_destroy(s->net);
	free(s->queues);
	free(s);
}

// The policy in the forms that switches take, beside the parts that the dataplane gets.
static void take_policy(struct of_server *s, const struct engine *engine, int64_t now_ns)
{
	struct of_policy policy;
	struct demands demands;
	struct tree tree;
	struct err err;
	int ret;

	s->proof.effort = s->verify == PROVE_ALWAYS                                           ? VERIFY_EFFORT
			  : s->verify == PROVE_SAMPLED && s->n_policies++ % PROVE_SAMPLE == 0 ? VERIFY_EFFORT_SHORT
											      : 0;
	tree_init(&tree);
	demands_init(&demands);
	of_policy_init(&policy);
	ret = engine_policy_all(engine, now_ns, &tree, &demands);
	if (ret == 0)
		ret = of_policy_build(&policy, &tree, &demands, now_ns, &s->proof, &err);
	else
		err_set(&err, -ret, "the policy tree cannot be made");
	if (ret == 0)
		of_net_policy(s->net, &policy);
	else
		log_error("openflow: switches keep the last policy: %s", err.msg);
	snprintf(s->trouble, sizeof(s->trouble), "%s", ret == 0 ? "" : err.msg);
	of_policy_fini(&policy);
	demands_fini(&demands);
	tree_fini(&tree);
}

const char *of_server_trouble(const struct of_server *s)
{
	return s->n_sessions == 0 || s->trouble[0] == '\0' ? NULL : s->trouble;
}

const struct of_policy_proof *of_server_proof(const struct of_server *s)
{
	return &s->proof;
}

static void follow_policy(struct of_server *s)
{
	if (s->n_sessions == 0 || (s->policy_known && s->policy_gen == engine_policy_gen(s->engine)))
		return;
	s->policy_known = true;
	s->policy_gen = engine_policy_gen(s->engine);
	take_policy(s, s->engine, s->now_ns);
}

// Requests that were accepted in this turn count.
int of_server_fit(void *server, const struct demand *demand, struct err *err)
{
	struct of_server *s = server;

	if (s->engine == NULL)
		return 0; // nobody can have connected yet
	if (s->n_sessions == 0 && demand->kind == DEMAND_WAYPOINT)
		return err_set(err, ENOTCONN, "no OpenFlow switch is connected that could lead through a middlebox");
	if (s->n_sessions == 0)
		return alone_fit(s->nib, demand, err);
	follow_policy(s);
	return of_net_fit(s->net, demand, s->now_ns, err);
}

static void follow_queues(struct of_server *s)
{
	struct ovsdb_queue *queues;
	int n = of_net_queues(s->net, &s->queues_gen, &queues);

	if (n < 0)
		return;
	free(s->queues);
	s->queues = queues;
	s->n_queues = (uint32_t)n;
}

int64_t of_server_turn(struct of_server *s, const struct engine *engine, int64_t now_ns)
{
	int64_t uptime_ns = loop_uptime_ns(), next_ns, audit_ns, member_ns;
	struct session *at, *after;
	struct nib_net view;

	s->engine = engine;
	s->now_ns = now_ns;
	follow_policy(s);
	member_ns = member_tell(&s->member, s->nib, s->net, uptime_ns);
	of_net_turn(s->net, uptime_ns, now_ns);
	of_net_took(s->net, loop_uptime_ns() - uptime_ns);
	follow_queues(s);
	view = (struct nib_net){.topo = of_net_topo(s->net),
				.addrs = of_net_addrs(s->net),
				.wall_minus_now_ns = now_ns - uptime_ns,
				.queues = s->queues,
				.n_queues = s->n_queues,
				.hosts_refused = of_net_counts(s->net)->hosts_refused,
				.flaps = of_net_counts(s->net)->flaps};
	nib_net_set(s->nib, &view);
	audit_ns = s->audit == NULL ? INT64_MAX : of_audit_turn(s->audit, engine, uptime_ns, now_ns);
	for (at = TAILQ_FIRST(&s->sessions); at != NULL; at = after) {
		after = TAILQ_NEXT(at, link);
		if (at->sw == NULL && !at->closing && uptime_ns - at->since_ns >= OF_CONN_HANDSHAKE_NS) {
			log_warning("openflow: no TLS session: the peer is too slow");
			at->closing = true;
		}
		if (at->closing)
			session_end(at);
	}
	if (s->deaf_ns != 0 && uptime_ns >= s->deaf_ns)
		set_deaf(s, 0);
	next_ns = of_net_next_ns(s->net);
	if (s->deaf_ns != 0 && s->deaf_ns < next_ns)
		next_ns = s->deaf_ns;
	next_ns = member_ns < next_ns ? member_ns : next_ns;
	if (next_ns != INT64_MAX)
		next_ns = now_ns + (next_ns > uptime_ns ? next_ns - uptime_ns : 0);
	return audit_ns < next_ns ? audit_ns : next_ns;
}

const struct of_net *of_server_net(const struct of_server *s)
{
	return s->net;
}

void of_server_ignores_queues(struct of_server *s, uint64_t dpid, bool ignores)
{
	of_net_ignores_queues(s->net, dpid, ignores);
}
