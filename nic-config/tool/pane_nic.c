// SPDX-License-Identifier: Apache-2.0
// pane-nic: shows a host's network devices, makes them ready for the switch, and takes that back.
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "caps.h"
#include "plan.h"

#define UNDO_FILE "/run/pane/nic.undo"

struct options {
	const char *sys, *undo_file;
	struct plan_wish wish;
	bool dry_run, json;
};

static const char usage[] =
	"usage: pane-nic show [--json]             this machine's huge pages and network devices\n"
	"       pane-nic prepare [OPTION]... DEVICE...\n"
	"                                          makes it ready for ports of these lines of configuration\n"
	"       pane-nic do [OPTION]... 'VERB OBJECT VALUE'...\n"
	"                                          single changes: huge SIZE_KB PAGES, driver PCI DRIVER, up IF 0|1,\n"
	"                                          mtu IF BYTES, queues IF N, rss IF HEXKEY\n"
	"       pane-nic undo [OPTION]...          takes back all that prepare and do have changed, last first\n"
	"       pane-nic caps DEVICE...            what DPDK's drivers offer for these devices\n"
	"  DEVICE: as in the configuration, e.g. pci:0000:03:00.0, af_xdp:eth1\n"
	"  -n, --dry-run      print what would be done, change nothing\n"
	"      --huge-mb N    at least N MB of 2 MB pages\n"
	"      --mtu N        at least N bytes on kernel interfaces\n"
	"      --queues N     pairs of queues on kernel interfaces; with more than one also a symmetric RSS key\n"
	"      --state FILE   where the undo list is kept (default " UNDO_FILE ")\n"
	"      --sys DIR      another root of sysfs (for tests)\n"
	"Exit status: 0, or 1 when something could not be done: what was done before it is in the undo list.\n";

// The folder of the undo list is made where it is missing.
static FILE *open_undo(const char *file, const char *mode)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s", file);
	mkdir(dirname(folder), 0755);
	return fopen(file, mode);
}

// Before the change itself, so that a process killed in between leaves at worst one undo line that changes nothing.
static int note_undo(const struct options *o, const struct action *a, char why[ACTION_WHY_BYTES])
{
	struct action undo = *a;
	FILE *f;
	int rc = action_now(o->sys, a, undo.value, why);

	if (rc < 0 || strcmp(undo.value, a->value) == 0)
		return rc;
	f = open_undo(o->undo_file, "a");
	if (f == NULL) {
		rc = -errno;
		snprintf(why, ACTION_WHY_BYTES, "undo list %.128s: %s", o->undo_file, strerror(-rc));
		return rc;
	}
	action_print(&undo, f);
	return fclose(f) == 0 ? 0 : -errno;
}

static int run_action(const struct options *o, const struct action *a, bool note)
{
	char why[ACTION_WHY_BYTES] = "";
	struct action undo = {0};
	int rc = action_now(o->sys, a, undo.value, why);
	bool same = rc == 0 && strcmp(undo.value, a->value) == 0;

	if (rc == 0 && !o->dry_run && note)
		rc = note_undo(o, a, why);
	if (rc == 0 && !o->dry_run)
		rc = action_do(o->sys, a, &undo, why);
	if (rc < 0) {
		fprintf(stderr, "pane-nic: %s\n", why);
		return rc;
	}
	undo.verb = a->verb;
	printf("%-9s", same ? "is" : o->dry_run ? "would be" : "done");
	fputs("  ", stdout);
	action_print(a, stdout);
	if (!same)
		printf("%-9s  (was %s)\n", "", undo.value);
	return 0;
}

// Whatever is known to fail does before anything is changed. An interface may come with a driver: behind one,
// interfaces are not asked.
static int vet_plan(const struct options *o, const struct plan *plan)
{
	char why[ACTION_WHY_BYTES];
	bool behind_driver = false;

	for (int i = 0; i < plan->n; i++) {
		const struct action *a = &plan->action[i];

		if (behind_driver && a->verb != VERB_HUGE && a->verb != VERB_DRIVER)
			continue;
		if (action_can(o->sys, a, why) < 0) {
			fprintf(stderr, "pane-nic: %s; nothing was changed\n", why);
			return -EINVAL;
		}
		behind_driver = behind_driver || a->verb == VERB_DRIVER;
	}
	return 0;
}

static int run_plan(const struct options *o, const struct plan *plan)
{
	if (vet_plan(o, plan) < 0)
		return -EINVAL;
	for (int i = 0; i < plan->n; i++) {
		int rc = run_action(o, &plan->action[i], true);

		if (rc < 0)
			return rc;
	}
	if (plan->n == 0)
		puts("nothing to do");
	return 0;
}

static int prepare(const struct options *o, char **devices, int n)
{
	static struct plan plan;
	char why[ACTION_WHY_BYTES];
	int rc = plan_memory(o->sys, &o->wish, &plan, why);

	for (int i = 0; i < n && rc == 0; i++)
		rc = plan_device(o->sys, devices[i], &o->wish, &plan, why);
	if (rc < 0) {
		fprintf(stderr, "pane-nic: %s; nothing was changed\n", why);
		return rc;
	}
	return run_plan(o, &plan);
}

