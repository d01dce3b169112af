// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/config.h"
#include "io_fixture.h"
#include "tests/rounds.h"

static char dir[64], path[128];

static int setup(void **state)
{
	tmpdir_make(dir);
	snprintf(path, sizeof(path), "%s/pane.yaml", dir);
	return 0;
}

static int teardown(void **state)
{
	tmpdir_remove(dir);
	return 0;
}

static struct config *load_good(const char *text)
{
	struct err err = {0};
	struct config *c;

	write_file(path, text, strlen(text));
	if (config_load(path, &c, &err) < 0)
		fail_msg("%s", err.msg);
	return c;
}

// The message without the directory: "pane.yaml:LINE: KEY: words".
static void assert_bad(const char *text, size_t len, const char *expected)
{
	struct config *c = (struct config *)1;
	struct err err = {0};
	const char *said;

	write_file(path, text, len);
	assert_true(config_load(path, &c, &err) < 0);
	assert_null(c);
	said = strncmp(err.msg, dir, strlen(dir)) == 0 ? err.msg + strlen(dir) + 1 : err.msg;
	if (strcmp(said, expected) != 0)
		fail_msg("for\n%s\nsaid     \"%s\"\nexpected \"%s\"", text, said, expected);
}

static void every_key_is_read(void **state)
{
	struct config *c = load_good("run_dir: /tmp/r\n"
				     "state_dir: /tmp/s\n"
				     "tcp_listen: 127.0.0.1:4242\n"
				     "control_user: root\n"
				     "log_level: debug\n"
				     "ports:\n"
				     "  - {name: p1, device: 'af_packet:veth1', rate: 100Mb}\n"
				     "  - name: p2\n"
				     "    device: \"null:\"\n"
				     "hosts:\n"
				     "  - name: h1\n"
				     "    address: 10.0.0.1\n"
				     "  - name: h6\n"
				     "    address: fd00::1\n"
				     "principals:\n"
				     "  - name: alice\n"
				     "    os_user: bob\n"
				     "dataplane:\n"
				     "  mac_ageing_s: 10\n"
				     "  memory_mb: 128\n"
				     "  mtu: 9000\n"
				     "  policy_wait_ms: 0\n"
				     "  huge_pages: true\n"
				     "  lcores: 0,1\n"
				     "  poll_always: true\n"
				     "  simd_max_bits: 0\n");

	assert_string_equal(c->run_dir, "/tmp/r");
	assert_string_equal(c->state_dir, "/tmp/s");
	assert_string_equal(c->tcp_listen, "127.0.0.1:4242");
	assert_string_equal(c->control_user, "root");
	assert_string_equal(c->log_level, "debug");
	assert_int_equal(c->n_ports, 2);
	assert_string_equal(c->ports[0].name, "p1");
	assert_string_equal(c->ports[0].device, "af_packet:veth1");
	assert_int_equal(c->ports[0].rate_bps, 100000000);
	assert_string_equal(c->ports[1].device, "null:");
	assert_int_equal(c->ports[1].rate_bps, 0);
	assert_int_equal(c->n_hosts, 2);
	assert_string_equal(c->hosts[1].address, "fd00::1");
	assert_int_equal(c->n_principals, 1);
	assert_string_equal(c->principals[0].os_user, "bob");
	assert_int_equal(c->dataplane.mac_ageing_s, 10);
	assert_int_equal(c->dataplane.memory_mb, 128);
	assert_int_equal(c->dataplane.mtu, 9000);
	assert_int_equal(c->dataplane.policy_wait_ms, 0);
	assert_true(c->dataplane.huge_pages);
	assert_string_equal(c->dataplane.lcores, "0,1");
	assert_true(c->dataplane.poll_always);
	assert_int_equal(c->dataplane.simd_max_bits, 0);
	config_free(c);
}

