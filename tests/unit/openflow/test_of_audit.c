// SPDX-License-Identifier: Apache-2.0
// A check of the network while its switches go on answering, or do not.
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/engine.h"
#include "control/of_audit.h"
#include "control/reply.h"
#include "played_net.h"

#define SECOND PLAYED_NET_SECOND

struct fixture {
	struct played_net net;
	struct nib *nib;
	struct engine *engine;
	struct of_audit *audit;
	bool (*tell)(void *ctx, const struct of_msg *request);
	bool withholds;    // the first switch its groups
	uint32_t owed_xid; // of the request for them
};

static struct fixture *the_one; // for the callback, whose context is the peer

static bool tell_but_groups(void *ctx, const struct of_msg *request)
{
	if (request->mp.kind == OF_MP_GROUP_DESC && the_one->withholds) {
		the_one->owed_xid = request->xid;
		return true;
	}
	return the_one->tell(ctx, request);
}

static int setup(void **state)
{
	static struct fixture f;
	const struct of_net_conf conf = {.hosts_max = 64};
	const struct engine_conf engine = {.offline = false};
	struct of_rule foreign; // it cuts the packets that are tried

	memset(&f, 0, sizeof(f));
	memset(&foreign, 0, sizeof(foreign));
	the_one = &f;
	f.nib = nib_create();
	played_net_init(&f.net, 2, OF_VERSION_13, &conf);
	for (int i = 0; i < 2; i++)
		f.net.peers[i].played.groups_max = 10;
	f.tell = f.net.peers[0].played.multipart;
	f.net.peers[0].played.multipart = tell_but_groups;
	foreign.match.has = OF_HAS_ETH_TYPE | OF_HAS_IP_PROTO | OF_HAS_L4_DST;
	foreign.match.eth_type = 0x800;
	foreign.match.ip_proto = 6;
	foreign.match.l4_dst = 80;
	foreign.priority = 1;
	foreign.table = 200;
	foreign.ends_ns = INT64_MAX;
	foreign.leave_ns = f.net.now_ns;
	foreign.instructions.goto_table = OF_TABLE_ALL;
	assert_int_equal(of_rules_add(&f.net.peers[0].rules, &foreign), 0);
	assert_int_equal(of_rules_sort(&f.net.peers[0].rules), 0);
	f.engine = engine_create(&engine, f.nib, f.net.now_ns);
	assert_non_null(f.engine);
	played_net_start(&f.net);
	played_net_run(&f.net, 10 * SECOND);
	for (int i = 0; i < 2; i++)
		played_net_say(&f.net, i);
	played_net_run(&f.net, 2 * SECOND);
	f.audit = of_audit_create(f.net.of);
	assert_non_null(f.audit);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	of_audit_destroy(f->audit);
	played_net_fini(&f->net);
	engine_destroy(f->engine);
	nib_destroy(f->nib);
	return 0;
}

static json_int_t ask(struct fixture *f, uint64_t round, const char *what)
{
	struct reply reply;
	json_int_t n;

	reply_init(&reply);
	assert_int_equal(of_audit_ask(f->audit, round, &reply), 0);
	n = json_is_true(json_object_get(reply.body, what)) ? 1 : json_integer_value(json_object_get(reply.body, what));
	reply_fini(&reply);
	return n;
}

static int64_t audit_turn(struct fixture *f, int64_t later_ns)
{
	return of_audit_turn(f->audit, f->engine, f->net.now_ns + later_ns, f->net.now_ns);
}

static void switches_that_answer_are_checked(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, 0, "round"), 1);
	for (int i = 0; i < 100 && audit_turn(f, 0) != INT64_MAX; i++)
		played_net_turn(&f->net);
	assert_int_equal(ask(f, 1, "done"), 1);
	assert_int_equal(ask(f, 1, "findings"), 0);
	assert_int_equal(ask(f, 1, "entries"), f->net.peers[0].rules.n + f->net.peers[1].rules.n);
}

// What the checker has been given stays, whatever a switch sends that it was late with.
static void groups_that_come_late_and_are_malformed_change_nothing_of_a_check(void **state)
{
	static const uint8_t cut_off[4] = {0, 4, 1, 0};
	struct fixture *f = *state;
	struct of_msg late = {.type = OF_MULTIPART_REPLY, .mp = {.kind = OF_MP_GROUP_DESC}};

	f->withholds = true;
	assert_int_equal(ask(f, 0, "round"), 1);
	audit_turn(f, 0);
	audit_turn(f, 0);
	played_net_turn(&f->net);
	assert_int_not_equal(f->owed_xid, 0);
	audit_turn(f, 0);
	assert_int_equal(ask(f, 1, "done"), 0);
	audit_turn(f, 6 * SECOND); // it is not waited for
	late.xid = f->owed_xid;
	late.mp.body = cut_off;
	late.mp.body_len = sizeof(cut_off);
	played_send(&f->net.peers[0].played, &late);
	played_net_turn(&f->net);
	for (int i = 0; i < 100 && audit_turn(f, 6 * SECOND) != INT64_MAX; i++)
		;
	assert_int_equal(ask(f, 1, "done"), 1);
	assert_int_equal(ask(f, 1, "entries"), f->net.peers[1].rules.n);
	assert_true(ask(f, 1, "findings") > 0); // unchecked
}

// Somebody's port comes and goes, or hosts do.
static void a_network_that_always_changes_is_told_as_such(void **state)
{
	struct fixture *f = *state;
	struct reply reply;
	int n;

	assert_int_equal(ask(f, 0, "round"), 1);
	for (n = 0; n < 2000 && audit_turn(f, 0) != INT64_MAX; n++) {
		played_port_status(&f->net.peers[0].played, 2, 7, n % 2 == 0 ? OF_PORT_LINK_DOWN : 0);
		played_net_turn(&f->net);
	}
	assert_true(n < 2000);
	reply_init(&reply);
	assert_int_equal(of_audit_ask(f->audit, 1, &reply), -1);
	assert_non_null(strstr(json_string_value(json_object_get(reply.body, "why")), "changed 60 times"));
	reply_fini(&reply);
	for (int i = 0; i < 20; i++)
		played_net_run(&f->net, SECOND);
	assert_int_equal(ask(f, 0, "round"), 2); // and once it does not
	for (int i = 0; i < 100 && audit_turn(f, 0) != INT64_MAX; i++)
		played_net_turn(&f->net);
	assert_int_equal(ask(f, 2, "done"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_network_that_always_changes_is_told_as_such, setup, teardown),
		cmocka_unit_test_setup_teardown(switches_that_answer_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(groups_that_come_late_and_are_malformed_change_nothing_of_a_check,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
