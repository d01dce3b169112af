// SPDX-License-Identifier: Apache-2.0
// TLS on the command socket: certificates as scripts/make-test-ca.sh makes them, clients good and bad.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/cli/conn.h"
#include "io_fixture.h"
#include "server_fixture.h"
#include "tests/rounds.h"

#define FILLING "so that more is sent than the server reads ahead; "
#define LONG_NAME "long-name-of-a-user-that-is-fifty-characters-long-x@2001:db8::1234:5678:9abc/application-17"

static char ca_dir[64], other_dir[64];

static int make_certificates(void **state)
{
	char command[512];

	tmpdir_make(ca_dir);
	tmpdir_make(other_dir);
	snprintf(command, sizeof(command),
		 "set -e; m='%s'; $m %s root alice alice@10.0.0.5/ssh zoe '" LONG_NAME "'; $m --expired %s old; "
		 "$m --revoke %s zoe; $m %s alice",
		 PANE_MAKE_CA, ca_dir, ca_dir, ca_dir, other_dir);
	return system(command);
}

static int remove_certificates(void **state)
{
	tmpdir_remove(ca_dir);
	tmpdir_remove(other_dir);
	return 0;
}

struct paths {
	char cert[160], key[160], ca[160], crl[160];
};

static struct tls_files files_of(struct paths *p, const char *dir, const char *name)
{
	snprintf(p->cert, sizeof(p->cert), "%s/%s.crt", dir, name);
	snprintf(p->key, sizeof(p->key), "%s/%s.key", dir, name);
	snprintf(p->ca, sizeof(p->ca), "%s/ca.crt", ca_dir);
	snprintf(p->crl, sizeof(p->crl), "%s/ca.crl", ca_dir);
	return (struct tls_files){.cert = p->cert, .key = p->key, .ca = p->ca};
}

static int start(void **state, unsigned int handshake_ms)
{
	struct tls_files files;
	struct server_conf conf = {.tls_listen = "127.0.0.1:0", .handshake_ms = handshake_ms};
	struct paths p;
	struct err err;

	files = files_of(&p, ca_dir, "server");
	files.crl = p.crl;
	conf.tls = tls_server_create(&files, NULL, &err);
	if (conf.tls == NULL)
		fail_msg("%s", err.msg);
	server_start(state, &conf);
	SSL_CTX_free(conf.tls); // the server's process has its own
	return 0;
}

static int setup(void **state)
{
	return start(state, 0);
}

static int setup_hasty(void **state)
{
	return start(state, 1500);
}

static int try_open(const struct fixture *f, struct conn *conn, const char *dir, const char *name, struct err *err)
{
	char where[32];
	struct paths p;
	struct tls_files files = files_of(&p, dir, name);

	snprintf(where, sizeof(where), "localhost:%u", f->tls_port);
	return conn_open_tls(conn, where, &files, NULL, err);
}

static struct conn open_as(const struct fixture *f, const char *name)
{
	struct conn conn;
	struct err err;

	if (try_open(f, &conn, ca_dir, name, &err) < 0)
		fail_msg("%s: %s", name, err.msg);
	conn.name = "server";
	return conn;
}

// What comes, up to the end of text.
static void conn_hear(struct conn *conn, const char *text)
{
	size_t len = strlen(text), n = 0;
	char buf[1024] = "";
	struct err err;

	while (n < len) {
		ssize_t got = conn_receive(conn, buf + n, len - n, &err);

		if (got <= 0)
			fail_msg("the session ended after \"%s\", expected \"%s\"", buf, text);
		n += (size_t)got;
	}
	assert_string_equal(buf, text);
}

static void conn_say(struct conn *conn, const char *text)
{
	struct err err;

	assert_int_equal(conn_send(conn, text, strlen(text), &err), 0);
}

static void talk(const struct fixture *f, const char *certificate, const char *say_text, const char *answers)
{
	struct conn conn = open_as(f, certificate);

	conn_hear(&conn, "Login: ");
	conn_say(&conn, say_text);
	conn_hear(&conn, answers);
	conn_close(&conn);
}

static void a_certificate_covers_its_principal_and_nobody_else(void **state)
{
	struct fixture *f = *state;

	talk(f, "root",
	     "root. AddUser alice. AddUser bob. AddUser long-name-of-a-user-that-is-fifty-characters-long-x.\n",
	     "logged in\nroot> True\nroot> True\nroot> True\nroot> ");
	talk(f, "alice", "alice.\nListShares.\n", "logged in\nalice> 0\nalice> ");
	talk(f, "alice", "alice@10.0.0.5/ssh.\n", "logged in\nalice@10.0.0.5/ssh> ");
	talk(f, "alice", "root.\n", "login refused: the certificate of alice does not cover root\n");
	talk(f, "alice", "bob.\n", "login refused: the certificate of alice does not cover bob\n");
	talk(f, "alice_10.0.0.5_ssh", "alice@10.0.0.5/ssh.\n", "logged in\n");
	talk(f, "alice_10.0.0.5_ssh", "alice.\n",
	     "login refused: the certificate of alice@10.0.0.5/ssh does not cover alice\n");
	talk(f, "alice_10.0.0.5_ssh", "alice@10.0.0.6/ssh.\n", "login refused: the certificate of ");
	talk(f, "root", "alice.\n", "login refused: the certificate of root does not cover alice\n");
	// a name too long for a common name
	talk(f, "long-name-of-a-user-that-is-fifty-characters-long-x_2001:db8::1234:5678:9abc_application-17",
	     LONG_NAME ".\n", "logged in\n");
}

