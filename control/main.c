// SPDX-License-Identifier: Apache-2.0
// pane-switchd: the switch and its controller. Without --role it supervises one process of each role; this file chooses
// the role and hands the configuration over.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "config.h"
#include "controller.h"
#include "dataplane/dp.h"
#include "log.h"
#include "loop.h"
#include "nic-config/port.h"
#include "prove.h"
#include "rundir.h"
#include "supervise.h"

#define EXIT_USAGE 2
#define CONTROLLER_LOCK "controller.lock"
#define STOP_MS 3000
#define STOP_PORT_MS 1000                // the kernel takes a tenth to let go of one, more when others have the cores
#define SUPERVISED_ENV "PANE_SUPERVISED" // in a child's environment: the descriptor of the accepted configuration

struct options {
	const char *config, *role, *log_level, *verify;
	bool check_config, supervised;
	int accepted_fd; // of the supervisor and its children: the text that was accepted last; -1: there is only the
			 // file
};

static const char usage[] =
	"usage: pane-switchd [--config FILE] [--role ROLE] [--check-config] [--log-level LEVEL]\n"
	"                     [--verify=always|sample|off]\n"
	"\n"
	"A software switch with a built-in controller: hosts on its ports talk through it, users say on the command\n"
	"socket (panectl) what the network shall do for them.\n"
	"\n"
	"  --config FILE      YAML, explained in docs/pane.yaml (default /etc/pane/pane.yaml)  [PANE_CONFIG]\n"
	"  --role ROLE        all: start and supervise both processes (default); controller or dataplane: be that one\n"
	"                     [PANE_ROLE]\n"
	"  --check-config     say whether the configuration is right, and end  [PANE_CHECK_CONFIG=1]\n"
	"  --log-level LEVEL  error, warning, info or debug, instead of the configuration's  [PANE_LOG_LEVEL]\n"
	"  --verify=WHAT      always, sample or off, instead of the configuration's: prove tables before they are "
	"sent\n"
	"                     [PANE_VERIFY]\n"
	"  --version, --help\n"
	"\n"
	"The environment variable in brackets stands for the flag; the flag wins. SIGTERM and SIGINT stop everything.\n"
	"Exit status: 0 stopped as asked, 1 bad configuration or failure (also: a process had to be killed to stop), 2 "
	"bad\n"
	"command line.\n";

static volatile bool stop_asked, reload_asked;

// -1: go on; otherwise the exit status.
static int parse_options(int argc, char **argv, struct options *o);
static int load(struct options *o, struct config **c, struct err *err);
static void say_warnings(const struct options *o, const struct config *c);
static int run_role(const struct options *o, const struct config *c, const char *program);

int main(int argc, char **argv)
{
	struct options o;
	struct config *c;
	struct err err;
	int status = parse_options(argc, argv, &o);

	prctl(PR_SET_NAME, "pane-switchd"); // a role is started from /proc/self/exe
	if (status >= 0)
		return status;
	if (load(&o, &c, &err) < 0) {
		fprintf(stderr, "pane-switchd: %s\n", err.msg);
		return 1;
	}
	if (o.check_config) {
		say_warnings(&o, c);
		printf("%s: right: %u ports, %u hosts, %u principals\n", o.config, c->n_ports, c->n_hosts,
		       c->n_principals);
		status = 0;
	} else {
		status = run_role(&o, c, argv[0]);
		log_flush(true);
	}
	config_free(c);
	return status;
}

static int usage_error(const char *fmt, const char *what)
{
	fprintf(stderr, "pane-switchd: ");
	fprintf(stderr, fmt, what);
	fprintf(stderr, " (see --help)\n");
	return EXIT_USAGE;
}

static const char *env_or(const char *name, const char *value)
{
	const char *env = getenv(name);

	return env != NULL && env[0] != '\0' ? env : value;
}

