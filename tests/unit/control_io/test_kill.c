// SPDX-License-Identifier: Apache-2.0
// kill -9 of the controller at random moments of a pipelined load, again and again on the same journal. Afterwards its
// state is the one after some prefix of what was said, no shorter than what was answered. An engine here is the oracle.
#include <errno.h>
#include <inttypes.h>
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/engine.h"
#include "control/state.h"
#include "controller_fixture.h"
#include "tests/rounds.h"

#define N_LOAD 6000 // statements of a round
#define N_SHARES 6
#define CHECKPOINT_EVERY 300 // all the time, so that kills meet them
#define HEARD_MAX (32 << 20)
#define YEAR_2100 INT64_C(4102444800) // times are absolute: when a statement is executed makes no difference

struct fixture {
	struct process p;
	struct nib *nib;
	struct engine *oracle;
	unsigned int seed;
	uint64_t next_id; // of a request, as the generator sees it
	char *load[N_LOAD];
	int64_t ids[N_LOAD]; // that were answered; 0: none was
	unsigned int n_answered;
	int64_t highest; // number that was ever answered
};

static int setup(void **state)
{
	const struct engine_conf conf = {.offline = false};
	struct fixture *f = calloc(1, sizeof(*f));

	process_init(&f->p);
	f->nib = nib_create();
	f->oracle = engine_create(&conf, f->nib, 0);
	f->seed = (unsigned int)seed_from_env(1);
	f->next_id = 1;
	*state = f;
	return f->oracle == NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < N_LOAD; i++)
		free(f->load[i]);
	engine_destroy(f->oracle);
	nib_destroy(f->nib);
	process_fini(&f->p);
	free(f);
	return 0;
}

static void end(struct fixture *f, int sig)
{
	assert_int_equal(process_end(&f->p, sig), sig == SIGKILL ? -1 : 0);
}

static int join(const struct fixture *f)
{
	int fd = unix_connect(f->p.path);

	assert_true(fd >= 0);
	hear(fd, "Login: ");
	say(fd, "mode json. root.\n");
	hear(fd, "{\"ok\":true}\n{\"ok\":true}\n");
	return fd;
}

static unsigned int roll(struct fixture *f, unsigned int n)
{
	return (unsigned int)rand_r(&f->seed) % n;
}

// Shares come and go, requests of every kind, cancels and renewals of what was there before, users and addresses.
static char *random_statement(struct fixture *f)
{
	unsigned int share = roll(f, N_SHARES), port = roll(f, 2000);
	int64_t from = YEAR_2100 + roll(f, 1000), to = from + 1 + roll(f, 500);
	uint64_t of_late = f->next_id <= 60 ? 1 + roll(f, 60) : f->next_id - roll(f, 60);
	char *text = NULL;
	int rc = 0;

	switch (roll(f, 16)) {
	case 0:
		rc = asprintf(&text, "AddUser u%u.\n", roll(f, 100000));
		break;
	case 1:
		rc = asprintf(&text, "Bind u%u to 10.%u.%u.%u.\n", roll(f, 100000), roll(f, 200), roll(f, 200),
			      roll(f, 200));
		break;
	case 2:
		rc = asprintf(&text, "NewShare s%u for (*) [reserve <= 100000b] on %s%c.\n", share,
			      share < 2 ? "rootShare" : "s", share < 2 ? ' ' : '0' + share / 2);
		break;
	case 3:
		rc = roll(f, 200) == 0 ? asprintf(&text, "DropShare s%u.\n", share)
				       : asprintf(&text, "Grant s%u to u%u.\n", share, roll(f, 100000));
		break;
	case 4:
	case 5:
		rc = asprintf(&text, "cancel %" PRIu64 ".\n", of_late);
		break;
	case 6:
		rc = asprintf(&text, "renew %" PRIu64 " to %" PRId64 ".\n", of_late, to + 600);
		break;
	case 7:
	case 8:
	case 9:
		rc = asprintf(&text, "%s(dstPort=%u) on s%u from %" PRId64 " to %" PRId64 ".\n",
			      roll(f, 2) ? "deny" : "allow", port, share, from, to);
		break;
	default:
		rc = asprintf(&text,
			      "reserve(srcHost=10.0.0.%u, srcPort=%u) = %ub on s%u from %" PRId64 " to %" PRId64 ".\n",
			      roll(f, 250), port, 1 + roll(f, 3000), share, from, to);
	}
	assert_true(rc > 0);
	return text;
}