static void what_differs_is_named(void **state)
{
	static const struct {
		const char *text, *names;
	} cases[] = {
		{"log_level: info\n", ""},
		{"ports: [{name: p1, device: 'null:'}]\n", ""}, // they are taken at once
		{"log_level: debug\n", "log_level"},
		{"tcp_listen: 127.0.0.1:4242\ndataplane: {mtu: 1400, huge_pages: true, lcores: '0,1'}\n",
		 "tcp_listen, dataplane.mtu, dataplane.huge_pages, dataplane.lcores"},
		{"limits: {requests: 5}\nopenflow_lease_s: 100\n", "openflow_lease_s, limits.requests"},
		{"hosts: [{name: h1, address: 10.0.0.1}]\nprincipals: [{name: alice, os_user: root}]\n",
		 "hosts, principals"},
	};
	struct config *none = load_good("log_level: info\n");
	char names[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *c = load_good(cases[i].text);

		config_differs(none, c, names, sizeof(names));
		assert_string_equal(names, cases[i].names);
		config_differs(c, none, names, sizeof(names));
		assert_string_equal(names, cases[i].names);
		config_differs(c, c, names, sizeof(names));
		assert_string_equal(names, "");
		config_differs(c, none, names, 4); // what does not fit is cut
		assert_true(strlen(names) < 4);
		config_free(c);
	}
	config_free(none);
}

static void what_is_not_given_has_its_default(void **state)
{
	struct config *c = load_good("log_level: info\n");

	assert_string_equal(c->run_dir, "/run/pane");
	assert_string_equal(c->state_dir, "/var/lib/pane");
	assert_null(c->tcp_listen);
	assert_null(c->control_user);
	assert_int_equal(c->n_ports, 0);
	assert_int_equal(c->limits.sessions, 256);
	assert_int_equal(c->limits.requests, 100000);
	assert_int_equal(c->limits.statements_per_s, 20000);
	assert_int_equal(c->openflow_lease_s, 3600);
	assert_int_equal(c->openflow_hosts_max, 1024);
	assert_int_equal(c->dataplane.mac_ageing_s, 300);
	assert_int_equal(c->dataplane.memory_mb, 256);
	assert_int_equal(c->dataplane.mtu, 1500);
	assert_int_equal(c->dataplane.policy_wait_ms, 2000);
	assert_false(c->dataplane.huge_pages);
	assert_null(c->dataplane.lcores);
	assert_int_equal(c->dataplane.simd_max_bits, 512);
	config_free(c);
}

