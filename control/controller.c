// SPDX-License-Identifier: Apache-2.0
// Brings the process up step by step, in an order that matters, and takes it down the other way round.
#include "controller.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alone.h"
#include "controller_priv.h"
#include "log.h"

static int loop_up(struct controller *c, struct err *err)
{
	c->loop = loop_create(err);
	return c->loop != NULL ? 0 : -ENOMEM;
}

static void loop_down(struct controller *c)
{
	loop_destroy(c->loop);
}

static int nib_up(struct controller *c, struct err *err)
{
	const struct config *config = c->conf->config;

	c->nib = nib_create();
	if (c->nib == NULL)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < config->n_hosts; i++) {
		if (nib_host_add(c->nib, config->hosts[i].name, config->hosts[i].address, err) < 0)
			return -EINVAL;
	}
	return 0;
}

static void nib_down(struct controller *c)
{
	nib_destroy(c->nib);
}

// Its clock starts at 0, not now: the journal's statements come with their own, earlier, times.
static int engine_up(struct controller *c, struct err *err)
{
	const struct engine_conf conf = {.drop_fragments = c->conf->config->dataplane.drop_fragments};

	c->engine = engine_create(&conf, c->nib, 0);
	return c->engine != NULL ? 0 : err_set(err, ENOMEM, "out of memory");
}

static void engine_down(struct controller *c)
{
	engine_destroy(c->engine);
}

static bool user_exists(void *ctx, const char *user)
{
	struct controller *c = ctx;

	return engine_user_exists(c->engine, user);
}

static struct tls_files tls_files_of(const struct config *config)
{
	return (struct tls_files){config->tls.cert, config->tls.key, config->tls.ca, config->tls.crl};
}

// Certificates and what is revoked are read again. What cannot be used changes nothing.
static void on_hangup(evutil_socket_t fd, short what, void *ctx)
{
	struct controller *c = ctx;
	const struct tls_files files = tls_files_of(c->conf->config);
	struct err err;
	SSL_CTX *tls;

	(void)fd;
	(void)what;
	if (c->tls == NULL)
		return;
	tls = tls_server_renew(&files, c->tls, NULL, &err);
	if (tls == NULL) {
		log_error("SIGHUP: TLS goes on with the certificates of before: %s", err.msg);
		return;
	}
	server_renew_tls(c->server, tls);
	SSL_CTX_free(c->tls);
	c->tls = tls;
	log_info("SIGHUP: certificates and revocation list were read again");
}

static int server_up(struct controller *c, struct err *err)
{
	const struct config *config = c->conf->config;
	struct server_conf conf = {.tcp_listen = config->tcp_listen,
				   .tls_listen = config->tls.listen,
				   .user_exists = user_exists,
				   .ctx = c,
				   .clock_ns = loop_uptime_ns,
				   .max_sessions_per_user = config->limits.sessions};
	const struct tls_files files = tls_files_of(config);
	char path[RUNDIR_PATH_MAX];

	conf.max_sessions =
		server_raise_files(config->limits.all_sessions > 0 ? config->limits.all_sessions : SERVER_SESSIONS_MAX);
	c->auth_rules = calloc(config->n_principals + 1, sizeof(*c->auth_rules));
	if (c->auth_rules == NULL)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < config->n_principals; i++)
		c->auth_rules[i] = (struct auth_rule){config->principals[i].name, config->principals[i].os_user};
	conf.auth = (struct auth_rules){c->auth_rules, config->n_principals};
	if (rundir_path(path, sizeof(path), config->run_dir, "control.sock", err) < 0)
		return -EINVAL;
	conf.unix_path = path;
	if (config->tls.listen != NULL && (c->tls = tls_server_create(&files, NULL, err)) == NULL)
		return -EINVAL;
	conf.tls = c->tls;
	c->server = server_create(loop_base(c->loop), &conf, err);
	if (c->server == NULL)
		return -EIO;
	c->hangup = evsignal_new(loop_base(c->loop), SIGHUP, on_hangup, c);
	return c->hangup != NULL && evsignal_add(c->hangup, NULL) == 0 ? 0 : err_set(err, ENOMEM, "out of memory");
}

static void server_down(struct controller *c)
{
	if (c->hangup != NULL)
		event_free(c->hangup);
	server_destroy(c->server);
	SSL_CTX_free(c->tls);
	free(c->auth_rules);
}