static char *ask_oracle(struct fixture *f, const char *statement)
{
	const struct principal root = {.user = "root"};
	struct reply reply;
	char *text;

	reply_init(&reply);
	engine_exec(f->oracle, &root, statement, strcspn(statement, "\n"), 0, &reply);
	text = reply_render_json(&reply);
	reply_fini(&reply);
	assert_non_null(text);
	return text;
}

static int64_t uptime_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

// Reads what comes for so long; first_ms: so long for the first of it, before that.
static size_t hear_for(int fd, int64_t first_ms, int64_t ms, char *buf, size_t size)
{
	struct pollfd first = {.fd = fd, .events = POLLIN};
	int64_t until_ms, left_ms;
	size_t n = 0;

	poll(&first, 1, (int)first_ms);
	until_ms = uptime_ms() + ms;
	while ((left_ms = until_ms - uptime_ms()) > 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t got = poll(&p, 1, (int)left_ms) == 1 ? read(fd, buf + n, size - n) : 0;

		assert_true(got >= 0 && n + (size_t)got < size);
		n += (size_t)got;
	}
	return n;
}

// The other process: everything in large pieces, until nobody is there.
static void talk_on(const struct fixture *f, int fd)
{
	char text[8192];
	size_t len = 0;

	for (size_t i = 0; i < N_LOAD; i++) {
		size_t n = strlen(f->load[i]);

		if (len + n > sizeof(text) && send(fd, text, len, MSG_NOSIGNAL) < (ssize_t)len)
			_exit(0);
		len = len + n > sizeof(text) ? 0 : len;
		memcpy(text + len, f->load[i], n);
		len += n;
	}
	_exit(send(fd, text, len, MSG_NOSIGNAL) < 0);
}

// Says all of it without waiting, and kills at some moment.
static void load_and_kill(struct fixture *f)
{
	int fd;
	pid_t talker;
	char *heard = malloc(HEARD_MAX);
	size_t n;

	for (size_t i = 0; i < N_LOAD; i++) {
		free(f->load[i]);
		f->load[i] = random_statement(f);
		f->next_id += i % 2; // about half are requests that are accepted
	}
	assert_non_null(heard);
	process_start(&f->p, CHECKPOINT_EVERY);
	fd = join(f);
	fflush(NULL);
	talker = fork();
	if (talker == 0)
		talk_on(f, fd);
	n = hear_for(fd, roll(f, 8) == 0 ? 0 : 2000, roll(f, 100), heard, HEARD_MAX / 2);
	usleep(roll(f, 2000));
	end(f, SIGKILL);
	n += hear_rest(fd, heard + n, HEARD_MAX - n); // what was sent before it died
	close(fd);
	waitpid(talker, NULL, 0);
	heard[n] = '\0';
	f->n_answered = 0;
	for (char *line = heard, *eol; (eol = strchr(line, '\n')) != NULL; line = eol + 1) {
		char *id;

		*eol = '\0';
		if (strncmp(line, "{\"ok\":", 6) != 0)
			continue; // an event
		id = strstr(line, "\"id\":");
		f->ids[f->n_answered++] =
			strncmp(line, "{\"ok\":true,", 11) == 0 && id != NULL ? strtoll(id + 5, NULL, 10) : 0;
	}
	free(heard);
}

static char *ask(int fd, const char *statement)
{
	size_t size = 16 << 20;
	char *line = malloc(size);

	assert_non_null(line);
	say(fd, statement);
	hear_line(fd, line, size);
	return line;
}

static const char *const questions[] = {"ListShares.\n",     "ListRequests.\n",   "GetSchedule s0.\n",
					"GetSchedule s1.\n", "GetSchedule s2.\n", "GetSchedule s3.\n",
					"GetSchedule s4.\n", "GetSchedule s5.\n", "ListRequests s1.\n"};

#define N_QUESTIONS (sizeof(questions) / sizeof(questions[0]))

// A schedule begins with now and the tokens there are, which is nothing that a kill could lose.
static size_t past_now(const char *answer)
{
	const char *at = strstr(answer, "[{\"at\":"), *end = at == NULL ? NULL : strchr(at, '}');

	return end == NULL ? 0 : (size_t)(end - answer);
}

static bool oracle_agrees(struct fixture *f, char *const *answers)
{
	for (size_t i = 0; i < N_QUESTIONS; i++) {
		char *mine = ask_oracle(f, questions[i]);
		bool same = strcmp(mine + past_now(mine), answers[i] + past_now(answers[i])) == 0;

		free(mine);
		if (!same)
			return false;
	}
	return true;
}

static uint64_t next_number(const struct fixture *f)
{
	return engine_state(f->oracle)->requests.next_id;
}

