// SPDX-License-Identifier: Apache-2.0
// pane-nic: shows a host's network devices, makes them ready for the switch, and takes that back.
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "caps.h"
#include "plan.h"
#include "undo_file.h"

#define UNDO_FILE "/run/pane/nic.undo"
#define APPEAR_MS 2000 // until an interface is there after its driver

struct options {
	const char *sys, *undo_file;
	struct plan_wish wish;
	bool dry_run, json;
};

static const char usage[] =
	"usage: pane-nic show [--json]             this machine's huge pages and network devices; QUEUES 1/2: one "
	"pair\n"
	"                                          in use, two possible; XDP: whether a program is on it (used) or\n"
	"                                          not (free)\n"
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
	"      --force        prepare takes a card from the kernel though its interface is up with an address\n"
	"      --queues N     pairs of queues on kernel interfaces; with more than one also a symmetric RSS key\n"
	"      --state FILE   where the undo list is kept (default " UNDO_FILE ")\n"
	"      --sys DIR      another root of sysfs (for tests)\n"
	"Exit status: 0; 1 when something could not be done: what was done before it is in the undo list; 2 when the\n"
	"command line is wrong.\n";

// Before the change itself, so that a process killed in between leaves at worst one undo line that changes nothing.
static int note_undo(const struct options *o, const struct action *a, char why[ACTION_WHY_BYTES])
{
	struct action undo = *a;
	int rc = action_now(o->sys, a, undo.value, why);

	return rc < 0 || strcmp(undo.value, a->value) == 0 ? rc : undo_append(o->undo_file, &undo, why);
}

// before: what it is by then, where it is not so yet (a dry run); NULL: as it is.
static int run_action(const struct options *o, const struct action *a, const char *before, bool note)
{
	char why[ACTION_WHY_BYTES] = "";
	struct action undo = {0};
	int rc = 0;
	bool same;

	if (before != NULL)
		snprintf(undo.value, sizeof(undo.value), "%s", before);
	else
		rc = action_now(o->sys, a, undo.value, why);
	same = rc == 0 && strcmp(undo.value, a->value) == 0;
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

// In a dry run: what the changes list[from], ... list[to], in this order, would have made of the thing of a.
static const char *value_by_then(const struct options *o, const struct action *list, int from, int to,
				 const struct action *a)
{
	const char *value = NULL;
	int step = from <= to ? 1 : -1;

	for (int i = from; o->dry_run && i != to + step; i += step) {
		if (list[i].verb == a->verb && strcmp(list[i].object, a->object) == 0)
			value = list[i].value;
	}
	return value;
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
		const struct action *a = &plan->action[i];
		const char *before = i > 0 ? value_by_then(o, plan->action, 0, i - 1, a) : NULL;
		int rc = run_action(o, a, before, true);

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

// 0, or -errno, said.
static int read_undo(const struct options *o, struct undo_list *list)
{
	char why[ACTION_WHY_BYTES] = "";
	int rc = undo_read(o->undo_file, list, why);

	if (rc < 0)
		fprintf(stderr, "pane-nic: %s: %s; nothing was changed\n", o->undo_file, why);
	else if (list->unfinished)
		fprintf(stderr,
			"pane-nic: undo list %s: its last line is not whole: its change was never made, so it is left "
			"out\n",
			o->undo_file);
	return rc;
}

// An interface that a driver has just been given back takes a moment to appear.
static bool is_gone(const struct options *o, const struct action *a, bool behind_driver)
{
	char now[ACTION_VALUE_BYTES], why[ACTION_WHY_BYTES];
	int rc = action_now(o->sys, a, now, why);

	for (int ms = 0; rc == -ENODEV && behind_driver && ms < APPEAR_MS; ms += 10) {
		usleep(10000);
		rc = action_now(o->sys, a, now, why);
	}
	return rc == -ENODEV;
}

// Last first. What is gone needs no undoing; what fails stays in the list, and the others are undone all the same.
static int undo_all(const struct options *o)
{
	struct undo_list list = {0}, kept = {0};
	char why[ACTION_WHY_BYTES];
	bool behind_driver = false;
	int result = read_undo(o, &list), rc;

	kept.action = result == 0 ? calloc((size_t)list.n + 1, sizeof(*kept.action)) : NULL;
	if (kept.action == NULL) {
		free(list.action);
		return result < 0 ? result : -ENOMEM;
	}
	if (list.n == 0)
		puts("nothing to undo");
	for (int i = list.n - 1; i >= 0; i--) {
		const struct action *a = &list.action[i];
		const char *before = i + 1 < list.n ? value_by_then(o, list.action, list.n - 1, i + 1, a) : NULL;

		if (before == NULL && is_gone(o, a, behind_driver && !o->dry_run)) {
			fputs("gone       ", stdout);
			action_print(a, stdout);
			continue;
		}
		rc = run_action(o, a, before, false);
		behind_driver = behind_driver || a->verb == VERB_DRIVER;
		if (rc == 0)
			continue;
		result = rc;
		memmove(kept.action + 1, kept.action, (size_t)kept.n++ * sizeof(*a)); // in the order of the list
		kept.action[0] = *a;
	}
	rc = o->dry_run || (list.n == 0 && !list.unfinished) ? 0 : undo_write(o->undo_file, &kept, why);
	if (rc < 0)
		fprintf(stderr, "pane-nic: %s\n", why);
	free(list.action);
	free(kept.action);
	return result < 0 ? result : rc;
}

enum { OPT_HUGE = 256, OPT_MTU, OPT_QUEUES, OPT_STATE, OPT_SYS, OPT_JSON, OPT_FORCE };

static const struct option long_options[] = {
	{"dry-run", no_argument, NULL, 'n'},
	{"huge-mb", required_argument, NULL, OPT_HUGE},
	{"mtu", required_argument, NULL, OPT_MTU},
	{"queues", required_argument, NULL, OPT_QUEUES},
	{"state", required_argument, NULL, OPT_STATE},
	{"sys", required_argument, NULL, OPT_SYS},
	{"json", no_argument, NULL, OPT_JSON},
	{"force", no_argument, NULL, OPT_FORCE},
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
		case OPT_FORCE:
			o->wish.force = true;
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

// Changes one process at a time: what one notes while another rewrites the list would be lost.
static int lock_list(const struct options *o)
{
	char why[ACTION_WHY_BYTES];
	int fd, rc = o->dry_run ? 0 : undo_lock(o->undo_file, &fd, why); // held until the process ends

	if (rc < 0)
		fprintf(stderr, "pane-nic: %s; nothing was changed\n", why);
	return rc;
}

static int change(const struct options *o, const char *command, char **args, int n)
{
	int rc = lock_list(o);

	if (rc < 0)
		return rc;
	if (strcmp(command, "prepare") == 0)
		return prepare(o, args, n);
	return strcmp(command, "do") == 0 ? do_lines(o, args, n) : undo_all(o);
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
	if ((strcmp(command, "prepare") == 0 && (n > 0 || o.wish.huge_mb != 0)) ||
	    (strcmp(command, "do") == 0 && n > 0) || (strcmp(command, "undo") == 0 && n == 0))
		rc = change(&o, command, argv + optind, n);
	else if (strcmp(command, "caps") == 0 && n > 0)
		rc = caps_print(argv + optind, n, stdout);
	else
		return misused(command, n, argv + optind);
	return rc < 0;
}