// After the sockets, for which run_dir must be writable; before the journal, whose directory is control_user's.
static int privileges_up(struct controller *c, struct err *err)
{
	const struct config *config = c->conf->config;
	pid_t parent = getppid();
	uid_t uid;
	gid_t gid;

	if (config->control_user != NULL && (rundir_control_user(config, &uid, &gid, err) < 0 ||
					     rundir_become(uid, gid, config->control_user, err) < 0))
		return -EPERM;
	umask(077);
	// The change of user has cleared it.
	if (c->conf->supervised && (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent))
		return err_set(err, ESRCH, "the supervisor is gone");
	return 0;
}

static int journal_up(struct controller *c, struct err *err)
{
	const struct config *config = c->conf->config;
	struct recovery_conf conf = {
		.hosts = config->hosts, .n_hosts = config->n_hosts, .checkpoint_every = c->conf->checkpoint_every};
	int64_t start_ns = loop_uptime_ns();

	if (rundir_path(c->journal_path, sizeof(c->journal_path), config->state_dir, "journal.db", err) < 0)
		return -EINVAL;
	conf.path = c->journal_path;
	c->recovery = recovery_open(&conf, c->engine, c->nib, loop_clock_ns(), err);
	if (c->recovery == NULL)
		return -EIO;
	log_info("the journal was read in %" PRId64 " ms", (loop_uptime_ns() - start_ns) / 1000000);
	return 0;
}

static bool wants_event(void *ctx, const char *user)
{
	struct controller *c = ctx;

	return server_listens(c->server, user);
}

static void add_event(struct controller *c, char *text)
{
	if (c->n_events == c->cap_events) {
		size_t cap = c->cap_events == 0 ? 64 : c->cap_events * 2;
		char **events = realloc(c->events, cap * sizeof(char *));

		if (events == NULL)
			abort(); // the supervisor starts again from the journal
		c->events = events;
		c->cap_events = cap;
	}
	if (text == NULL)
		abort();
	c->events[c->n_events++] = text;
}

static void on_event(void *ctx, const char *user, const json_t *event)
{
	add_event(ctx, strdup(user));
	add_event(ctx, json_dumps(event, JSON_COMPACT));
}

static void on_user_dropped(void *ctx, const char *user)
{
	struct controller *c = ctx;
	char why[128];

	snprintf(why, sizeof(why), "user %s was dropped", user);
	server_end_sessions(c->server, user, why);
}

// After the journal: what was accepted once is not refused for a limit set later, and nobody heard what happened then.
static int limits_up(struct controller *c, struct err *err)
{
	const struct event_sink sink = {.wants = wants_event, .fn = on_event, .ctx = c};

	c->meter = meter_create(c->conf->config->limits.statements_per_s);
	if (c->meter == NULL)
		return err_set(err, ENOMEM, "out of memory");
	engine_limit_requests(c->engine, c->conf->config->limits.requests);
	engine_listen(c->engine, &sink);
	engine_on_user_dropped(c->engine, on_user_dropped, c);
	return 0;
}

static void limits_down(struct controller *c)
{
	meter_destroy(c->meter);
	for (size_t i = 0; i < c->n_events; i++)
		free(c->events[i]);
	free(c->events);
}

static void journal_down(struct controller *c)
{
	recovery_close(c->recovery, c->stops_clean);
}

static int link_up(struct controller *c, struct err *err)
{
	char path[RUNDIR_PATH_MAX];

	if (rundir_path(path, sizeof(path), c->conf->config->run_dir, "link.sock", err) < 0)
		return -EINVAL;
	if (c->conf->config->n_ports == 0)
		path[0] = '\0'; // OpenFlow switches alone
	c->link = dp_link_create(loop_base(c->loop), path, c->nib, err);
	return c->link != NULL ? 0 : -EIO;
}

static void link_down(struct controller *c)
{
	dp_link_destroy(c->link);
}

static enum prove_mode verify_mode(const struct controller *c)
{
	enum prove_mode mode = PROVE_OFF;

	prove_mode_parse(c->conf->verify != NULL ? c->conf->verify : c->conf->config->verify, &mode);
	return mode;
}

// The first turn sends the policy, also an empty one.
static int realize_up(struct controller *c, struct err *err)
{
	c->realize = realize_create(c->engine, c->link, err);
	if (c->realize != NULL)
		realize_prove(c->realize, verify_mode(c));
	c->traces = traces_create(loop_base(c->loop), c->link, c->engine, c->server);
	return c->realize != NULL && c->traces != NULL ? 0 : err_set(err, ENOMEM, "out of memory");
}

static void realize_down(struct controller *c)
{
	traces_destroy(c->traces);
	realize_destroy(c->realize);
}

