// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MAX_S 86400

static const char usage[] =
	"usage: panectl [WHERE] [--user NAME] [--json] ['STATEMENT.' ...]\n"
	"       panectl [WHERE] schedule SHARE | tree | queues | topology | verify | stats | top | events |\n"
	"               trace 'TESTS' | capture GROUP FILE | script FILE | check FILE... | help [VERB]\n"
	"\n"
	"Statements say what the network shall do: panectl help. A final dot that is missing is added, and words that "
	"are\n"
	"one statement need no quotes but for what the shell takes for itself, such as ( and <. Without statements "
	"they\n"
	"are read from the terminal (TAB completes, ^D leaves) or, one after the other, from standard input.\n"
	"\n"
	"WHERE the switch is:\n"
	"  --socket PATH    its socket, or ADDRESS:PORT of its loopback TCP socket  [PANE_SOCKET]\n"
	"                   (default /run/pane/control.sock)\n"
	"  --tls HOST:PORT  on another host, over TLS  [PANE_TLS]; then it needs, as PEM files:\n"
	"  --cert FILE      a certificate of yours  [PANE_CERT]\n"
	"  --key FILE       its key  [PANE_KEY]\n"
	"  --ca FILE        the authority that the switch's certificate is of  [PANE_CA]\n"
	"\n"
	"  --user NAME      speak as NAME, NAME@HOST or NAME@HOST/APPLICATION  [PANE_USER]\n"
	"                   (default: your OS user's name; with --tls, whom the certificate stands for)\n"
	"  --timeout S      wait so many seconds for an answer, 0: without end (default 10)  [PANE_TIMEOUT]\n"
	"  --json           print the answers as they come, one JSON object a line\n"
	"  --version, --help\n"
	"\n"
	"Options may stand anywhere on the command line. The environment variable in brackets stands for the option; "
	"the\n"
	"option wins.\n"
	"\n"
	"Exit status: 0 all is accepted (check: as expected, verify: nothing was found)\n"
	"             1 something is refused (check: differs, verify: was found)\n"
	"             2 the command line is wrong, or a file that it names cannot be read or written\n"
	"             3 no connection to the switch, or no session there, or it ended, or no answer in time\n";

int options_wrong(const char *fmt, const char *what)
{
	fprintf(stderr, "panectl: ");
	fprintf(stderr, fmt, what);
	fprintf(stderr, " (see --help)\n");
	return STATUS_USAGE;
}

static const char *env_or(const char *name, const char *value)
{
	const char *env = getenv(name);

	return env != NULL && env[0] != '\0' ? env : value;
}

static struct options default_options(void)
{
	return (struct options){
		.at = {.socket = env_or("PANE_SOCKET", "/run/pane/control.sock"),
		       .tls = env_or("PANE_TLS", NULL),
		       .files = {.cert = env_or("PANE_CERT", NULL),
				 .key = env_or("PANE_KEY", NULL),
				 .ca = env_or("PANE_CA", NULL)}},
		.user = env_or("PANE_USER", NULL),
		.timeout = env_or("PANE_TIMEOUT", "10"),
	};
}

// -1: go on; otherwise the exit status.
static int check_options(struct options *o)
{
	const struct tls_files *f = &o->at.files;
	const struct passwd *pw;
	const char *timeout = o->timeout != NULL ? o->timeout : "";
	char *end;
	unsigned long s = strtoul(timeout, &end, 10);

	if (timeout[0] < '0' || timeout[0] > '9' || *end != '\0' || s > TIMEOUT_MAX_S)
		return options_wrong("--timeout: expected seconds from 0 to 86400, got %s", timeout);
	o->at.timeout_s = (unsigned int)s;
	if (o->at.tls != NULL && (f->cert == NULL || f->key == NULL || f->ca == NULL))
		return options_wrong("--tls needs %s, too", f->cert == NULL  ? "--cert"
							    : f->key == NULL ? "--key"
									     : "--ca");
	if (o->user == NULL && o->at.tls == NULL) {
		pw = getpwuid(geteuid());
		o->user = pw != NULL ? pw->pw_name : "nobody";
	}
	return -1;
}

static const struct flag {
	const char *name;
	char letter, key;
	bool has_value, first; // first: before any word; behind one it is a command's
} flags[] = {
	{"--socket", 's', 's', true, false}, {"--user", 'u', 'u', true, false},  {"--tls", 0, 't', true, false},
	{"--cert", 0, 'c', true, false},     {"--key", 0, 'k', true, false},     {"--ca", 0, 'a', true, false},
	{"--timeout", 0, 'T', true, false},  {"--json", 'j', 'j', false, false}, {"--help", 'h', 'h', false, true},
	{"--version", 0, 'V', false, true},
};

// The flag that arg is, and in *value what stands behind its "=", NULL: nothing does. NULL: none of ours.
static const struct flag *flag_of(const char *arg, const char **value)
{
	size_t len = strcspn(arg, "=");

	*value = arg[len] == '=' ? arg + len + 1 : NULL;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		const struct flag *f = &flags[i];
		bool is_short = f->letter != 0 && arg[0] == '-' && arg[1] == f->letter && arg[2] == '\0';

		if (is_short || (strlen(f->name) == len && strncmp(f->name, arg, len) == 0))
			return f;
	}
	return NULL;
}

// -1: go on; otherwise the exit status.
static int take(struct options *o, const struct flag *flag, const char *value)
{
	switch (flag->key) {
	case 's':
		o->at.socket = value;
		o->at.tls = NULL;
		break;
	case 't':
		o->at.tls = value;
		break;
	case 'c':
		o->at.files.cert = value;
		break;
	case 'k':
		o->at.files.key = value;
		break;
	case 'a':
		o->at.files.ca = value;
		break;
	case 'u':
		o->user = value;
		break;
	case 'T':
		o->timeout = value;
		break;
	case 'j':
		o->json = true;
		break;
	case 'V':
		printf("panectl %s\n", PANE_VERSION);
		return STATUS_ACCEPTED;
	default:
		fputs(usage, stdout);
		return STATUS_ACCEPTED;
	}
	return -1;
}

int options_take(int *argc, char ***argv, struct options *out)
{
	char **args = *argv + 1;
	int n = *argc - 1, n_words = 0, i;

	*out = default_options();
	for (i = 0; i < n && strcmp(args[i], "--") != 0; i++) {
		const char *value;
		const struct flag *flag = flag_of(args[i], &value);
		int status;

		if (flag == NULL && n_words == 0 && args[i][0] == '-')
			return options_wrong("unknown flag %s", args[i]);
		if (flag == NULL || (flag->first && n_words > 0)) {
			args[n_words++] = args[i];
			continue;
		}
		if (flag->has_value ? value == NULL && i + 1 == n : value != NULL)
			return options_wrong(flag->has_value ? "%s needs a value" : "%s takes no value", flag->name);
		if (flag->has_value && value == NULL)
			value = args[++i];
		status = take(out, flag, value);
		if (status >= 0)
			return status;
	}
	for (i++; i < n; i++)
		args[n_words++] = args[i];
	*argv = args;
	*argc = n_words;
	return check_options(out);
}