static int check_options(const struct options *o)
{
	enum log_level level;
	enum prove_mode verify;

	if (strcmp(o->role, "all") != 0 && strcmp(o->role, "controller") != 0 && strcmp(o->role, "dataplane") != 0)
		return usage_error("--role: expected all, controller or dataplane, got \"%s\"", o->role);
	if (o->log_level != NULL && log_level_parse(o->log_level, &level) < 0)
		return usage_error("--log-level: expected error, warning, info or debug, got \"%s\"", o->log_level);
	if (o->verify != NULL && prove_mode_parse(o->verify, &verify) < 0)
		return usage_error("--verify: expected always, sample or off, got \"%s\"", o->verify);
	return -1;
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option flags[] = {
		{"config", required_argument, NULL, 'c'}, {"role", required_argument, NULL, 'r'},
		{"check-config", no_argument, NULL, 'k'}, {"log-level", required_argument, NULL, 'l'},
		{"verify", required_argument, NULL, 'v'}, {"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},         {0},
	};
	int flag;

	*o = (struct options){
		.config = env_or("PANE_CONFIG", "/etc/pane/pane.yaml"),
		.role = env_or("PANE_ROLE", "all"),
		.log_level = env_or("PANE_LOG_LEVEL", NULL),
		.verify = env_or("PANE_VERIFY", NULL),
		.check_config = strcmp(env_or("PANE_CHECK_CONFIG", "0"), "0") != 0,
	};
	opterr = 0;
	while ((flag = getopt_long(argc, argv, ":h", flags, NULL)) != -1) {
		switch (flag) {
		case 'c':
			o->config = optarg;
			break;
		case 'r':
			o->role = optarg;
			break;
		case 'k':
			o->check_config = true;
			break;
		case 'l':
			o->log_level = optarg;
			break;
		case 'v':
			o->verify = optarg;
			break;
		case 'V':
			printf("pane-switchd %s\n", PANE_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case ':':
			return usage_error("%s needs a value", argv[optind - 1]);
		default:
			return usage_error("unknown flag %s",
					   optopt != 0 ? (char[]){'-', (char)optopt, '\0'} : argv[optind - 1]);
		}
	}
	if (optind < argc)
		return usage_error("unexpected argument \"%s\"", argv[optind]);
	return check_options(o);
}

static void on_signal(int sig)
{
	if (sig == SIGHUP)
		reload_asked = true;
	else
		stop_asked = true;
}

static void catch_signals(bool supervised)
{
	struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGTERM, &stop, NULL);
	// A terminal's ^C goes to all processes: the supervisor passes it on in its own way.
	sigaction(SIGINT, supervised ? &ignore : &stop, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

// The EAL's name for this instance's files: the same at every start, another one for another run_dir.
static void file_prefix(const char *run_dir, char *buf, size_t size)
{
	uint32_t hash = 2166136261; // FNV-1a

	for (; *run_dir != '\0'; run_dir++)
		hash = (hash ^ (unsigned char)*run_dir) * 16777619;
	snprintf(buf, size, "pane-%08x", (unsigned int)hash);
}

// --- the configuration

// The ports of a configuration file, as the dataplane wants them.
struct port_list {
	const struct options *options;
	struct config *config; // whose texts they are; NULL: not ours
	struct dp_port_conf *ports;
};

static int list_ports(struct port_list *list, const struct config *c, struct err *err)
{
	struct dp_port_conf *ports = calloc(c->n_ports + 1, sizeof(*ports));

	if (ports == NULL)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < c->n_ports; i++)
		ports[i] = (struct dp_port_conf){c->ports[i].name, c->ports[i].device, c->ports[i].rate_bps};
	free(list->ports);
	list->ports = ports;
	return 0;
}

// What the dataplane knows to be wrong, said before one is started.
static int check_for_dataplane(const struct options *o, const struct config *c, struct err *err)
{
	struct port_list list = {0};
	struct dp_conf conf = {.n_ports = c->n_ports,
			       .mtu = c->dataplane.mtu,
			       .memory_mb = c->dataplane.memory_mb,
			       .lcores = c->dataplane.lcores,
			       .n_workers = (uint16_t)c->dataplane.workers};
	struct err why;
	int ret = c->n_ports > 0 ? list_ports(&list, c, err) : 0;

	if (ret < 0 || c->n_ports == 0)
		return ret;
	conf.ports = list.ports;
	ret = dp_check(&conf, &why);
	free(list.ports);
	return ret < 0 ? err_set(err, -ret, "%s: %s", o->config, why.msg) : 0;
}

// The file's text, into fd, and what it says. Errors name the file.
static int accept_file(const struct options *o, int fd, struct config **c, struct err *err)
{
	char path[32];
	int ret = config_copy(o->config, fd, err);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*c = NULL;
	return ret < 0 ? ret : config_load_as(path, o->config, true, c, err);
}

static int load_accepted(const struct options *o, struct config **c, struct err *err)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", o->accepted_fd);
	return config_load_as(path, o->config, false, c, err);
}

// Children of the supervisor start with what it has accepted, whatever has become of the file since.
static int load(struct options *o, struct config **c, struct err *err)
{
	const char *accepted = getenv(SUPERVISED_ENV);
	int ret;

	*c = NULL;
	o->accepted_fd = -1;
	o->supervised = accepted != NULL && strcmp(o->role, "all") != 0;
	if (o->supervised) {
		o->accepted_fd = atoi(accepted);
		return load_accepted(o, c, err);
	}
	if (strcmp(o->role, "all") != 0)
		return config_load_as(o->config, o->config, strcmp(o->role, "controller") == 0, c, err);
	o->accepted_fd = memfd_create("pane.yaml", 0); // for the children
	if (o->accepted_fd < 0)
		return err_set(err, ENOMEM, "no memory for the configuration: %s", strerror(errno));
	ret = accept_file(o, o->accepted_fd, c, err);
	if (ret == 0)
		ret = check_for_dataplane(o, *c, err);
	if (ret < 0) {
		config_free(*c);
		*c = NULL;
	}
	return ret;
}

static void say_warning(void *ctx, const char *words)
{
	const struct options *o = ctx;

	if (o->check_config)
		fprintf(stderr, "pane-switchd: warning: %s: %s\n", o->config, words);
	else
		log_warning("%s: %s", o->config, words);
}

static void say_warnings(const struct options *o, const struct config *c)
{
	config_warn(c, say_warning, (void *)o);
}

// What children and what is on disk or in sockets have in common.
static int check_unchanged(const struct options *o, const struct config *was, const struct config *is, struct err *err)
{
	if ((was->n_ports == 0) != (is->n_ports == 0))
		return err_set(err, EINVAL, "%s: ports: none became some, or some none: start the switch anew",
			       o->config);
	if (!config_same_text(was->run_dir, is->run_dir) || !config_same_text(was->state_dir, is->state_dir) ||
	    !config_same_text(was->control_user, is->control_user))
		return err_set(err, EINVAL, "%s: run_dir, state_dir and control_user change only at a start",
			       o->config);
	return 0;
}

struct supervisor_ctx {
	const struct options *options;
	const struct config *config; // of the start
	struct supervise_child *dataplane;
};

static unsigned int stop_ms(const struct config *c)
{
	return STOP_MS + c->n_ports * STOP_PORT_MS;
}

// The rest is read at start only: who changed it wants to know that it waits for one.
static void say_not_taken(const struct config *running, const struct config *now)
{
	char names[512];

	config_differs(running, now, names, sizeof(names));
	if (names[0] != '\0')
		log_warning("SIGHUP: changed, but in use from the next start on: %s", names);
}

// The file becomes what is accepted, or nothing changes.
static void on_reload(void *ctx)
{
	const struct supervisor_ctx *s = ctx;
	const struct options *o = s->options;
	int fd = memfd_create("pane.yaml.new", MFD_CLOEXEC);
	struct config *c = NULL;
	struct err err = {0};
	char path[32];
	int ret = fd < 0 ? err_set(&err, ENOMEM, "no memory for the configuration: %s", strerror(errno)) : 0;

	if (ret == 0)
		ret = accept_file(o, fd, &c, &err);
	if (ret == 0)
		ret = check_unchanged(o, s->config, c, &err);
	if (ret == 0)
		ret = check_for_dataplane(o, c, &err);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (ret == 0)
		ret = config_copy(path, o->accepted_fd, &err);
	if (ret < 0)
		log_error("SIGHUP: ports stay as they are: %s", err.msg);
	else
		say_warnings(o, c);
	if (ret == 0)
		say_not_taken(s->config, c);
	if (ret == 0 && s->dataplane->stop_ms < stop_ms(c)) // it may have those of before still
		s->dataplane->stop_ms = stop_ms(c);
	config_free(c);
	if (fd >= 0)
		close(fd);
}

static int reload_ports(void *ctx, const struct dp_port_conf **ports, uint32_t *n_ports, struct err *err)
{
	struct port_list *list = ctx;
	const struct options *o = list->options;
	struct config *c;
	int ret = o->supervised ? load_accepted(o, &c, err) : config_load_as(o->config, o->config, false, &c, err);

	if (ret == 0)
		ret = list_ports(list, c, err);
	if (ret < 0) {
		config_free(c);
		return ret;
	}
	config_free(list->config);
	list->config = c;
	*ports = list->ports;
	*n_ports = c->n_ports;
	return 0;
}

// --- roles

// It has its lock from its start, long before it connects where the policy is large.
static bool controller_is_there(void *ctx)
{
	return rundir_is_locked(ctx, CONTROLLER_LOCK);
}

static int run_dataplane(const struct options *o, const struct config *c, struct err *err)
{
	char link_path[RUNDIR_PATH_MAX], interfaces_path[RUNDIR_PATH_MAX], prefix[32];
	const struct config_dataplane *d = &c->dataplane;
	struct port_list list = {.options = o};
	struct dp_conf conf = {
		.link_path = link_path,
		.interfaces_path = interfaces_path,
		.n_ports = c->n_ports,
		.mac_ageing_s = d->mac_ageing_s,
		.memory_mb = d->memory_mb,
		.mtu = d->mtu,
		.policy_wait_ms = d->policy_wait_ms,
		.simd_max_bits = d->simd_max_bits,
		.huge_pages = d->huge_pages,
		.poll_always = d->poll_always,
		.drop_fragments = d->drop_fragments,
		.again = o->supervised && getenv(SUPERVISE_AGAIN_ENV) != NULL,
		.lcores = d->lcores,
		.n_workers = (uint16_t)d->workers,
		.controller_is_there = controller_is_there,
		.controller_ctx = (void *)c,
		.file_prefix = prefix,
		.reload = reload_ports,
		.reload_ctx = &list,
		.reload_asked = &reload_asked,
	};
	struct sigaction reload = {.sa_handler = on_signal};
	gid_t control_gid;
	int ret = rundir_control_user(c, &conf.link_uid, &control_gid, err);

	if (ret == 0)
		ret = list_ports(&list, c, err);
	if (ret < 0)
		return ret;
	sigaction(SIGHUP, &reload, NULL);
	conf.ports = list.ports;
	file_prefix(c->run_dir, prefix, sizeof(prefix));
	ret = rundir_path(link_path, sizeof(link_path), c->run_dir, "link.sock", err);
	if (ret == 0)
		ret = rundir_path(interfaces_path, sizeof(interfaces_path), c->run_dir, "interfaces", err);
	if (ret == 0)
		ret = dp_run(&conf, &stop_asked, err);
	free(list.ports);
	config_free(list.config);
	return ret;
}

static int run_controller(const struct options *o, const struct config *c)
{
	const char *ready = getenv(SUPERVISE_READY_ENV);
	struct controller_conf conf = {
		.config = c,
		.verify = o->verify,
		.ready_fd = ready != NULL && o->supervised ? atoi(ready) : -1,
		.supervised = o->supervised,
	};

	return controller_run(&conf);
}

// A dataplane that was killed leaves its programs on the interfaces, and they go on dropping what was denied.
static void clear_interfaces(const struct options *o)
{
	struct config *c = NULL;
	char why[PORT_ERR_MAX];
	struct err err;

	if (load_accepted(o, &c, &err) < 0)
		log_error("interfaces are not looked at: %s", err.msg);
	for (unsigned int i = 0; c != NULL && i < c->n_ports; i++) {
		int rc = port_clear(c->ports[i].device, why);

		if (rc > 0)
			log_warning("port %s (%s): the XDP program of a dataplane that was killed is taken off",
				    c->ports[i].name, c->ports[i].device);
		else if (rc < 0 && rc != -EBUSY) // which is another's
			log_error("port %s: %s", c->ports[i].name, why);
	}
	config_free(c);
}

static int run_supervisor(const struct options *o, const struct config *c, const char *program, struct err *err)
{
	char link_path[RUNDIR_PATH_MAX], control_path[RUNDIR_PATH_MAX];
	char *log_level = (char *)(o->log_level != NULL ? o->log_level : c->log_level);
	char *verify = (char *)(o->verify != NULL ? o->verify : c->verify);
	char *dataplane[] = {(char *)program, "--config",    (char *)o->config, "--role",
			     "dataplane",     "--log-level", log_level,         NULL};
	char *controller[] = {(char *)program, "--config", (char *)o->config, "--role", "controller",
			      "--log-level",   log_level,  "--verify",        verify,   NULL};
	struct supervise_child children[] = {
		{.name = "dataplane",
		 .path = "/proc/self/exe",
		 .argv = dataplane,
		 .ready_path = link_path,
		 .stop_ms = stop_ms(c)},
		{.name = "controller", .path = "/proc/self/exe", .argv = controller},
	};
	struct supervisor_ctx ctx = {o, c, children};
	bool has_ports = c->n_ports > 0; // else OpenFlow switches alone
	char fd_text[16];
	int status;

	if (rundir_path(link_path, sizeof(link_path), c->run_dir, "link.sock", err) < 0 ||
	    rundir_path(control_path, sizeof(control_path), c->run_dir, "control.sock", err) < 0)
		return -EINVAL;
	say_warnings(o, c);
	snprintf(fd_text, sizeof(fd_text), "%d", o->accepted_fd);
	setenv(SUPERVISED_ENV, fd_text, 1);
	unsetenv("PANE_CHECK_CONFIG");
	if (!has_ports)
		log_info("%s: no ports: no dataplane is started", o->config);
	status = supervise_run(has_ports ? children : children + 1, has_ports ? 2 : 1, on_reload, &ctx);
	clear_interfaces(o);
	// What a child that was killed, or has given up the right, left behind.
	unlink(link_path);
	unlink(control_path);
	return status;
}

static int run_role(const struct options *o, const struct config *c, const char *program)
{
	const char *role = strcmp(o->role, "all") == 0 ? "supervisor" : o->role;
	enum log_level level = LOG_LEVEL_INFO;
	char lock[32];
	struct err err = {0};
	int status;

	log_level_parse(o->log_level != NULL ? o->log_level : c->log_level, &level);
	log_init(role, level, loop_clock_ns);
	catch_signals(o->supervised);
	snprintf(lock, sizeof(lock), "%s.lock", role);
	if (rundir_prepare(c, &err) < 0 || rundir_lock(c, strcmp(role, "supervisor") == 0 ? "lock" : lock, &err) < 0) {
		log_error("%s", err.msg);
		return 1;
	}
	if (strcmp(role, "controller") == 0)
		return run_controller(o, c);
	status = strcmp(role, "dataplane") == 0 ? run_dataplane(o, c, &err) : run_supervisor(o, c, program, &err);
	if (status < 0) {
		log_error("%s", err.msg);
		status = 1;
	}
	return status;
}