static void the_example_is_right(void **state)
{
	struct err err = {0};
	struct config *c;

	if (config_load(PANE_EXAMPLE, &c, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(c->n_ports > 0);
	config_free(c);
}

#define PORT "ports:\n  - name: p1\n    device: tap:t1\n"
#define DEVICES \
	"expected af_xdp:IF, af_packet:IF, tap:IF, pcap:IN,OUT, ring:N, memif:ARGS, vhost:SOCKET, pci:ADDRESS or " \
	"null:, got "

static const struct {
	const char *text, *expected;
} bad[] = {
	// shape
	{"", "pane.yaml:1: the file is empty, expected keys such as run_dir and ports"},
	{"# only a comment\n", "pane.yaml:1: the file is empty, expected keys such as run_dir and ports"},
	{"---\n", "pane.yaml:2: expected keys and values such as `run_dir: /run/pane`"},
	{"- a\n", "pane.yaml:1: expected keys and values such as `run_dir: /run/pane`"},
	{"just words\n", "pane.yaml:1: expected keys and values such as `run_dir: /run/pane`"},
	{"ports:\n\t- name: x\n",
	 "pane.yaml:2: found character that cannot start any token (a tab? YAML is indented with blanks)"},
	{"run_dir: \"/abc\n", "pane.yaml:2: found unexpected end of stream"},
	{"log_level: info\n---\nlog_level: info\n", "pane.yaml:2: a second document"},
	{"run_dir: &x /a\nstate_dir: *x\n", "pane.yaml:2: aliases (*name) are not used here"},
	{"[a]: b\n", "pane.yaml:1: a key must be a word"},
	{"a: [[[[[[[[[[[[[]]]]]]]]]]]]]\n", "pane.yaml:1: nested more than 8 deep"},
	{"run_dir: \"/a\\0b\"\n", "pane.yaml:1: a zero byte in a value"},
	// keys and types
	{"log_level: info\nrundir: /x\n", "pane.yaml:2: rundir: unknown key"},
	{PORT "    speed: 3\n", "pane.yaml:4: ports[0].speed: unknown key"},
	{PORT "  - title: p2\n", "pane.yaml:4: ports[1].title: unknown key"},
	{"dataplane:\n  mtu: 1500\n  mtus: 1\n", "pane.yaml:3: dataplane.mtus: unknown key"},
	{"log_level: info\nlog_level: debug\n", "pane.yaml:2: log_level: given twice"},
	{PORT "    name: p2\n", "pane.yaml:4: ports[0].name: given twice"},
	{"ports:\n  - name: p1\n", "pane.yaml:2: ports[0]: the key device is missing"},
	{PORT "  - device: tap:x\n", "pane.yaml:4: ports[1]: the key name is missing"},
	{PORT "  - {}\n", "pane.yaml:4: ports[1]: the key name is missing"},
	{"ports: p1\n", "pane.yaml:1: ports: expected a list, got a single value"},
	{"ports:\n", "pane.yaml:1: ports: expected a list, got a single value"},
	{"ports:\n  - p1\n", "pane.yaml:2: ports[0]: expected keys and values, got a single value"},
	{"dataplane: []\n", "pane.yaml:1: dataplane: expected keys and values, got a list"},
	{"run_dir: [a]\n", "pane.yaml:1: run_dir: expected one text, got a list"},
	{"run_dir: ''\n", "pane.yaml:1: run_dir: expected a text, got nothing"},
	{"limits:\n  sessions: many\n", "pane.yaml:2: limits.sessions: expected a whole number, got \"many\""},
	{"openflow_lease_s: 7\n", "pane.yaml:1: openflow_lease_s: expected 0 (never) or 8 to 43200 seconds, got 7"},
	{"openflow_hosts_max: 0\n", "pane.yaml:1: openflow_hosts_max: expected 1 to 65536 hosts, got 0"},
	{"openflow_lease_s: an hour\n", "pane.yaml:1: openflow_lease_s: expected a whole number, got \"an hour\""},
	{"limits:\n  session: 1\n", "pane.yaml:2: limits.session: unknown key"},
	{"dataplane:\n  mtu: big\n", "pane.yaml:2: dataplane.mtu: expected a whole number, got \"big\""},
	{"dataplane:\n  mtu: -1\n", "pane.yaml:2: dataplane.mtu: expected a whole number, got \"-1\""},
	{"dataplane:\n  mtu: 99999999999\n",
	 "pane.yaml:2: dataplane.mtu: expected a whole number, got \"99999999999\""},
	{"dataplane:\n  mtu: 01500\n", "pane.yaml:2: dataplane.mtu: expected a whole number, got \"01500\""},
	{"dataplane:\n  mtu:\n", "pane.yaml:2: dataplane.mtu: expected a whole number, got \"\""},
	{"dataplane:\n  mtu: [1]\n", "pane.yaml:2: dataplane.mtu: expected a whole number, got a list"},
	{"dataplane:\n  huge_pages: maybe\n",
	 "pane.yaml:2: dataplane.huge_pages: expected true or false, got \"maybe\""},
	// values
	{"run_dir: run\n", "pane.yaml:1: run_dir: expected an absolute path of up to 80 characters, got \"run\""},
	{"\n\nstate_dir: x\n", "pane.yaml:3: state_dir: expected an absolute path, got \"x\""},
	{"tcp_listen: 0.0.0.0:1\n",
	 "pane.yaml:1: tcp_listen: 0.0.0.0 is not a loopback address; plain TCP is for this host "
	 "only (127.0.0.1 or [::1])"},
	{"tcp_listen: here\n", "pane.yaml:1: tcp_listen: expected ADDRESS:PORT such as 127.0.0.1:4242, got \"here\""},
	{"control_user: no-such-user\n", "pane.yaml:1: control_user: there is no OS user \"no-such-user\""},
	{"log_level: loud\n", "pane.yaml:1: log_level: expected error, warning, info or debug, got \"loud\""},
	{PORT "    rate: fast\n", "pane.yaml:4: ports[0].rate: expected a rate such as 100Mb, got \"fast\""},
	{PORT "    rate: 0\n", "pane.yaml:4: ports[0].rate: expected a rate such as 100Mb, got \"0\""},
	{PORT "  - name: p1\n    device: tap:t2\n", "pane.yaml:4: ports[1].name: \"p1\" is also the name of ports[0]"},
	{PORT "  - name: p2\n    device: tap:t1\n",
	 "pane.yaml:5: ports[1].device: \"tap:t1\" is also the device of ports[0]"},
	{"ports:\n  - name: p 1\n    device: tap:t\n",
	 "pane.yaml:2: ports[0].name: expected up to 31 of A-Z a-z 0-9 _ . -, got \"p 1\""},
	{"ports:\n  - name: p\n    device: null:\n", "pane.yaml:3: mapping values are not allowed in this context (a "
						     "value that ends in a colon, or has a blank after "
						     "one, needs quotes: \"null:\")"},
	{"ports:\n  - name: p\n    device: 'vhost:'\n", "pane.yaml:3: ports[0].device: " DEVICES "\"vhost:\""},
	{"ports:\n  - name: p\n    device: eth0\n", "pane.yaml:3: ports[0].device: " DEVICES "\"eth0\""},
	{"ports:\n  - name: p\n    device: 'tap:'\n",
	 "pane.yaml:3: ports[0].device: expected tap: and an interface name of 1 to 15 characters, got \"tap:\""},
	{"ports:\n  - name: p\n    device: af_xdp:0123456789abcdef\n",
	 "pane.yaml:3: ports[0].device: expected af_xdp: and an interface name of 1 to 15 characters, got "
	 "\"af_xdp:0123456789abcdef\""},
	{"hosts:\n  - name: h1\n    address: 10.0.0\n",
	 "pane.yaml:3: hosts[0].address: expected an IPv4 or IPv6 address, got \"10.0.0\""},
	{"hosts:\n  - name: h1\n    address: 10.0.0.1\n  - name: h1\n    address: 10.0.0.2\n",
	 "pane.yaml:4: hosts[1].name: \"h1\" is also the name of hosts[0]"},
	{"hosts:\n  - name: h.1\n    address: 10.0.0.1\n",
	 "pane.yaml:2: hosts[0].name: expected up to 63 of A-Z a-z 0-9 _ $ -, got \"h.1\""},
	{"principals:\n  - name: alice@x\n    os_user: bob\n",
	 "pane.yaml:2: principals[0].name: expected a user's name, got \"alice@x\""},
	{"dataplane:\n  mtu: 100\n", "pane.yaml:2: dataplane.mtu: expected 576 to 9600, got 100"},
	{"dataplane:\n  simd_max_bits: 64\n",
	 "pane.yaml:2: dataplane.simd_max_bits: expected 0, 128, 256 or 512, got 64"},
	{PORT "  - name: p2\n    device: af_packet:t1,qpairs=1\n",
	 "pane.yaml:5: ports[1].device: the interface of \"af_packet:t1,qpairs=1\" is also that of ports[0]"},
	{"ports:\n  - name: p\n    device: af_xdp:v1,iface=v3\n",
	 "pane.yaml:3: ports[0].device: what follows the colon names the interface, no argument iface, got "
	 "\"af_xdp:v1,iface=v3\""},
	{"metrics_listen: 127.0.0.1:99999\n", "pane.yaml:1: metrics_listen: expected ADDRESS:PORT such as "
					      "127.0.0.1:4242, got \"127.0.0.1:99999\""},
	{"openflow_ovsdb: unix:/run/db.sock\n", "pane.yaml:1: openflow_ovsdb: is for switches that connect to "
						"openflow_listen or openflow_tls; neither is there"},
	{"dataplane:\n  workers: 010\n", "pane.yaml:2: dataplane.workers: expected a whole number, got \"010\""},
	{"dataplane:\n  workers: 9\n", "pane.yaml:2: dataplane.workers: expected 0 to 8, got 9"},
	{"dataplane:\n  lcores: all\n",
	 "pane.yaml:2: dataplane.lcores: expected core numbers such as 0,1, got \"all\""},
};

static void errors_name_file_line_and_key(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_bad(bad[i].text, strlen(bad[i].text), bad[i].expected);
}

static void files_that_are_no_configuration_are_refused(void **state)
{
	char *big = malloc(2 << 20), expected[256];
	struct config *c;
	struct err err;

	assert_int_equal(config_load("/nowhere/pane.yaml", &c, &err), -ENOENT);
	assert_string_equal(err.msg, "/nowhere/pane.yaml: No such file or directory");
	assert_int_equal(config_load(dir, &c, &err), -EINVAL);
	snprintf(expected, sizeof(expected), "%s: not a regular file", dir);
	assert_string_equal(err.msg, expected);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(config_load(path, &c, &err), -EINVAL); // and does not wait for a writer
	unlink(path);
	memset(big, 'a', 2 << 20);
	assert_bad(big, 2 << 20, "pane.yaml: larger than 1 MiB, this is no configuration");
	memset(big, '[', 1 << 20);
	assert_bad(big, 1 << 20, "pane.yaml:1: nested more than 8 deep");
	free(big);
	assert_bad("\x7f"
		   "ELF\x02\x01\x01",
		   7, "pane.yaml: not a YAML text: control characters are not allowed at byte 0");
	assert_bad("run_dir: \xff\xfe", 11, "pane.yaml: not a YAML text: invalid leading UTF-8 octet at byte 9");
}

static void an_accepted_text_is_read_under_its_files_name_and_without_other_files(void **state)
{
	static const char tls[] = "tls: {listen: '127.0.0.1:1', cert: /nowhere/c, key: /nowhere/k, ca: /nowhere/a}\n";
	char fd_path[32];
	struct config *c;
	struct err err;
	int fd = memfd_create("accepted", 0);

	assert_true(fd >= 0);
	snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", fd);
	write_file(path, tls, strlen(tls));
	assert_true(config_load(path, &c, &err) < 0);
	assert_non_null(strstr(err.msg, "tls.cert"));
	assert_int_equal(config_copy(path, fd, &err), 0);
	unlink(path);
	assert_int_equal(config_load_as(fd_path, path, false, &c, &err), 0);
	assert_string_equal(c->tls.cert, "/nowhere/c");
	config_free(c);
	assert_true(config_copy(path, fd, &err) < 0); // there is no file: what was there stays
	assert_int_equal(config_load_as(fd_path, path, false, &c, &err), 0);
	config_free(c);
	write_file(path, "mtu\n", 4); // shorter
	assert_int_equal(config_copy(path, fd, &err), 0);
	assert_true(config_load_as(fd_path, path, false, &c, &err) < 0);
	assert_int_equal(strncmp(err.msg, path, strlen(path)), 0);
	close(fd);
}

static void count_warning(void *ctx, const char *words)
{
	int *n = ctx;

	assert_true(strstr(words, "\"no-such-user\"") != NULL || strstr(words, "nothing is forwarded") != NULL);
	(*n)++;
}

static void what_was_probably_not_meant_is_warned_of(void **state)
{
	struct config *c = load_good("principals:\n  - {name: alice, os_user: root}\n"
				     "  - {name: bob, os_user: no-such-user}\n");
	int n = 0;

	config_warn(c, count_warning, &n);
	assert_int_equal(n, 2);
	config_free(c);
	c = load_good("openflow_listen: 127.0.0.1:6653\n");
	config_warn(c, count_warning, &n);
	assert_int_equal(n, 2);
	config_free(c);
}

// Random edits of a good text: an answer always comes, and never a crash (the sanitizers watch).
static void broken_texts_crash_nothing(void **state)
{
	static const char good[] = PORT "    rate: 5Mb\nhosts:\n  - {name: h, address: 10.0.0.1}\n"
					"dataplane:\n  mtu: 1500\n  huge_pages: false\nlog_level: info\n";
	static const char alphabet[] = "-:[]{}\"'#&*!|>%@` \n\t,?~0a\x01\xff";
	int rounds = (int)rounds_from_env(2000), n_good = 0;
	unsigned int seed = (unsigned int)seed_from_env(1);

	printf("seed %u, %d rounds\n", seed, rounds);
	for (int i = 0; i < rounds; i++) {
		char text[sizeof(good)];
		struct config *c = NULL;
		struct err err = {0};

		memcpy(text, good, sizeof(good));
		for (int n = rand_r(&seed) % 4 + 1; n > 0; n--)
			text[(size_t)rand_r(&seed) % (sizeof(good) - 1)] =
				alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		write_file(path, text, sizeof(good) - 1);
		if (config_load(path, &c, &err) == 0)
			n_good++;
		else if (strncmp(err.msg, path, strlen(path)) != 0)
			fail_msg("\"%s\" does not name the file, for\n%s", err.msg, text);
		config_free(c);
	}
	assert_in_range(n_good, 1, rounds - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(what_is_not_given_has_its_default),
		cmocka_unit_test(what_differs_is_named),
		cmocka_unit_test(the_example_is_right),
		cmocka_unit_test(errors_name_file_line_and_key),
		cmocka_unit_test(files_that_are_no_configuration_are_refused),
		cmocka_unit_test(an_accepted_text_is_read_under_its_files_name_and_without_other_files),
		cmocka_unit_test(what_was_probably_not_meant_is_warned_of),
		cmocka_unit_test(broken_texts_crash_nothing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