// What is answered is numbered as the oracle does it, and no number comes twice.
static void follow_answered(struct fixture *f)
{
	for (unsigned int i = 0; i < f->n_answered; i++) {
		char *mine = ask_oracle(f, f->load[i]), *id = strstr(mine, "\"id\":");
		bool accepted = strncmp(mine, "{\"ok\":true,", 11) == 0 && id != NULL;

		assert_int_equal(f->ids[i], accepted ? strtoll(id + 5, NULL, 10) : 0);
		free(mine);
		if (f->ids[i] == 0 || strncmp(f->load[i], "renew", 5) == 0 || strncmp(f->load[i], "cancel", 6) == 0)
			continue;
		assert_true(f->ids[i] > f->highest);
		f->highest = f->ids[i];
	}
}

// Returns how many statements behind the answered ones are there.
static unsigned int find_prefix(struct fixture *f, char *const *answers, int64_t number)
{
	unsigned int more = 0;

	// The next number settles the prefix up to statements that give none; then all questions must agree.
	while (f->n_answered + more < N_LOAD && !((int64_t)next_number(f) == number && oracle_agrees(f, answers)))
		free(ask_oracle(f, f->load[f->n_answered + more++]));
	if ((int64_t)next_number(f) != number || !oracle_agrees(f, answers))
		fail_msg("the state after the kill is that of no prefix: %u were answered, next number %" PRId64,
			 f->n_answered, number);
	return more;
}

#define DRAW_NUMBER "deny(*) on rootShare from 4200000000 to 4200000001.\n"
#define CANCEL_NUMBER "cancel %" PRId64 ".\n"

// A number is drawn and given back: both sides do the same.
static int64_t draw_number(struct fixture *f, int fd)
{
	char *line = ask(fd, DRAW_NUMBER), *id = strstr(line, "\"id\":");
	char cancel[64];
	int64_t number = id == NULL ? 0 : strtoll(id + 5, NULL, 10);

	assert_true(number > f->highest);
	f->highest = number;
	free(line);
	snprintf(cancel, sizeof(cancel), CANCEL_NUMBER, number);
	free(ask(fd, cancel));
	return number;
}

#define UNSEEN_MAX 64 // statements in a row that show in no answer

// Users show in no answer, so the prefix may end behind the one that was found: from there on both sides are told of
// them, known or not. Those that were answered are known.
static void agree_on_users(struct fixture *f, int fd, unsigned int from)
{
	char line[4096];

	for (unsigned int i = 0; i < N_LOAD && i < from + UNSEEN_MAX; i++) {
		bool is_user = strncmp(f->load[i], "AddUser", 7) == 0;

		if ((i >= f->n_answered || !is_user) && (i < from || (!is_user && strncmp(f->load[i], "Bind", 4) != 0)))
			continue;
		say(fd, f->load[i]);
		do
			hear_line(fd, line, sizeof(line));
		while (strncmp(line, "{\"ok\":", 6) != 0); // an event
		if (i < f->n_answered && strstr(line, "dup_user") == NULL)
			fail_msg("answered, but not there: %s", f->load[i]);
		free(ask_oracle(f, f->load[i]));
	}
}

static void every_answered_request_is_there_after_a_kill(void **state)
{
	struct fixture *f = *state;
	int rounds = (int)rounds_from_env(10);
	uint64_t answered = 0, behind = 0;

	printf("PANE_SEED=%u, %d rounds\n", f->seed, rounds);
	for (int i = 0; i < rounds; i++) {
		char *answers[N_QUESTIONS], cancel[64];
		unsigned int more;
		int64_t number;
		int fd;

		load_and_kill(f);
		follow_answered(f);
		process_start(&f->p, CHECKPOINT_EVERY);
		fd = join(f);
		for (size_t k = 0; k < N_QUESTIONS; k++)
			answers[k] = ask(fd, questions[k]);
		number = draw_number(f, fd);
		more = find_prefix(f, answers, number);
		behind += more;
		snprintf(cancel, sizeof(cancel), CANCEL_NUMBER, number);
		free(ask_oracle(f, DRAW_NUMBER));
		free(ask_oracle(f, cancel));
		agree_on_users(f, fd, f->n_answered + more);
		f->next_id = next_number(f);
		answered += f->n_answered;
		for (size_t k = 0; k < N_QUESTIONS; k++)
			free(answers[k]);
		close(fd);
		end(f, i % 3 == 0 ? SIGTERM : SIGKILL);
	}
	printf("%" PRIu64 " answered before %d kills, %" PRIu64 " more were in the journal, %zu requests stand\n",
	       answered, rounds, behind, engine_n_requests(f->oracle));
	assert_true(answered > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_answered_request_is_there_after_a_kill, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