// The server judges after the client thinks that TLS stands: the refusal is the first thing that is read.
static void refused_with(const struct fixture *f, const char *dir, const char *name, const char *words)
{
	struct conn conn;
	char buf[16];
	struct err err = {0};

	if (try_open(f, &conn, dir, name, &err) == 0) {
		conn.name = "server";
		assert_int_equal(conn_receive(&conn, buf, sizeof(buf), &err), -EIO);
		conn_close(&conn);
	}
	if (strstr(err.msg, words) == NULL)
		fail_msg("said \"%s\", expected \"%s\"", err.msg, words);
}

static void bad_certificates_are_refused(void **state)
{
	refused_with(*state, ca_dir, "old", "certificate expired");
	refused_with(*state, ca_dir, "zoe", "certificate revoked");
	refused_with(*state, other_dir, "alice", "unknown ca");
	refused_with(*state, ca_dir, "server", "unsupported certificate"); // of a server, not of a client
	talk(*state, "root", "root.\n", "logged in\nroot> ");
}

static int tcp_connect(const struct fixture *f)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(f->tls_port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

// A client that brings no certificate, or an old protocol: no byte of the session reaches it.
static void shake_hands_without_proof(const struct fixture *f, int max_version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int fd = tcp_connect(f);
	SSL *ssl;
	char buf[16];

	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_max_proto_version(ctx, max_version);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) == 1)
		assert_true(SSL_read(ssl, buf, sizeof(buf)) <= 0);
	else
		assert_true(max_version <= TLS1_2_VERSION); // there the server judges first
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
}

static void no_certificate_or_an_old_version_is_refused(void **state)
{
	shake_hands_without_proof(*state, TLS1_3_VERSION);
	shake_hands_without_proof(*state, TLS1_2_VERSION);
	shake_hands_without_proof(*state, TLS1_1_VERSION);
	talk(*state, "root", "root.\n", "logged in\nroot> ");
}

static void what_is_no_handshake_is_hung_up_on(void **state)
{
	unsigned int seed = (unsigned int)seed_from_env(1);
	int rounds = (int)rounds_from_env(50);

	printf("seed %u, %d rounds\n", seed, rounds);
	for (int i = 0; i < rounds; i++) {
		// the beginning of a record of a handshake, then anything
		unsigned char bytes[300] = {22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3};
		int fd = tcp_connect(*state);
		char rest[4096];

		for (size_t n = i % 2 == 0 ? 0 : 11; n < sizeof(bytes); n++)
			bytes[n] = (unsigned char)rand_r(&seed);
		(void)!send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		hear_rest(fd, rest, sizeof(rest)); // an alert, or nothing
		assert_null(strstr(rest, "Login"));
		close(fd);
	}
	talk(*state, "root", "root.\n", "logged in\nroot> ");
}

static void half_open_connections_are_bounded_in_number_and_time(void **state)
{
	int fd[SERVER_UNPROVEN_MAX_PER_ADDRESS], more;
	const char hello[] = {22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3};

	for (int i = 0; i < SERVER_UNPROVEN_MAX_PER_ADDRESS; i++)
		fd[i] = tcp_connect(*state);
	more = tcp_connect(*state);
	hear_end(more);
	close(more);
	close(join_as_root(*state)); // nobody else is kept out
	// A byte now and then buys no time.
	for (size_t i = 0; i < sizeof(hello); i++) {
		(void)!send(fd[0], hello + i, 1, MSG_NOSIGNAL);
		usleep(150000);
	}
	for (int i = 0; i < SERVER_UNPROVEN_MAX_PER_ADDRESS; i++) {
		char rest[64];

		hear_rest(fd[i], rest, sizeof(rest));
		close(fd[i]);
	}
	talk(*state, "root", "root.\n", "logged in\nroot> ");
}