// Before the change of user, who may not be able to read them.
static int certificates_up(struct controller *c, struct err *err)
{
	const struct config_tls *tls = &c->conf->config->openflow_tls;
	const struct tls_files files = {tls->cert, tls->key, tls->ca, tls->crl};

	if (tls->listen != NULL)
		c->openflow_tls = tls_server_create(&files, NULL, err);
	return tls->listen == NULL || c->openflow_tls != NULL ? 0 : -EINVAL;
}

static void certificates_down(struct controller *c)
{
	SSL_CTX_free(c->openflow_tls);
}

static void on_kept(void *ctx, uint64_t request, const char *why)
{
	struct controller *c = ctx;

	engine_kept(c->engine, request, why);
}

static void on_parted(void *ctx, uint64_t request, uint32_t parts)
{
	dp_link_part_meter(ctx, request, parts);
}

static int openflow_up(struct controller *c, struct err *err)
{
	const struct config *config = c->conf->config;
	const struct of_server_conf conf = {.listen = config->openflow_listen,
					    .tls_listen = config->openflow_tls.listen,
					    .tls = c->openflow_tls,
					    .verify = verify_mode(c),
					    .lease_ns = config->openflow_lease_s * 1000000000LL,
					    .port_hosts_max = config->openflow_hosts_max,
					    .queues = config->openflow_ovsdb != NULL,
					    .nib = c->nib};

	if (conf.listen == NULL && conf.tls_listen == NULL) {
		engine_ask_network(c->engine, alone_fit, c->nib);
		return 0;
	}
	c->openflow = of_server_create(loop_base(c->loop), &conf, err);
	if (c->openflow == NULL)
		return -EIO;
	of_server_on_kept(c->openflow, on_kept, c);
	of_server_on_parted(c->openflow, on_parted, c->link);
	engine_ask_network(c->engine, of_server_fit, c->openflow);
	if (c->conf->config->openflow_ovsdb == NULL)
		return 0;
	c->ovsdb = ovsdb_links_create(loop_base(c->loop), c->conf->config->openflow_ovsdb, err);
	return c->ovsdb != NULL ? 0 : -EINVAL;
}

static void openflow_down(struct controller *c)
{
	if (c->engine != NULL)
		engine_ask_network(c->engine, NULL, NULL);
	ovsdb_links_destroy(c->ovsdb);
	of_server_destroy(c->openflow);
}

static int metrics_up(struct controller *c, struct err *err)
{
	const struct metrics_source src = {
		c->nib, c->engine, c->link, c->realize, c->openflow == NULL ? NULL : of_server_proof(c->openflow), 0};

	if (c->conf->config->metrics_listen == NULL)
		return 0;
	c->metrics =
		metrics_server_create(loop_base(c->loop), c->conf->config->metrics_listen, METRICS_LIFE_MS, &src, err);
	return c->metrics != NULL ? 0 : -EIO;
}

static void metrics_down(struct controller *c)
{
	metrics_server_destroy(c->metrics);
}

static const struct {
	const char *name;
	int (*up)(struct controller *c, struct err *err);
	void (*down)(struct controller *c);
} steps[] = {
	{"event loop", loop_up, loop_down},
	{"network state", nib_up, nib_down},
	{"policy engine", engine_up, engine_down},
	{"command socket", server_up, server_down},
	{"openflow certificates", certificates_up, certificates_down},
	{"privileges", privileges_up, NULL},
	{"journal", journal_up, journal_down},
	{"limits", limits_up, limits_down},
	{"dataplane link", link_up, link_down},
	{"policy", realize_up, realize_down},
	{"openflow", openflow_up, openflow_down},
	{"metrics", metrics_up, metrics_down},
};

#define N_STEPS (sizeof(steps) / sizeof(steps[0]))

int controller_run(const struct controller_conf *conf)
{
	struct controller c = {.conf = conf};
	struct err err = {0};
	int status = 0;
	size_t up = 0;

	while (up < N_STEPS && status == 0) {
		if (steps[up].up(&c, &err) < 0) {
			log_error("cannot start (%s): %s", steps[up].name, err.msg);
			status = 1;
		}
		up++; // down takes what is half up
	}
	if (status == 0) {
		const char *tcp = conf->config->tcp_listen, *tls = conf->config->tls.listen;

		log_info("answers on %s/control.sock%s%s%s%s", conf->config->run_dir, tcp != NULL ? ", " : "",
			 tcp != NULL ? tcp : "", tls != NULL ? ", with TLS on " : "", tls != NULL ? tls : "");
		status = loop_run(c.loop, controller_turn, &c) == 0 ? 0 : 1;
		c.stops_clean = status == 0 && !c.journal_failed;
		log_info("stops");
	}
	while (up-- > 0) {
		if (steps[up].down != NULL)
			steps[up].down(&c);
	}
	return status;
}