static int do_lines(const struct options *o, char **lines, int n)
{
	static struct plan plan;
	char why[ACTION_WHY_BYTES];

	if (n > PLAN_MAX) {
		fprintf(stderr, "pane-nic: more than %d changes; nothing was changed\n", PLAN_MAX);
		return -E2BIG;
	}
	for (int i = 0; i < n; i++) {
		if (action_parse(lines[i], &plan.action[plan.n++], why) < 0) {
			fprintf(stderr, "pane-nic: %s; nothing was changed\n", why);
			return -EINVAL;
		}
	}
	return run_plan(o, &plan);
}

// Lines of the undo list, last first; those not done stay in it.
static int undo_all(const struct options *o)
{
	static struct plan plan;
	char line[ACTION_VALUE_BYTES + 2 * NAME_MAX_BYTES], why[ACTION_WHY_BYTES];
	FILE *f = fopen(o->undo_file, "r");
	int rc = 0;

	while (f != NULL && rc == 0 && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		rc = plan.n == PLAN_MAX ? -E2BIG : action_parse(line, &plan.action[plan.n++], why);
	}
	if (f != NULL)
		fclose(f);
	if (rc < 0) {
		fprintf(stderr, "pane-nic: %s: %s; nothing was changed\n", o->undo_file, why);
		return rc;
	}
	if (plan.n == 0)
		puts("nothing to undo");
	while (plan.n > 0 && rc == 0) {
		rc = run_action(o, &plan.action[plan.n - 1], false);
		plan.n -= rc == 0;
	}
	if (o->dry_run)
		return rc;
	if (plan.n == 0) {
		unlink(o->undo_file);
		return rc;
	}
	f = open_undo(o->undo_file, "w");
	for (int i = 0; i < plan.n && f != NULL; i++)
		action_print(&plan.action[i], f);
	if (f != NULL)
		fclose(f);
	return rc;
}

enum { OPT_HUGE = 256, OPT_MTU, OPT_QUEUES, OPT_STATE, OPT_SYS, OPT_JSON };

static const struct option long_options[] = {
	{"dry-run", no_argument, NULL, 'n'},
	{"huge-mb", required_argument, NULL, OPT_HUGE},
	{"mtu", required_argument, NULL, OPT_MTU},
	{"queues", required_argument, NULL, OPT_QUEUES},
	{"state", required_argument, NULL, OPT_STATE},
	{"sys", required_argument, NULL, OPT_SYS},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static void number_option(const char *name, const char *text, uint32_t max, uint32_t *out)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || n == 0 || n > max) {
		fprintf(stderr, "pane-nic: --%s %s: expected a number from 1 to %u\n", name, text, max);
		exit(2);
	}
	*out = (uint32_t)n;
}

static void read_options(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = getopt_long(argc, argv, "nh", long_options, NULL)) != -1) {
		switch (c) {
		case 'n':
			o->dry_run = true;
			break;
		case OPT_HUGE:
			number_option("huge-mb", optarg, 1 << 24, &o->wish.huge_mb);
			break;
		case OPT_MTU:
			number_option("mtu", optarg, 65535, &o->wish.mtu);
			break;
		case OPT_QUEUES:
			number_option("queues", optarg, 1024, &o->wish.queues);
			break;
		case OPT_STATE:
			o->undo_file = optarg;
			break;
		case OPT_SYS:
			o->sys = optarg;
			break;
		case OPT_JSON:
			o->json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs("try pane-nic --help\n", stderr);
			exit(2);
		}
	}
}

// What is wrong with the command line.
static int misused(const char *command, int n, char **args)
{
	if (strcmp(command, "") == 0)
		fputs(usage, stderr);
	else if (strcmp(command, "show") == 0 || strcmp(command, "undo") == 0)
		fprintf(stderr, "pane-nic: %s: unexpected \"%s\"; try pane-nic --help\n", command, args[0]);
	else if (strcmp(command, "prepare") == 0)
		fprintf(stderr, "pane-nic: prepare: expected a DEVICE, e.g. af_xdp:eth1, or --huge-mb\n");
	else if (strcmp(command, "caps") == 0)
		fprintf(stderr, "pane-nic: caps: expected a DEVICE, e.g. af_xdp:eth1\n");
	else if (strcmp(command, "do") == 0)
		fprintf(stderr, "pane-nic: do: expected a change, e.g. 'mtu eth1 3000'\n");
	else
		fprintf(stderr, "pane-nic: \"%s\": expected show, prepare, do, undo or caps\n", command);
	return 2;
}

int main(int argc, char **argv)
{
	struct options o = {.sys = "/sys", .undo_file = UNDO_FILE};
	const char *command;
	int n, rc;

	read_options(argc, argv, &o);
	command = optind < argc ? argv[optind++] : "";
	n = argc - optind;
	if (strcmp(command, "show") == 0 && n == 0) {
		(o.json ? host_print_json : host_print)(o.sys, stdout);
		return 0;
	}
	if (strcmp(command, "prepare") == 0 && (n > 0 || o.wish.huge_mb != 0))
		rc = prepare(&o, argv + optind, n);
	else if (strcmp(command, "do") == 0 && n > 0)
		rc = do_lines(&o, argv + optind, n);
	else if (strcmp(command, "undo") == 0 && n == 0)
		rc = undo_all(&o);
	else if (strcmp(command, "caps") == 0 && n > 0)
		rc = caps_print(argv + optind, n, stdout);
	else
		return misused(command, n, argv + optind);
	return rc < 0;
}