static void a_slow_reader_over_tls_gets_every_answer(void **state)
{
	struct conn conn = open_as(*state, "root");
	const size_t n = 5000;
	size_t answers = 0;

	conn_hear(&conn, "Login: ");
	conn_say(&conn, "root.\n");
	conn_hear(&conn, "logged in\nroot> ");
	// In pieces that do not end where statements do, and nothing is read for a while.
	conn_say(&conn, "mode json.\n");
	for (size_t i = 0; i < n; i++)
		conn_say(&conn, i % 2 == 0 ? "help.\nhe" : "lp.\nhelp /* " FILLING FILLING FILLING FILLING " */ .\n");
	usleep(300000);
	while (answers < n / 2 * 3 + 1) {
		char buf[65536];
		struct err err;
		ssize_t got = conn_receive(&conn, buf, sizeof(buf), &err);

		if (got <= 0)
			fail_msg("the session ended after %zu answers: %s", answers, err.msg);
		for (ssize_t i = 0; i < got; i++)
			answers += buf[i] == '\n';
	}
	conn_close(&conn);
}

static void the_end_of_input_over_tls_is_answered(void **state)
{
	struct conn conn = open_as(*state, "root");
	char buf[16];
	struct err err;

	conn_hear(&conn, "Login: ");
	conn_say(&conn, "root.\nListShares.\nAddUser al");
	SSL_shutdown(conn.ssl);
	conn_hear(&conn, "logged in\nroot> 1; rootShare\nroot> False\nroot> ");
	assert_int_equal(conn_receive(&conn, buf, sizeof(buf), &err), 0);
	conn_close(&conn);
}

static void files_that_are_wrong_are_named(void **state)
{
	struct paths p;
	struct tls_files files = files_of(&p, ca_dir, "server");
	enum tls_file wrong;
	struct err err;

	files.cert = "nowhere.crt";
	assert_null(tls_server_create(&files, &wrong, &err));
	assert_int_equal(wrong, TLS_FILE_CERT);
	assert_string_equal(err.msg, "nowhere.crt: No such file or directory");
	files = files_of(&p, ca_dir, "server");
	snprintf(p.key, sizeof(p.key), "%s/alice.key", ca_dir);
	assert_null(tls_server_create(&files, &wrong, &err));
	assert_int_equal(wrong, TLS_FILE_KEY);
	assert_non_null(strstr(err.msg, "key values mismatch"));
	files = files_of(&p, ca_dir, "server");
	files.ca = p.key;
	assert_null(tls_server_create(&files, &wrong, &err));
	assert_int_equal(wrong, TLS_FILE_CA);
	files = files_of(&p, ca_dir, "server");
	files.crl = p.cert;
	assert_null(tls_server_create(&files, &wrong, &err));
	assert_int_equal(wrong, TLS_FILE_CRL);
}

static void what_may_not_be_read_any_more_serves_on(void **state)
{
	struct paths p;
	struct tls_files files = files_of(&p, ca_dir, "server");
	SSL_CTX *first, *second;
	struct err err;

	first = tls_server_create(&files, NULL, &err);
	assert_non_null(first);
	files.key = "nowhere.key";
	assert_null(tls_server_create(&files, NULL, &err));
	second = tls_server_renew(&files, first, NULL, &err);
	assert_non_null(second);
	assert_ptr_equal(SSL_CTX_get0_privatekey(second), SSL_CTX_get0_privatekey(first));
	SSL_CTX_free(first);
	assert_int_equal(SSL_CTX_check_private_key(second), 1);
	SSL_CTX_free(second);
}

static void a_server_of_another_name_or_authority_is_not_trusted(void **state)
{
	const struct fixture *f = *state;
	struct paths p;
	struct tls_files files = files_of(&p, ca_dir, "root");
	struct conn conn;
	char where[32];
	struct err err;

	snprintf(where, sizeof(where), "127.0.0.2:%u", f->tls_port);
	assert_true(conn_open_tls(&conn, where, &files, NULL, &err) < 0); // nobody listens there
	snprintf(p.ca, sizeof(p.ca), "%s/ca.crt", other_dir);
	snprintf(where, sizeof(where), "127.0.0.1:%u", f->tls_port);
	assert_int_equal(conn_open_tls(&conn, where, &files, NULL, &err), -EPROTO);
	if (strstr(err.msg, "certificate") == NULL)
		fail_msg("said \"%s\"", err.msg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_certificate_covers_its_principal_and_nobody_else, setup, server_stop),
		cmocka_unit_test_setup_teardown(bad_certificates_are_refused, setup, server_stop),
		cmocka_unit_test_setup_teardown(no_certificate_or_an_old_version_is_refused, setup, server_stop),
		cmocka_unit_test_setup_teardown(what_is_no_handshake_is_hung_up_on, setup, server_stop),
		cmocka_unit_test_setup_teardown(half_open_connections_are_bounded_in_number_and_time, setup_hasty,
						server_stop),
		cmocka_unit_test_setup_teardown(a_slow_reader_over_tls_gets_every_answer, setup, server_stop),
		cmocka_unit_test_setup_teardown(the_end_of_input_over_tls_is_answered, setup, server_stop),
		cmocka_unit_test(files_that_are_wrong_are_named),
		cmocka_unit_test(what_may_not_be_read_any_more_serves_on),
		cmocka_unit_test_setup_teardown(a_server_of_another_name_or_authority_is_not_trusted, setup,
						server_stop),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
